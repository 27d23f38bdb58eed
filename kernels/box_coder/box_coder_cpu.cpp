// The reference over chunks of boxes on all threads.
#include "core/parallel.h"
#include "kernels/box_coder/box_coder_impl.h"

namespace atrous::kernels {
namespace {

constexpr int64_t chunk = 2048;  // rows

// f(problem of the chunk, its first row) for each.
template <class F>
void by_chunks(const BoxCoderProblem& p, F&& f) {
  parallel_for(p.boxes, chunk, [&](int64_t begin, int64_t end) {
    BoxCoderProblem part = p;
    part.boxes = end - begin;
    f(part, begin);
  });
}

}  // namespace

void encode_boxes_chunks(const BoxCoderProblem& p, const Tensor& references, const Tensor& proposals,
                         const Tensor& deltas) {
  by_chunks(p, [&](const BoxCoderProblem& part, int64_t begin) {
    const auto rows = [&](const Tensor& t) { return t.narrow_batch(begin, part.boxes); };
    encode_boxes_ref(part, rows(references), rows(proposals), rows(deltas));
  });
}

void decode_boxes_chunks(const BoxCoderProblem& p, const Tensor& deltas, const Tensor& boxes,
                         const Tensor& decoded) {
  by_chunks(p, [&](const BoxCoderProblem& part, int64_t begin) {
    const auto rows = [&](const Tensor& t) { return t.narrow_batch(begin, part.boxes); };
    decode_boxes_ref(part, rows(deltas), rows(boxes), rows(decoded));
  });
}

void clip_boxes_chunks(const BoxCoderProblem& p, const Tensor& boxes, float height, float width,
                       const Tensor& clipped) {
  by_chunks(p, [&](const BoxCoderProblem& part, int64_t begin) {
    const auto rows = [&](const Tensor& t) {
      return t.reshape({p.boxes, 4}).narrow_batch(begin, part.boxes);
    };
    clip_boxes_ref(part, rows(boxes), height, width, rows(clipped));
  });
}

void usable_boxes_chunks(const BoxCoderProblem& p, const Tensor& boxes, const Tensor& scores,
                         const UsableOptions& options, const Tensor& usable) {
  by_chunks(p, [&](const BoxCoderProblem& part, int64_t begin) {
    const auto rows = [&](const Tensor& t) { return t.defined() ? t.narrow_batch(begin, part.boxes) : t; };
    usable_boxes_ref(part, rows(boxes), rows(scores), options, rows(usable));
  });
}

}  // namespace atrous::kernels
