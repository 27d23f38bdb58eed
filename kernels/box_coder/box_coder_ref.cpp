#include "kernels/box_coder/box_coder_impl.h"
#include "kernels/box_coder/box_coder_math.h"

namespace atrous::kernels {

void encode_boxes_ref(const BoxCoderProblem& p, const Tensor& references, const Tensor& proposals,
                      const Tensor& deltas) {
  const CoderWeights weights(p.options);
  for (int64_t i = 0; i < p.boxes; ++i) {
    store_box(deltas.data<float>(), i,
              encoded(box_at(references.data<float>(), i), box_at(proposals.data<float>(), i), weights));
  }
}

void decode_boxes_ref(const BoxCoderProblem& p, const Tensor& deltas, const Tensor& boxes,
                      const Tensor& result) {
  const CoderWeights weights(p.options);
  for (int64_t i = 0; i < p.boxes; ++i) {
    const Box box = box_at(boxes.data<float>(), i);
    for (int64_t k = 0; k < p.classes; ++k) {
      const int64_t at = i * p.classes + k;
      store_box(result.data<float>(), at, decoded(box_at(deltas.data<float>(), at), box, weights));
    }
  }
}

void clip_boxes_ref(const BoxCoderProblem& p, const Tensor& boxes, float height, float width,
                    const Tensor& result) {
  for (int64_t i = 0; i < p.boxes; ++i)
    store_box(result.data<float>(), i, clipped(box_at(boxes.data<float>(), i), height, width));
}

void usable_boxes_ref(const BoxCoderProblem& p, const Tensor& boxes, const Tensor& scores,
                      const UsableOptions& options, const Tensor& usable) {
  const UsableRule rule(options);
  for (int64_t i = 0; i < p.boxes; ++i) {
    const bool large = rule(box_at(boxes.data<float>(), i));
    usable.data<uint8_t>()[i] = large && (!scores.defined() || rule(scores.data<float>()[i]));
  }
}

}  // namespace atrous::kernels
