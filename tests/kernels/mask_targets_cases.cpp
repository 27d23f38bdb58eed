#include "kernels/mask_targets/mask_targets.h"

#include "tests/kernels/op_case.h"
#include "tests/kernels/roi_samples.h"

namespace atrous::cases {
namespace {

struct Sample {
  const char* name;
  Shape masks;
  int64_t size;
  Regions regions;
  bool exact = false;
  const char* network = "";
};

std::vector<Sample> samples() {
  return {
      {"hard regions", {2, 20, 27}, 5, hard_regions(20, 27, 2)},
      {"whole pixels", {3, 16, 17}, 4, {{0, 0, 0, 4, 4}, {2, 1, 2, 9, 10}, {1, 8, 8, 16, 16}}, true},
      {"a region larger than a warp's turn", {1, 70, 90}, 2, {{0, 3.5f, 1.25f, 88, 69}, {0, -5, -5, 95, 75}}},
      {"28x28", {1, 40, 35}, 28, {{0, 2.5f, 3.5f, 30, 37}, {0, 7, 7, 9, 8}}},
      {"one pixel", {1, 1, 1}, 2, {{0, 0, 0, 1, 1}, {0, -2, -3, 4, 5}}},
      {"no regions", {2, 3, 4}, 3, {}},
      {"no masks", {0, 3, 4}, 3, {{0, 0, 0, 2, 2}}},
      {"targets of Mask R-CNN",
       {10, 800, 1344},
       28,
       random_regions(128, 10, 800, 1344, 9),
       false,
       "maskrcnn_800x1344"},
  };
}

}  // namespace

void add_mask_targets_cases(CaseList& list) {
  for (const Sample& s : samples()) {
    const Tensor rois = tensor_of(s.regions);
    const kernels::MaskTargetsProblem p{s.masks[0], s.masks[1], s.masks[2], rois.dim(0), s.size};
    OpCase c;
    c.op = "mask_targets";
    c.entry = "forward";
    c.descriptor = std::string(s.name) + " " + p.str();
    c.inputs = {{.shape = s.masks, .fill = Fill::labels, .classes = 2, .ignore_label = 1, .bytes = true}};
    c.exact = s.exact;
    c.accumulation = 4096;
    c.benchmark = *s.network != 0;
    c.network = s.network;
    c.bytes = static_cast<double>(s.masks.numel() + 4 * p.rois * p.size * p.size);
    // There are no activations whose type could be another.
    c.run = [=](const std::vector<Tensor>& t) -> std::vector<Tensor> {
      return {kernels::mask_targets(t[0], rois.to(t[0].device()), s.size)};
    };
    list.cases.push_back(c);
  }
  list.not_differentiable.push_back("mask_targets");

  const auto bad = [&](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back(
        {.op = "mask_targets", .descriptor = what, .call = std::move(call), .expected_text = text});
  };
  const Tensor masks = Tensor::zeros({2, 4, 5}, DType::u8), rois = Tensor::zeros({3, 5});
  const auto targets = [](const Tensor& m, const Tensor& r, int64_t size) {
    return [=] { kernels::mask_targets(m, r, size); };
  };
  bad("four numbers per region", targets(masks, Tensor::zeros({3, 4}), 7),
      "[mask_targets] regions must be f32 [R, 5]: index of the image, x1, y1, x2, y2. Got f32 [3, 4]");
  bad("masks in f32", targets(masks.to(DType::f32), rois, 7), "masks must be u8 [G, H, W]");
  bad("masks of rank 4", targets(Tensor::zeros({2, 4, 5, 1}, DType::u8), rois, 7), "Got u8 [2, 4, 5, 1]");
  bad("no rows", targets(Tensor::zeros({2, 0, 5}, DType::u8), rois, 7), "positive H and W");
  bad("size 0", targets(masks, rois, 0), "the size must be at least 1. Got 0");
  bad("two devices", targets(masks, rois.to(Device::sim), 7), "one device");
}

}  // namespace atrous::cases
