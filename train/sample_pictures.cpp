#include "train/sample_pictures.h"

#include <algorithm>

#include "data/image_io.h"

namespace atrous::train {
namespace {

// "city/0001.png" -> "city_0001_png": one flat folder. Names of files end at 255 bytes.
std::string file_name_of(std::string id) {
  for (char& c : id) {
    const bool plain =
        (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '-' || c == '_';
    if (!plain) c = '_';
  }
  return id.substr(0, 200);
}

}  // namespace

SamplePictures::SamplePictures(int64_t wanted, int64_t total)
    : wanted_(std::min(wanted, total)), total_(total) {}

bool SamplePictures::take() {
  // Evenly over the set: neighbours in a list are often frames of one film.
  const bool mine = taken_ < wanted_ && index_ >= taken_ * total_ / wanted_;
  ++index_;
  taken_ += mine;
  return mine;
}

void SamplePictures::write(const Tensor& picture, const std::string& id, int64_t step,
                           const RunFolder& folder, RunLog& log) const {
  const std::string name = fmt::format("{}_{}", taken_, file_name_of(id));
  const std::string path = folder.file("samples/" + name + ".png");
  data::write_png(path, picture);
  log.image("samples/" + name, step, path, picture.dim(0), picture.dim(1));
}

}  // namespace atrous::train
