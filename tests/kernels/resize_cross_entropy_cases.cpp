#include "kernels/resize_cross_entropy/resize_cross_entropy.h"

#include "layers/resize_cross_entropy.h"
#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::CrossEntropyOptions;

struct Variant {
  bool align_corners = false;
  bool weighted = false;
  double gamma = 0;
};

std::vector<Input> inputs_of(const Shape& logits, int64_t height, int64_t width, const Variant& v) {
  const Shape pixels{logits[0], height, width};
  std::vector<Input> in = {{.shape = logits}, {.shape = pixels, .fill = Fill::labels, .classes = logits[3]}};
  if (v.weighted) {
    in.push_back({.shape = {logits[3]}, .fill = Fill::positive, .differentiable = false, .parameter = true});
    in.push_back({.shape = pixels, .fill = Fill::unit, .differentiable = false, .parameter = true});
  }
  return in;
}

std::string descriptor_of(const Shape& s, int64_t height, int64_t width, const Variant& v) {
  return fmt::format("n{} {}x{} to {}x{} k{}{}{} gamma {}", s[0], s[1], s[2], height, width, s[3],
                     v.align_corners ? " align_corners" : "", v.weighted ? " weighted" : "", v.gamma);
}

void add(CaseList& list, const Shape& logits, int64_t height, int64_t width, const Variant& v,
         const char* network = "") {
  OpCase c{.op = "resize_cross_entropy",
           .entry = "forward",
           .descriptor = descriptor_of(logits, height, width, v),
           .inputs = inputs_of(logits, height, width, v)};
  c.run = [v](const std::vector<Tensor>& in) {
    CrossEntropyOptions o{.gamma = v.gamma};
    if (v.weighted) o.class_weights = in[2], o.pixel_weights = in[3];
    const auto r = kernels::resize_cross_entropy(in[0], in[1], v.align_corners, o, true, true);
    return std::vector<Tensor>{r.loss, r.gradient, r.pixel_losses};
  };
  c.exact = false;  // exponentials
  c.accumulation = logits[3] + (2 * height / logits[1] + 2) * (2 * width / logits[2] + 2);
  c.bytes = 4.0 * static_cast<double>(2 * logits.numel() + logits[0] * height * width);
  c.benchmark = *network != 0;
  c.network = network;
  list.cases.push_back(c);
}

void add_gradient(CaseList& list, const Shape& logits, int64_t height, int64_t width, const Variant& v) {
  list.gradients.push_back({.op = "resize_cross_entropy",
                            .descriptor = descriptor_of(logits, height, width, v),
                            .inputs = inputs_of(logits, height, width, v),
                            .function = [v](const std::vector<Variable>& in) {
                              CrossEntropyOptions o{.gamma = v.gamma};
                              if (v.weighted)
                                o.class_weights = in[2].value(), o.pixel_weights = in[3].value();
                              return layers::resize_cross_entropy(in[0], in[1].value(), v.align_corners, o);
                            }});
}

}  // namespace

void add_resize_cross_entropy_cases(CaseList& list) {
  for (bool align_corners : {false, true}) {
    for (int64_t k : {2, 11, 19, 21, 33, 150}) add(list, {2, 5, 3, k}, 17, 24, {align_corners});
    add(list, {1, 1, 1, 21}, 1, 1, {align_corners});
    add(list, {1, 1, 1, 5}, 7, 9, {align_corners});
    add(list, {0, 3, 2, 5}, 7, 9, {align_corners});
    add(list, {1, 3, 2, 301}, 7, 5, {align_corners});
    add(list, {1, 2, 2, 3}, 20, 300, {align_corners});
    add(list, {2, 9, 13, 11}, 9, 13, {align_corners});
    add(list, {1, 19, 14, 11}, 8, 5, {align_corners});
    add(list, {1, 11, 2, 4}, 88, 16, {align_corners});
    add(list, {2, 6, 7, 21}, 25, 30, {align_corners, true});
    add(list, {2, 6, 7, 11}, 25, 30, {align_corners, true, 2});
    add(list, {1, 64, 64, 21}, 512, 512, {align_corners}, "deeplab_head");
    add(list, {2, 64, 128, 19}, 512, 1024, {align_corners}, "cityscapes_head");
    add_gradient(list, {2, 3, 2, 3}, 5, 7, {align_corners});
    add_gradient(list, {1, 5, 6, 2}, 3, 4, {align_corners, true});
    add_gradient(list, {1, 2, 3, 3}, 7, 5, {align_corners, true, 2});
  }

  auto bad = [&](const char* what, const Shape& logits, const Tensor& labels, const char* text,
                 ErrorKind kind) {
    list.bad_inputs.push_back(
        {.op = "resize_cross_entropy",
         .descriptor = what,
         .call = [=] { kernels::resize_cross_entropy(Tensor::zeros(logits), labels, false, {}, false); },
         .expected_text = text,
         .kind = kind});
  };
  bad("label past the classes", {1, 2, 2, 3}, Tensor::full({1, 8, 8}, 3, DType::u8),
      "Got label 3 at image 0 of the batch, row 0, column 0, with 3 classes", ErrorKind::data);
  bad("other batch", {2, 2, 2, 3}, Tensor::zeros({1, 8, 8}, DType::i32), "must have the same N",
      ErrorKind::usage);
  bad("logits of rank 3", {2, 2, 3}, Tensor::zeros({2, 8, 8}, DType::i32), "must have the same N",
      ErrorKind::usage);
  bad("no logits", {1, 0, 2, 3}, Tensor::zeros({1, 8, 8}, DType::i32), "sizes must be positive",
      ErrorKind::usage);
}

}  // namespace atrous::cases
