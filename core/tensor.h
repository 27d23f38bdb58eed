// Tensor: a typed, strided view of memory. Copying a Tensor copies the view, not the data.
//
// Layout. Activations are N,H,W,C; filters K,R,S,C (out, rows, columns, in). The last axis is dense. All
// outer axes together form one list of "pixels" with a constant distance, the pixel stride, which may exceed
// the number of channels: element (n,h,w,c) of an activation lies at ((n*H + h)*W + w)*pixel_stride + c. So a
// convolution can write straight into its slice of a concatenation. Other views (a spatial crop, a transpose)
// are copies.
//
// Versions. A tensor counts its in-place changes, so that autograd can refuse a saved value that is no longer
// what was saved. Views share the counter, except the slices that ConcatBuffer hands out: those never
// overlap.
#pragma once

#include <atomic>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "core/allocator.h"
#include "core/device.h"
#include "core/dtype.h"
#include "core/error.h"
#include "core/shape.h"

namespace atrous {

class Tensor {
 public:
  Tensor() = default;  // undefined: holds nothing

  // Uninitialised, contiguous.
  static Tensor empty(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor zeros(const Shape& shape, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor full(const Shape& shape, double value, DType dtype = DType::f32, Device device = Device::cpu);
  static Tensor scalar(double value, DType dtype = DType::f32, Device device = Device::cpu);
  template <class T>
  static Tensor from(const Shape& shape, std::span<const T> values);
  template <class T>
  static Tensor from(const Shape& shape, std::initializer_list<T> values) {
    return from<T>(shape, std::span<const T>(values.begin(), values.size()));
  }
  // Uninitialised, same shape, dtype and device as `like`; contiguous.
  static Tensor empty_like(const Tensor& like) { return empty(like.shape(), like.dtype(), like.device()); }
  static Tensor zeros_like(const Tensor& like) { return zeros(like.shape(), like.dtype(), like.device()); }

  bool defined() const { return data_ != nullptr; }
  const Shape& shape() const { return shape_; }
  int rank() const { return shape_.rank(); }
  int64_t dim(int axis) const { return shape_[axis]; }
  int64_t numel() const { return shape_.numel(); }
  DType dtype() const { return dtype_; }
  Device device() const { return device_; }

  // Extent of the last axis; 1 for a scalar.
  int64_t channels() const { return rank() ? shape_[-1] : 1; }
  // Number of rows of `channels()` dense elements.
  int64_t pixels() const { return channels() ? numel() / channels() : 0; }
  // Elements between neighbouring pixels; at least channels().
  int64_t pixel_stride() const { return pixel_stride_; }
  bool contiguous() const { return pixel_stride_ == channels() || pixels() <= 1; }

  // First element of a tensor in host memory. T must match dtype(). Constness is that of the view, not of the
  // data.
  template <class T>
  T* data() const {
    if (device_ != Device::cpu) [[unlikely]]
      refuse_host_access();
    return device_data<T>();
  }
  std::byte* raw() const {
    if (device_ != Device::cpu) [[unlikely]]
      refuse_host_access();
    return data_.get();
  }
  // First element, wherever it lies: for launchers, which pass it to kernels, and for copies.
  template <class T>
  T* device_data() const {
    ATROUS_ASSERT(dtype_of<T> == dtype_);
    return reinterpret_cast<T*>(data_.get());
  }
  std::byte* device_raw() const { return data_.get(); }
  // Bytes of a contiguous copy.
  size_t bytes() const { return static_cast<size_t>(numel()) * size_of(dtype_); }
  // The one element of a tensor with numel() == 1, converted.
  double item() const;

  // Views. They share memory and version.
  Tensor narrow_channels(int64_t begin, int64_t count) const;  // [begin, begin + count) of the last axis
  Tensor narrow_batch(int64_t begin, int64_t count) const;     // of the first axis
  // Same elements, other extents. The last axis must stay the same unless the tensor is contiguous.
  Tensor reshape(const Shape& shape) const;
  // The same view with a separate version counter; for slices known not to overlap any other in use.
  Tensor with_own_version() const;

  // Copies.
  Tensor clone() const;  // contiguous copy
  Tensor contiguous_copy_if_needed() const { return contiguous() ? *this : clone(); }
  Tensor to(DType dtype) const;    // converted copy (itself if the dtype already matches)
  Tensor to(Device device) const;  // contiguous copy on the device (itself if it is there)

  // In-place; each bumps the version. Shapes must agree; dtypes (converted) and devices may differ.
  void fill(double value) const;
  void copy_from(const Tensor& source) const;

  uint32_t version() const { return version_ ? version_->load(std::memory_order_relaxed) : 0; }
  // To be called by every op that writes into an existing tensor.
  void bump_version() const { version_->fetch_add(1, std::memory_order_relaxed); }
  bool shares_memory_with(const Tensor& other) const;
  // Identifies the memory as long as a reference to this exists, even after the memory was freed.
  std::weak_ptr<std::byte> memory() const { return data_; }
  // True if no other tensor refers to this memory, so that it may be overwritten.
  bool sole_owner() const { return data_.use_count() == 1; }

  // "f32 [2, 8, 8, 16] (pixel stride 32)"
  std::string describe() const;

 private:
  [[noreturn]] void refuse_host_access() const;
  std::shared_ptr<std::byte> data_;  // points at the first element of this view
  Shape shape_;
  int64_t pixel_stride_ = 1;
  DType dtype_ = DType::f32;
  Device device_ = Device::cpu;
  std::shared_ptr<std::atomic<uint32_t>> version_;
};

// One buffer for a concatenation along channels. Producers write into their slice, so nothing is copied
// later.
class ConcatBuffer {
 public:
  // `pixel_shape` is the shape of the result except its last axis: for activations {N, H, W}.
  ConcatBuffer(const Shape& pixel_shape, std::span<const int64_t> channels, DType dtype, Device device);
  const Tensor& slice(int i) const { return slices_.at(static_cast<size_t>(i)); }
  int size() const { return static_cast<int>(slices_.size()); }
  const Tensor& whole() const { return whole_; }

 private:
  Tensor whole_;
  std::vector<Tensor> slices_;
};

}  // namespace atrous
