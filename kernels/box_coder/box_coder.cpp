#include "kernels/box_coder/box_coder.h"

#include <cmath>

#include "kernels/box_coder/box_coder_impl.h"
#include "kernels/box_iou/box_iou.h"
#include "kernels/common/entry.h"

namespace atrous::kernels {
namespace {

constexpr Entry<BoxCoderProblem, EncodeFn> encode{"box_coder.encode",
                                                  {
                                                      ATROUS_ON_GPU("naive", always, encode_boxes_naive),
                                                      {"chunks", Device::cpu, always, encode_boxes_chunks},
                                                      {"ref", Device::cpu, always, encode_boxes_ref},
                                                  }};
constexpr Entry<BoxCoderProblem, DecodeFn> decode{"box_coder.decode",
                                                  {
                                                      ATROUS_ON_GPU("naive", always, decode_boxes_naive),
                                                      {"chunks", Device::cpu, always, decode_boxes_chunks},
                                                      {"ref", Device::cpu, always, decode_boxes_ref},
                                                  }};
constexpr Entry<BoxCoderProblem, ClipFn> clip{"box_coder.clip",
                                              {
                                                  ATROUS_ON_GPU("naive", always, clip_boxes_naive),
                                                  {"chunks", Device::cpu, always, clip_boxes_chunks},
                                                  {"ref", Device::cpu, always, clip_boxes_ref},
                                              }};
constexpr Entry<BoxCoderProblem, UsableFn> select_usable{
    "box_coder.usable",
    {
        ATROUS_ON_GPU("naive", always, usable_boxes_naive),
        {"chunks", Device::cpu, always, usable_boxes_chunks},
        {"ref", Device::cpu, always, usable_boxes_ref},
    }};

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
  const Tensor deltas = Tensor::empty_like(p);
  if (p.numel() > 0) encode(BoxCoderProblem{p.dim(0), 1, options}, g, p, writes(deltas));
  return deltas;
}

Tensor decode_boxes(const Tensor& deltas, const Tensor& boxes, const BoxCoderOptions& options) {
  const Tensor b = checked_boxes("decode_boxes", "the boxes", boxes);
  ATROUS_CHECK(deltas.defined() && deltas.rank() == 2 && deltas.dtype() == DType::f32 &&
                   deltas.dim(0) == b.dim(0) && deltas.dim(1) % 4 == 0,
               ErrorKind::usage, "[decode_boxes] deltas must be f32 [{}, 4 k]. Got {}.", b.dim(0),
               deltas.describe());
  check_options("decode_boxes", options);
  const Tensor dense = deltas.contiguous_copy_if_needed(), decoded = Tensor::empty_like(dense);
  if (dense.numel() > 0)
    decode(BoxCoderProblem{b.dim(0), deltas.dim(1) / 4, options}, dense, b, writes(decoded));
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
    clip(BoxCoderProblem{.boxes = dense.numel() / 4}, dense, static_cast<float>(height),
         static_cast<float>(width), writes(clipped));
  return clipped;
}

Tensor usable_boxes(const Tensor& boxes, const Tensor& scores, const UsableOptions& options) {
  const Tensor b = checked_boxes("usable_boxes", "the boxes", boxes);
  ATROUS_CHECK(!scores.defined() || (scores.shape() == Shape{b.dim(0)} && scores.dtype() == DType::f32),
               ErrorKind::usage, "[usable_boxes] scores must be f32 [{}]. Got {}.", b.dim(0),
               scores.describe());
  const Tensor usable = Tensor::empty({b.dim(0)}, DType::u8, b.device());
  if (usable.numel() > 0)
    select_usable(BoxCoderProblem{.boxes = b.dim(0)}, b,
                  scores.defined() ? scores.contiguous_copy_if_needed() : scores, options, writes(usable));
  return usable;
}

EntryList box_coder_entries() {
  return {&encode, &decode, &clip, &select_usable};
}

}  // namespace atrous::kernels
