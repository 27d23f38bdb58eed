#include "core/tensor.h"

#include <algorithm>
#include <cstring>

#include "core/device_runtime.h"
#include "core/op_graph.h"
#include "core/op_profile.h"
#include "core/parallel.h"

namespace atrous {
namespace {

// Pixels handled per task; a fixed number, so that the split never depends on the number of threads.
constexpr int64_t elements_per_task = 1 << 16;

// Copies between tensors of one dtype, at least one of which is on a device and, if both are, on the same
// one.
void copy_bytes(const Tensor& to, const Tensor& from) {
  const Device device = to.device() != Device::cpu ? to.device() : from.device();
  const CopyKind kind = from.device() == Device::cpu ? CopyKind::host_to_device
                        : to.device() == Device::cpu ? CopyKind::device_to_host
                                                     : CopyKind::device_to_device;
  const size_t element = size_of(to.dtype());
  if (to.contiguous() && from.contiguous()) {
    device_copy(device, kind, to.device_raw(), to.bytes(), from.device_raw(), to.bytes(), to.bytes(), 1);
  } else {
    device_copy(device, kind, to.device_raw(), static_cast<size_t>(to.pixel_stride()) * element,
                from.device_raw(), static_cast<size_t>(from.pixel_stride()) * element,
                static_cast<size_t>(to.channels()) * element, static_cast<size_t>(to.pixels()));
  }
}

// Conversion between devices runs on the host, so that only one device's rules matter at a time.
void copy_on_device(const Tensor& to, const Tensor& from) {
  const bool from_host = from.device() == Device::cpu, to_host = to.device() == Device::cpu;
  const auto convert_kernel = from.device() == to.device() ? tensor_kernels(to.device()).convert : nullptr;
  if (!from_host && !to_host && from.device() != to.device()) {
    copy_on_device(to, from.to(Device::cpu));
  } else if (from.dtype() == to.dtype()) {
    // A copy engine takes as long for short rows as for long ones.
    if (convert_kernel && !(to.contiguous() && from.contiguous())) return convert_kernel(to, from);
    copy_bytes(to, from);
  } else if (to_host) {
    to.copy_from(from.to(Device::cpu));
  } else if (from_host) {
    copy_bytes(to, from.to(to.dtype()));
  } else if (convert_kernel) {
    convert_kernel(to, from);
  } else {
    copy_on_device(to, from.to(Device::cpu));
  }
}

void record_in_graph(const char* entry, const Tensor& to, const std::vector<Tensor>& from) {
  OpGraph* graph = OpGraph::current();
  if (graph && to.numel() > 0) graph->add({.entry = entry, .problem = to.describe()}, from, {to});
}

}  // namespace

void Tensor::refuse_host_access() const {
  fail(ErrorKind::internal,
       "[tensor] the host cannot touch the elements of a tensor on a device. Got {}. Copy it with "
       "to(Device::cpu), or pass device_data() to a kernel.",
       describe());
}

Tensor Tensor::empty(const Shape& shape, DType dtype, Device device) {
  Tensor t;
  t.shape_ = shape;
  t.dtype_ = dtype;
  t.device_ = device;
  t.pixel_stride_ = shape.rank() ? shape[-1] : 1;
  t.data_ = device_allocate(device, static_cast<size_t>(shape.numel()) * size_of(dtype));
  t.version_ = std::make_shared<std::atomic<uint32_t>>(0);
  return t;
}

Tensor Tensor::zeros(const Shape& shape, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  if (device != Device::cpu) {
    device_zero(device, t.device_raw(), t.bytes(), t.bytes(), 1);
    return t;
  }
  const auto bytes = static_cast<int64_t>(t.bytes());
  const OpTimer timer("tensor.zeros", "host", [&] { return OpWork{t.describe()}; });
  parallel_for(bytes, 1 << 20, [&](int64_t begin, int64_t end) {
    std::memset(t.raw() + begin, 0, static_cast<size_t>(end - begin));
  });
  return t;
}

Tensor Tensor::full(const Shape& shape, double value, DType dtype, Device device) {
  Tensor t = empty(shape, dtype, device);
  t.fill(value);
  return t;
}

Tensor Tensor::scalar(double value, DType dtype, Device device) {
  return full(Shape{}, value, dtype, device);
}

template <class T>
Tensor Tensor::from(const Shape& shape, std::span<const T> values) {
  ATROUS_CHECK(static_cast<int64_t>(values.size()) == shape.numel(), ErrorKind::usage,
               "[tensor] as many values as elements are needed. Got {} values for shape {}.", values.size(),
               shape.str());
  Tensor t = empty(shape, dtype_of<T>);
  std::copy(values.begin(), values.end(), t.data<T>());
  return t;
}
template Tensor Tensor::from<float>(const Shape&, std::span<const float>);
template Tensor Tensor::from<double>(const Shape&, std::span<const double>);
template Tensor Tensor::from<int64_t>(const Shape&, std::span<const int64_t>);
template Tensor Tensor::from<int32_t>(const Shape&, std::span<const int32_t>);
template Tensor Tensor::from<uint8_t>(const Shape&, std::span<const uint8_t>);

double Tensor::item() const {
  ATROUS_CHECK(defined() && numel() == 1, ErrorKind::usage,
               "[tensor] item() needs exactly one element. Got shape {}.", shape_.str());
  if (device_ != Device::cpu) return to(Device::cpu).item();
  double value = 0;
  visit_dtype(dtype_, [&](auto tag) { value = convert_element<double>(*data<decltype(tag)>()); });
  return value;
}

Tensor Tensor::narrow_channels(int64_t begin, int64_t count) const {
  ATROUS_CHECK(rank() >= 1 && begin >= 0 && count >= 0 && begin + count <= channels(), ErrorKind::usage,
               "[tensor] a channel slice must lie inside the tensor. Got [{}, {}) of {}.", begin,
               begin + count, shape_.str());
  Tensor t = *this;
  t.shape_ = shape_.with(-1, count);
  t.data_ = std::shared_ptr<std::byte>(data_, data_.get() + static_cast<size_t>(begin) * size_of(dtype_));
  return t;
}

Tensor Tensor::narrow_batch(int64_t begin, int64_t count) const {
  ATROUS_CHECK(rank() >= 1 && begin >= 0 && count >= 0 && begin + count <= shape_[0], ErrorKind::usage,
               "[tensor] a batch slice must lie inside the tensor. Got [{}, {}) of {}.", begin, begin + count,
               shape_.str());
  Tensor t = *this;
  t.shape_ = shape_.with(0, count);
  const int64_t step = rank() == 1 ? 1 : (shape_[0] ? pixels() / shape_[0] : 0) * pixel_stride_;
  t.data_ =
      std::shared_ptr<std::byte>(data_, data_.get() + static_cast<size_t>(begin * step) * size_of(dtype_));
  if (rank() == 1) t.pixel_stride_ = std::max(pixel_stride_, count);
  return t;
}

Tensor Tensor::reshape(const Shape& shape) const {
  ATROUS_CHECK(shape.numel() == numel(), ErrorKind::usage,
               "[tensor] reshape keeps the number of elements. Got {} to {}.", shape_.str(), shape.str());
  Tensor t = *this;
  t.shape_ = shape;
  const int64_t last = shape.rank() ? shape[-1] : 1;
  if (contiguous()) {
    t.pixel_stride_ = last;
  } else {
    ATROUS_CHECK(
        last == channels(), ErrorKind::usage,
        "[tensor] a view with a pixel stride can only be reshaped if its last axis stays. Got {} to {}. "
        "Make it contiguous first.",
        describe(), shape.str());
  }
  return t;
}

Tensor Tensor::with_own_version() const {
  Tensor t = *this;
  t.version_ = std::make_shared<std::atomic<uint32_t>>(0);
  return t;
}

Tensor Tensor::clone() const {
  Tensor t = empty(shape_, dtype_, device_);
  t.copy_from(*this);
  return t.with_own_version();
}

Tensor Tensor::to(DType dtype) const {
  if (dtype == dtype_) return *this;
  Tensor t = empty(shape_, dtype, device_);
  t.copy_from(*this);
  return t.with_own_version();
}

Tensor Tensor::to(Device device) const {
  if (device == device_) return *this;
  Tensor t = empty(shape_, dtype_, device);
  t.copy_from(*this);
  return t.with_own_version();
}

void Tensor::fill(double value) const {
  record_in_graph("tensor.fill", *this, {});
  const int64_t c = channels();
  if (device_ != Device::cpu) {
    if (const auto kernel = tensor_kernels(device_).fill) {
      kernel(*this, value);
    } else {
      copy_bytes(*this, full(shape_, value, dtype_));
    }
    bump_version();
    return;
  }
  const OpTimer timer("tensor.fill", "host", [&] { return OpWork{describe()}; });
  visit_dtype(dtype_, [&](auto tag) {
    using T = decltype(tag);
    const T v = convert_element<T>(value);
    T* p = data<T>();
    parallel_for(pixels(), std::max<int64_t>(1, elements_per_task / std::max<int64_t>(1, c)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) std::fill_n(p + i * pixel_stride_, c, v);
                 });
  });
  bump_version();
}

void Tensor::copy_from(const Tensor& source) const {
  ATROUS_CHECK(source.shape() == shape_, ErrorKind::usage,
               "[tensor] a copy needs equal shapes. Got {} into {}.", source.describe(), describe());
  if (numel() == 0) return;
  record_in_graph("tensor.copy", *this, {source});
  if (device_ != Device::cpu || source.device() != Device::cpu) {
    copy_on_device(*this, source);
    bump_version();
    return;
  }
  const int64_t c = channels();
  const OpTimer timer("tensor.copy", "host", [&] { return OpWork{describe()}; });
  visit_dtype(dtype_, [&](auto to_tag) {
    visit_dtype(source.dtype(), [&](auto from_tag) {
      using To = decltype(to_tag);
      using From = decltype(from_tag);
      To* to = data<To>();
      const From* from = source.data<From>();
      parallel_for(pixels(), std::max<int64_t>(1, elements_per_task / std::max<int64_t>(1, c)),
                   [&](int64_t begin, int64_t end) {
                     for (int64_t i = begin; i < end; ++i) {
                       To* t = to + i * pixel_stride_;
                       const From* f = from + i * source.pixel_stride_;
                       for (int64_t k = 0; k < c; ++k) t[k] = convert_element<To>(f[k]);
                     }
                   });
    });
  });
  bump_version();
}

bool Tensor::shares_memory_with(const Tensor& other) const {
  if (!defined() || !other.defined() || numel() == 0 || other.numel() == 0) return false;
  auto extent = [](const Tensor& t) {
    return static_cast<size_t>((t.pixels() - 1) * t.pixel_stride() + t.channels()) * size_of(t.dtype());
  };
  return device_ == other.device_ && data_.get() < other.data_.get() + extent(other) &&
         other.data_.get() < data_.get() + extent(*this);
}

std::string Tensor::describe() const {
  if (!defined()) return "undefined";
  std::string s = fmt::format("{} {}", name_of(dtype_), shape_.str());
  if (!contiguous()) s += fmt::format(" (pixel stride {})", pixel_stride_);
  if (device_ != Device::cpu) s += fmt::format(" on {}", name_of(device_));
  return s;
}

ConcatBuffer::ConcatBuffer(const Shape& pixel_shape, std::span<const int64_t> channels, DType dtype,
                           Device device) {
  int64_t total = 0;
  for (int64_t c : channels) total += c;
  std::vector<int64_t> dims(pixel_shape.begin(), pixel_shape.end());
  dims.push_back(total);
  whole_ = Tensor::empty(Shape(std::span<const int64_t>(dims)), dtype, device);
  int64_t begin = 0;
  for (int64_t c : channels) {
    slices_.push_back(whole_.narrow_channels(begin, c).with_own_version());
    begin += c;
  }
}

}  // namespace atrous
