// Pictures of a validation: a few images of the set, evenly chosen, the same ones each time.
#pragma once

#include <string>

#include "core/tensor.h"
#include "train/run_folder.h"
#include "train/run_log.h"

namespace atrous::train {

class SamplePictures {
 public:
  // Selects `wanted` of `total` images.
  SamplePictures(int64_t wanted, int64_t total);
  // To be called once for each image in order: whether it is selected.
  bool take();
  // Writes samples/<number>_<id>.png of the image just selected and logs it. picture: u8 [H, W, 3].
  void write(const Tensor& picture, const std::string& id, int64_t step, const RunFolder& folder,
             RunLog& log) const;

 private:
  const int64_t wanted_, total_;
  int64_t index_ = 0, taken_ = 0;
};

}  // namespace atrous::train
