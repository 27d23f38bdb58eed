// Runs the ops on boxes on what parity_boxes.py drew: box_ops INPUT.safetensors OUTPUT.safetensors
//
// Tensors are named <trial>.<name>; thresholds come in thousandths, so that both sides divide to the same
// double.
#include <cstdio>
#include <string>

#include "core/safetensors.h"
#include "kernels/anchors/anchors.h"
#include "kernels/box_coder/box_coder.h"
#include "kernels/box_iou/box_iou.h"
#include "kernels/match_boxes/match_boxes.h"
#include "kernels/nms/nms.h"
#include "kernels/pointwise_loss/pointwise_loss.h"
#include "kernels/topk/topk.h"

using namespace atrous;
using namespace atrous::kernels;

namespace {

struct Trial {
  const TensorFile& file;
  std::string prefix;
  NamedTensors& out;

  const Tensor& operator()(const char* name) const { return file.at(prefix + name); }
  int64_t integer(const char* name, int64_t i) const { return (*this)(name).data<int64_t>()[i]; }
  double thousandths(const char* name, int64_t i) const {
    return static_cast<double>(integer(name, i)) / 1000;
  }
  std::vector<double> numbers(const char* name) const {
    const Tensor& t = (*this)(name);
    return {t.data<float>(), t.data<float>() + t.numel()};
  }
  void put(const char* name, const Tensor& t) const {
    out.emplace_back(prefix + name, t.dtype() == DType::i32 ? t.to(DType::i64) : t);
  }
  void put_loss(const char* name, const PointwiseLossResult& r) const {
    put(name, r.loss.reshape({1}));
    put((std::string(name) + "_gradient").c_str(), r.gradient);
  }
};

void run(const Trial& t) {
  const Tensor &boxes = t("boxes"), &truths = t("truths"), &scores = t("scores");
  t.put("iou", box_iou(truths, boxes));
  t.put("matches",
        match_boxes(truths, boxes,
                    {t.thousandths("match", 0), t.thousandths("match", 1), t.integer("match", 2) != 0}));
  const NmsOptions options{t.thousandths("nms", 0), t.integer("nms", 1), t.integer("nms", 2)};
  const NmsResult kept = nms(boxes, scores, t("groups").to(DType::i32), Tensor(), options);
  t.put("kept", kept.indices);
  t.put("kept_count", kept.count);

  const BoxCoderOptions coder{t.thousandths("coder", 0), t.thousandths("coder", 1), t.thousandths("coder", 2),
                              t.thousandths("coder", 3)};
  const Tensor decoded = decode_boxes(t("deltas"), boxes, coder);
  t.put("encoded", encode_boxes(t("others"), boxes, coder));
  t.put("decoded", decoded);
  t.put("clipped", clip_boxes(decoded, 600, 800));
  t.put("usable", usable_boxes(boxes, scores, {.min_size = 3, .min_score = 0.25, .strict = true}));

  const auto rows = scores.reshape({1, scores.numel()});
  const int64_t half = scores.numel() / 2;
  t.put("top", topk(rows, {half, scores.numel() - half}, 17).indices);

  const AnchorProblem grid{t.integer("grid", 0), t.integer("grid", 1), t.integer("grid", 2),
                           t.integer("grid", 3),
                           rounded_cell_anchors(t.numbers("sizes"), t.numbers("ratios"))};
  t.put("anchors", anchors(grid));

  for (const auto& [reduction, bce, l1] : {std::tuple{LossReduction::mean, "bce_mean", "l1_mean"},
                                           std::tuple{LossReduction::sum, "bce_sum", "l1_sum"}}) {
    t.put_loss(bce, binary_cross_entropy_with_logits(t("deltas"), t("targets"), reduction, true));
    t.put_loss(l1, smooth_l1(t("deltas"), t("targets"), t.thousandths("beta", 0), reduction, true));
  }
}

}  // namespace

int main(int argc, char** argv) {
  if (argc != 3) {
    std::fputs("usage: box_ops INPUT.safetensors OUTPUT.safetensors\n", stderr);
    return 2;
  }
  try {
    const TensorFile file = read_safetensors(argv[1]);
    NamedTensors out;
    for (int trial = 0; file.find(std::to_string(trial) + ".boxes"); ++trial)
      run({file, std::to_string(trial) + ".", out});
    write_safetensors(argv[2], out);
  } catch (const std::exception& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
  return 0;
}
