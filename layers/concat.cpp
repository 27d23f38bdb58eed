#include "layers/concat.h"

#include "kernels/concat/concat.h"

namespace atrous::layers {
namespace {

BackwardFn slices_of_gradient(const std::vector<Variable>& parts) {
  std::vector<int64_t> channels;
  for (const Variable& v : parts) channels.push_back(v.value().channels());
  return [channels](const BackwardContext& ctx) {
    std::vector<Tensor> grads;
    int64_t offset = 0;
    for (size_t i = 0; i < channels.size(); ++i) {
      Tensor slice;
      if (ctx.needs(static_cast<int>(i))) {
        slice = ctx.grad().narrow_channels(offset, channels[i]);
        // Backward continues with the newest part, by convention the last. The gradients of the others wait,
        // often for long (skip connections), and a view would keep all of dy alive until then.
        if (i + 1 < channels.size() && 2 * channels[i] <= ctx.grad().channels()) slice = slice.clone();
      }
      grads.push_back(slice);
      offset += channels[i];
    }
    return grads;
  };
}

// Part number `index` of a concatenation must be its slice of the memory.
void check_written(const Tensor& value, const Tensor& slice, int index) {
  ATROUS_CHECK(value.device_raw() == slice.device_raw() && value.shape() == slice.shape() &&
                   value.dtype() == slice.dtype() && value.pixel_stride() == slice.pixel_stride(),
               ErrorKind::internal,
               "[concat] producer {} must have written into slice {} of the buffer. Got {} for slice {}{}. "
               "Pass the slice as the producer's output, or use concat.",
               index, index, value.describe(), slice.describe(),
               value.device_raw() == slice.device_raw() ? "" : " in other memory");
}

}  // namespace

Variable concat(const std::vector<Variable>& parts) {
  if (parts.size() == 1) return parts[0];
  std::vector<Tensor> values;
  for (const Variable& v : parts) values.push_back(v.value());
  return record("concat", kernels::concat_forward(values), parts, slices_of_gradient(parts));
}

Variable concat_in_place(const ConcatBuffer& buffer, const std::vector<Variable>& producers) {
  ATROUS_CHECK(static_cast<int>(producers.size()) == buffer.size(), ErrorKind::internal,
               "[concat] the buffer needs one producer per slice. Got {} producers for {} slices.",
               producers.size(), buffer.size());
  for (int i = 0; i < buffer.size(); ++i) {
    check_written(producers[static_cast<size_t>(i)].value(), buffer.slice(i), i);
  }
  return record("concat", buffer.whole(), producers, slices_of_gradient(producers));
}

Tensor GrowingConcat::room(int64_t channels) const {
  const int64_t used = value_.defined() ? value_.value().channels() : 0;
  return memory_.narrow_channels(used, channels).with_own_version();
}

void GrowingConcat::append(const Variable& part) {
  const Tensor expected = room(part.value().channels());
  check_written(part.value(), expected, parts_);
  ++parts_;
  if (!value_.defined()) {
    value_ = part;
    return;
  }
  const Tensor all =
      memory_.narrow_channels(0, value_.value().channels() + expected.channels()).with_own_version();
  value_ = record("concat", all, {value_, part}, slices_of_gradient({value_, part}));
}

}  // namespace atrous::layers
