#include "kernels/confusion_matrix/confusion_matrix.h"

#include "tests/kernels/op_case.h"

namespace atrous::cases {
namespace {

using kernels::ConfusionProblem;

struct Sample {
  Shape pixels;
  int64_t classes;
  DType label = DType::u8, prediction = DType::u8;
  int64_t invalid = 0;  // so many of the values that appear are no classes
  const char* network = "";
};

// One class, one pixel, none; runs that end in the middle; classes past what fits shared memory; several
// blocks.
const Sample samples[] = {
    {{2, 5, 7}, 21},
    {{2, 5, 7}, 21, DType::i32, DType::i32},
    {{1, 3, 16}, 3, DType::u8, DType::i32},
    {{1, 3, 17}, 3, DType::i32, DType::u8, 2},
    {{3, 9, 31}, 19, DType::u8, DType::u8, 1},
    {{1, 1, 1}, 1},
    {{0, 4, 4}, 5},
    {{1, 40, 50}, 150, DType::u8, DType::u8},
    {{1, 9, 10}, 157, DType::i32, DType::i32, 3},
    {{2, 70, 81}, 2},
    {{8, 360, 480}, 11, DType::u8, DType::u8, 0, "camvid"},
    {{1, 1024, 2048}, 19, DType::u8, DType::u8, 0, "cityscapes"},
    {{16, 512, 512}, 150, DType::u8, DType::u8, 0, "ade20k"},
};
const Sample logit_samples[] = {
    {{2, 5, 7}, 21},
    {{2, 5, 7}, 21, DType::i32, DType::i32},
    {{1, 4, 33}, 8, DType::u8, DType::u8, 2},
    {{1, 3, 5}, 1},
    {{0, 4, 4}, 5},
    {{1, 9, 15}, 2},
    {{1, 1, 130}, 95},
    {{1, 1, 3}, 96, DType::i32},
    {{1, 1, 3}, 300, DType::u8, DType::i32},
    {{2, 40, 41}, 3},
    {{1, 1024, 2048}, 19, DType::u8, DType::u8, 0, "cityscapes"},
    {{4, 512, 512}, 21, DType::u8, DType::u8, 0, "voc"},
};

Input labels_of(const Sample& s, DType dtype, int64_t ignore) {
  return {.shape = s.pixels,
          .fill = Fill::labels,
          .classes = s.classes + s.invalid,
          .ignore_label = ignore,
          .bytes = dtype == DType::u8};
}

ConfusionProblem problem_of(const Sample& s, bool with_logits) {
  return {.pixels = s.pixels.numel(),
          .classes = s.classes,
          .label = s.label,
          .prediction = with_logits ? DType::u8 : s.prediction};
}

OpCase base_case(const char* entry, const Sample& s, const ConfusionProblem& p) {
  OpCase c{.op = "confusion_matrix", .entry = entry, .descriptor = p.str()};
  if (s.invalid) c.descriptor += fmt::format(" invalid {}", s.invalid);
  c.benchmark = *s.network != 0;
  c.network = s.network;
  return c;
}

void add_count(CaseList& list, const Sample& s) {
  const ConfusionProblem p = problem_of(s, false);
  OpCase c = base_case("count", s, p);
  // Predictions of 0 where labels are ignored: both kinds of tensors hold a value more often than others.
  c.inputs = {labels_of(s, s.label, 255), labels_of(s, s.prediction, 0)};
  c.run = [p](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::confusion_matrix(in[0], in[1], p.classes, p.ignore_index)};
  };
  c.bytes = static_cast<double>(p.pixels) * static_cast<double>(size_of(s.label) + size_of(s.prediction));
  list.cases.push_back(c);
}

// Maps that begin in the middle of a batch, off the boundaries of wide accesses.
void add_count_of_second_image(CaseList& list) {
  const Sample s{{2, 7, 31}, 5};
  OpCase c = base_case("count", s, {.pixels = 7 * 31, .classes = s.classes});
  c.descriptor += " second of two images";
  c.inputs = {labels_of(s, s.label, 255), labels_of(s, s.prediction, 0)};
  c.run = [s](const std::vector<Tensor>& in) {
    const auto second = [](const Tensor& t) { return t.narrow_batch(1, 1); };
    return std::vector<Tensor>{kernels::confusion_matrix(second(in[0]), second(in[1]), s.classes, 255)};
  };
  list.cases.push_back(c);
}

// Exact runs have small integers for logits: ties everywhere.
void add_argmax(CaseList& list, const Sample& s) {
  std::vector<int64_t> dims(s.pixels.begin(), s.pixels.end());
  dims.push_back(s.classes);
  const Shape logits{std::span<const int64_t>(dims)};
  ConfusionProblem p = problem_of(s, true);
  const auto values = static_cast<double>(logits.numel());

  OpCase count = base_case("argmax_count", s, p);
  count.inputs = {{.shape = logits}, labels_of(s, s.label, 255)};
  count.run = [p](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::argmax_confusion(in[0], in[1], p.ignore_index)};
  };
  count.bytes = 4 * values + static_cast<double>(p.pixels) * static_cast<double>(size_of(s.label));
  list.cases.push_back(count);

  p.prediction = s.prediction;
  OpCase largest = base_case("argmax", s, p);
  largest.inputs = {{.shape = logits}};
  largest.run = [s](const std::vector<Tensor>& in) {
    return std::vector<Tensor>{kernels::argmax(in[0], s.prediction)};
  };
  largest.bytes = 4 * values + static_cast<double>(p.pixels) * static_cast<double>(size_of(s.prediction));
  list.cases.push_back(largest);
}

}  // namespace

void add_confusion_matrix_cases(CaseList& list) {
  for (const Sample& s : samples) add_count(list, s);
  add_count_of_second_image(list);
  for (const Sample& s : logit_samples) add_argmax(list, s);
  list.not_differentiable.push_back("confusion_matrix");

  const auto bad = [&](const char* what, std::function<void()> call, const char* text) {
    list.bad_inputs.push_back(
        {.op = "confusion_matrix", .descriptor = what, .call = std::move(call), .expected_text = text});
  };
  const auto labels = [](const Shape& s, DType t = DType::u8) { return Tensor::zeros(s, t); };
  bad(
      "shapes differ",
      [=] {
        kernels::confusion_matrix(labels({2, 3}), labels({3, 2}), 4, 255);
      },
      "must be u8 or i32 of one shape. Got u8 [2, 3] and u8 [3, 2] for 4 classes");
  bad(
      "i64",
      [=] {
        kernels::confusion_matrix(labels({2, 3}), labels({2, 3}, DType::i64), 4, 255);
      },
      "must be u8 or i32 of one shape. Got u8 [2, 3] and i64 [2, 3]");
  bad(
      "two devices",
      [=] {
        kernels::confusion_matrix(labels({2, 3}), labels({2, 3}).to(Device::sim), 4, 255);
      },
      "one device");
  bad(
      "integer logits",
      [=] {
        kernels::argmax(labels({2, 3, 4}));
      },
      "[argmax] logits must be f32, f64 or bf16 of shape [..., K] with a class or more. Got u8 [2, 3, 4]");
  bad(
      "no classes",
      [] {
        kernels::argmax(Tensor::zeros({2, 3, 0}));
      },
      "with a class or more. Got f32 [2, 3, 0]");
  bad(
      "too many classes for u8",
      [] {
        kernels::argmax(Tensor::zeros({2, 3, 257}));
      },
      "must be i32, or u8 for up to 256 classes. Got u8 for f32 [2, 3, 257]");
  bad(
      "labels of another size",
      [=] {
        kernels::argmax_confusion(Tensor::zeros({2, 3, 4}), labels({3, 2}), 255);
      },
      "one per pixel of the logits. Got u8 [3, 2] for f32 [2, 3, 4]");
}

}  // namespace atrous::cases
