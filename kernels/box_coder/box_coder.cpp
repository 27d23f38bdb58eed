#include "kernels/box_coder/box_coder.h"

#include <cmath>

#include "kernels/box_coder/box_coder_impl.h"
#include "kernels/box_iou/box_iou.h"
#include "kernels/common/dispatch.h"

namespace atrous::kernels {
namespace {

constexpr Implementation<BoxCoderProblem, EncodeFn> encode_table[] = {
    ATROUS_ON_GPU("naive", always, encode_boxes_naive),
    {"chunks", Device::cpu, always, encode_boxes_chunks},
    {"ref", Device::cpu, always, encode_boxes_ref},
};
constexpr Implementation<BoxCoderProblem, DecodeFn> decode_table[] = {
    ATROUS_ON_GPU("naive", always, decode_boxes_naive),
    {"chunks", Device::cpu, always, decode_boxes_chunks},
    {"ref", Device::cpu, always, decode_boxes_ref},
};
constexpr Implementation<BoxCoderProblem, ClipFn> clip_table[] = {
    ATROUS_ON_GPU("naive", always, clip_boxes_naive),
    {"chunks", Device::cpu, always, clip_boxes_chunks},
    {"ref", Device::cpu, always, clip_boxes_ref},
};
constexpr Implementation<BoxCoderProblem, UsableFn> usable_table[] = {
    ATROUS_ON_GPU("naive", always, usable_boxes_naive),
    {"chunks", Device::cpu, always, usable_boxes_chunks},
    {"ref", Device::cpu, always, usable_boxes_ref},
};

void check_options(const char* op, const BoxCoderOptions& o) {
  for (double w : {o.wx, o.wy, o.ww, o.wh}) {
    ATROUS_CHECK(std::isfinite(w) && w > 0, ErrorKind::usage,
                 "[{}] weights must be positive and finite. Got {}.", op, w);
  }
  ATROUS_CHECK(std::isfinite(o.clamp), ErrorKind::usage, "[{}] the clamp must be finite. Got {}.", op,
               o.clamp);
}

}  // namespace

std::string BoxCoderProblem::str() const {
  return fmt::format("n{} k{} weights {} {} {} {}", boxes, classes, options.wx, options.wy, options.ww,
                     options.wh);
}

Tensor encode_boxes(const Tensor& references, const Tensor& proposals, const BoxCoderOptions& options) {
  const Tensor g = checked_boxes("encode_boxes", "the references", references);
  const Tensor p = checked_boxes("encode_boxes", "the proposals", proposals);
  ATROUS_CHECK(g.dim(0) == p.dim(0), ErrorKind::usage,
               "[encode_boxes] every proposal needs one reference. Got {} for {}.", g.describe(),
               p.describe());
  check_options("encode_boxes", options);
  check_same_device("encode_boxes", {g, p});
  const Tensor deltas = Tensor::empty_like(p);
  if (p.numel() > 0)
    dispatch("box_coder", "box_coder.encode", encode_table, BoxCoderProblem{p.dim(0), 1, options}, {deltas},
             g, p, deltas);
  return deltas;
}

Tensor decode_boxes(const Tensor& deltas, const Tensor& boxes, const BoxCoderOptions& options) {
  const Tensor b = checked_boxes("decode_boxes", "the boxes", boxes);
  ATROUS_CHECK(deltas.defined() && deltas.rank() == 2 && deltas.dtype() == DType::f32 &&
                   deltas.dim(0) == b.dim(0) && deltas.dim(1) % 4 == 0,
               ErrorKind::usage, "[decode_boxes] deltas must be f32 [{}, 4 k]. Got {}.", b.dim(0),
               deltas.describe());
  check_options("decode_boxes", options);
  check_same_device("decode_boxes", {deltas, b});
  const Tensor dense = deltas.contiguous_copy_if_needed(), decoded = Tensor::empty_like(dense);
  if (dense.numel() > 0)
    dispatch("box_coder", "box_coder.decode", decode_table,
             BoxCoderProblem{b.dim(0), deltas.dim(1) / 4, options}, {decoded}, dense, b, decoded);
  return decoded;
}

Tensor clip_boxes(const Tensor& boxes, double height, double width) {
  ATROUS_CHECK(
      boxes.defined() && boxes.rank() >= 1 && boxes.channels() % 4 == 0 && boxes.dtype() == DType::f32,
      ErrorKind::usage, "[clip_boxes] boxes must be f32 [..., 4 k]. Got {}.", boxes.describe());
  ATROUS_CHECK(height >= 0 && width >= 0, ErrorKind::usage,
               "[clip_boxes] height and width must not be negative. Got {} and {}.", height, width);
  const Tensor dense = boxes.contiguous_copy_if_needed(), clipped = Tensor::empty_like(dense);
  if (dense.numel() > 0)
    dispatch("box_coder", "box_coder.clip", clip_table, BoxCoderProblem{.boxes = dense.numel() / 4},
             {clipped}, dense, static_cast<float>(height), static_cast<float>(width), clipped);
  return clipped;
}

Tensor usable_boxes(const Tensor& boxes, const Tensor& scores, const UsableOptions& options) {
  const Tensor b = checked_boxes("usable_boxes", "the boxes", boxes);
  ATROUS_CHECK(!scores.defined() || (scores.shape() == Shape{b.dim(0)} && scores.dtype() == DType::f32),
               ErrorKind::usage, "[usable_boxes] scores must be f32 [{}]. Got {}.", b.dim(0),
               scores.describe());
  check_same_device("usable_boxes", {b, scores});
  const Tensor usable = Tensor::empty({b.dim(0)}, DType::u8, b.device());
  if (usable.numel() > 0)
    dispatch("box_coder", "box_coder.usable", usable_table, BoxCoderProblem{.boxes = b.dim(0)}, {usable}, b,
             scores.defined() ? scores.contiguous_copy_if_needed() : scores, options, usable);
  return usable;
}

std::vector<std::string> box_coder_candidates(std::string_view entry, const BoxCoderProblem& problem,
                                              Device device) {
  if (entry == "encode") return candidates(encode_table, problem, device);
  if (entry == "decode") return candidates(decode_table, problem, device);
  if (entry == "clip") return candidates(clip_table, problem, device);
  if (entry == "usable") return candidates(usable_table, problem, device);
  unknown_entry("box_coder", entry);
}

}  // namespace atrous::kernels
