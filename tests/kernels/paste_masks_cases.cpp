#include "kernels/paste_masks/paste_masks.h"

#include <limits>

#include "tests/kernels/op_case.h"
#include "tests/kernels/roi_samples.h"

namespace atrous::cases {
namespace {

using kernels::PasteMasksOptions;
using kernels::PasteRule;

// The boxes of the regions; their images do not matter.
Tensor boxes_of(const Regions& regions) {
  const Tensor boxes = Tensor::empty({static_cast<int64_t>(regions.size()), 4});
  for (size_t i = 0; i < regions.size(); ++i)
    std::copy(regions[i].begin() + 1, regions[i].end(), boxes.data<float>() + 4 * i);
  return boxes;
}

void add_case(CaseList& list, const char* name, int64_t size, const Regions& regions,
              const PasteMasksOptions& options, const char* network = "") {
  const Tensor boxes = boxes_of(regions);
  const kernels::PasteMasksProblem p{boxes.dim(0), size,           options.height, options.width,
                                     options.rule, options.binary, 0.5f,           DType::f32};
  OpCase c;
  c.op = "paste_masks";
  c.entry = "forward";
  c.descriptor = std::string(name) + " " + p.str();
  c.inputs = {{.shape = {p.count, size, size}, .fill = Fill::unit}};
  c.exact = false;
  c.accumulation = 4;
  c.benchmark = *network != 0;
  c.network = network;
  c.bytes = static_cast<double>(p.count * p.height * p.width) * (p.binary ? 1 : 4);
  c.run = [=](const std::vector<Tensor>& t) -> std::vector<Tensor> {
    return {kernels::paste_masks(t[0], boxes.to(t[0].device()), options)};
  };
  list.cases.push_back(c);
}

}  // namespace

void add_paste_masks_cases(CaseList& list) {
  for (const PasteRule rule : {PasteRule::torchvision, PasteRule::detectron2}) {
    for (const bool binary : {false, true}) {
      const auto to = [=](int64_t height, int64_t width) {
        return PasteMasksOptions{height, width, rule, binary, 0.5};
      };
      add_case(list, "hard boxes", 7, hard_regions(20, 27, 2), to(20, 27));
      add_case(list, "28x28", 28, {{0, 5.5f, 3.25f, 40.5f, 60}, {0, -9, 20, 70, 30}}, to(53, 61));
      add_case(list, "one element", 1, {{0, 2, 2, 5, 6}, {0, 0, 0, 9, 3}}, to(8, 16));
      add_case(list, "rows of 3", 4, random_regions(9, 1, 5, 3, 4), to(5, 3));
      add_case(list, "no boxes", 28, {}, to(4, 5));
      add_case(list, "detections of Mask R-CNN", 28, random_regions(100, 1, 800, 1344, 6), to(800, 1344),
               "maskrcnn_800x1344");
    }
  }
  list.not_differentiable.push_back("paste_masks");

  const auto bad = [&](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back(
        {.op = "paste_masks", .descriptor = what, .call = std::move(call), .expected_text = text});
  };
  const Tensor masks = Tensor::zeros({3, 4, 4}), boxes = Tensor::zeros({3, 4});
  const PasteMasksOptions options{5, 6};
  const auto paste = [](const Tensor& m, const Tensor& b, PasteMasksOptions o) {
    return [=] { kernels::paste_masks(m, b, o); };
  };
  bad("oblong masks", paste(Tensor::zeros({3, 4, 5}), boxes, options), "square [n, M, M]");
  bad("masks of bytes", paste(masks.to(DType::u8), boxes, options), "Got u8 [3, 4, 4]");
  bad("empty masks", paste(Tensor::zeros({3, 0, 0}), boxes, options), "Got f32 [3, 0, 0]");
  bad("five numbers per box", paste(masks, Tensor::zeros({3, 5}), options), "boxes must be f32 [3, 4]");
  bad("fewer boxes", paste(masks, Tensor::zeros({2, 4}), options),
      "one per mask: x1, y1, x2, y2. Got f32 [2, 4]");
  bad("no boxes", paste(masks, {}, options), "Got undefined");
  bad("an image without rows", paste(masks, boxes, {0, 6}), "1 to 2^24 rows and columns. Got 0x6");
  bad("two devices", paste(masks, boxes.to(Device::sim), options), "one device");
}

}  // namespace atrous::cases
