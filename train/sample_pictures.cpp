#include "train/sample_pictures.h"

#include <algorithm>

#include "core/text.h"
#include "data/image_io.h"

namespace atrous::train {
SamplePictures::SamplePictures(int64_t wanted, int64_t total)
    : wanted_(std::min(wanted, total)), total_(total) {}

bool SamplePictures::take() {
  // Evenly over the set: neighbours in a list are often frames of one video.
  const bool mine = taken_ < wanted_ && index_ >= taken_ * total_ / wanted_;
  ++index_;
  taken_ += mine;
  return mine;
}

void SamplePictures::write(const Tensor& picture, const std::string& id, int64_t step,
                           const RunFolder& folder, RunLog& log) const {
  const std::string name = fmt::format("{}_{}", taken_, plain_name(id));
  const std::string path = folder.file("samples/" + name + ".png");
  data::write_png(path, picture);
  log.image("samples/" + name, step, path, picture.dim(0), picture.dim(1));
}

}  // namespace atrous::train
