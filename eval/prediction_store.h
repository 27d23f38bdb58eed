// Predictions of many images, kept in memory up to a bound and in a temporary file beyond it.
#pragma once

#include <string>
#include <vector>

#include "core/tensor.h"

namespace atrous::eval {

class PredictionStore {
 public:
  // The file is created in `folder` when it is needed, without a name there: it is gone with this object, or
  // with the process however that ends.
  PredictionStore(int64_t memory_bytes, std::string folder);
  ~PredictionStore();
  PredictionStore(const PredictionStore&) = delete;
  PredictionStore& operator=(const PredictionStore&) = delete;

  // A contiguous tensor in host memory. Error(io) if the disk is full.
  void add(const Tensor& tensor);
  // Number i, in the order of adding. Error(io).
  Tensor get(size_t i) const;
  int64_t file_bytes() const { return file_bytes_; }

 private:
  struct Entry {
    Tensor tensor;  // undefined: in the file
    Shape shape;
    DType dtype = DType::f32;
    int64_t offset = 0;
  };
  int64_t memory_left_;
  std::string folder_;
  int file_ = -1;
  int64_t file_bytes_ = 0;
  std::vector<Entry> entries_;
};

}  // namespace atrous::eval
