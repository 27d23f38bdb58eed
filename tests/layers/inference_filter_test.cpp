#include <catch2/catch.hpp>

#include "core/op_profile.h"
#include "core/parallel.h"
#include "layers/modules.h"
#include "tests/core/tensors.h"

using namespace atrous;
using core_test::difference;
using core_test::noise;
using layers::NormKind;

namespace {

struct Layer {
  std::shared_ptr<layers::Conv2d> conv;
  std::shared_ptr<layers::Norm> norm;

  Layer(int64_t in, int64_t out, NormKind norm_kind, uint64_t seed, int64_t groups = 1)
      : conv(std::make_shared<layers::Conv2d>(layers::Conv2dArgs{
            .in = in, .out = out, .pad = 1, .groups = groups, .bias = norm_kind == NormKind::none})),
        norm(layers::make_norm(norm_kind, out)) {
    conv->initialise(seed);
    if (norm) norm->initialise(seed + 1);
    if (norm) norm->eval();
  }
  Tensor infer(const Tensor& x) const {
    const NoGradGuard no_tape;
    return layers::conv_norm_act(*conv, norm.get(), Variable(x), {}).value();
  }
};

// A layer of the same values that has never run.
Tensor fresh_result(const Layer& like, NormKind norm_kind, const Tensor& x) {
  const layers::Conv2dArgs& args = like.conv->args;
  const Layer fresh(args.in, args.out, norm_kind, 99, args.groups);
  const auto copy = [](const layers::Module& from, const layers::Module& to) {
    std::vector<Tensor> values;
    from.visit([&](const std::string&, const Variable* p, const Tensor* b) {
      values.push_back(p ? p->value() : *b);
    });
    size_t i = 0;
    to.visit([&](const std::string&, const Variable* p, const Tensor* b) {
      (p ? p->value() : *b).copy_from(values[i++]);
    });
  };
  copy(*like.conv, *fresh.conv);
  if (like.norm) copy(*like.norm, *fresh.norm);
  return fresh.infer(x);
}

}  // namespace

TEST_CASE("What inference keeps of a filter follows every change of what it was made of") {
  struct Sizes {
    int64_t in, out, size, groups;
  };
  // Winograd tile by tile, direct sums in panels and in blocks of rows, groups, depthwise.
  for (const auto& [in, out, size, groups] :
       {Sizes{16, 32, 12, 1}, {48, 288, 4, 1}, {5, 7, 9, 1}, {8, 12, 9, 2}, {20, 20, 9, 20}}) {
    for (const NormKind norm_kind : {NormKind::none, NormKind::batch, NormKind::frozen}) {
      CAPTURE(in, out, atrous::name_of(norm_kind), groups);
      const Layer layer(in, out, norm_kind, 1, groups);
      const Tensor x = noise({1, size, size, in}, 2);
      std::vector<Tensor> sources{layer.conv->weight.value()};
      if (layer.conv->bias.defined()) sources.push_back(layer.conv->bias.value());
      if (layer.norm) {
        layer.norm->visit([&](const std::string&, const Variable* p, const Tensor* b) {
          const Tensor& t = p ? p->value() : *b;
          if (t.dtype() == DType::f32) sources.push_back(t);
        });
      }
      Tensor before = layer.infer(x);
      CHECK(difference(layer.infer(x), before) == 0);
      for (const Tensor& source : sources) {
        Tensor values = noise(source.shape(), 7);
        for (int64_t i = 0; i < values.numel(); ++i)
          values.data<float>()[i] = 1.5f + 0.1f * values.data<float>()[i];
        source.copy_from(values);
        const Tensor after = layer.infer(x);
        CHECK(difference(after, before) > 1e-3);
        CHECK(difference(after, fresh_result(layer, norm_kind, x)) == 0);
        before = after;
      }
    }
  }
}

TEST_CASE("A second inference neither folds nor packs, and training drops what was kept") {
  const int64_t groups = GENERATE(1, 16);
  const Layer layer(16, 16, NormKind::batch, 1, groups);
  const Tensor x = noise({1, 16, 16, 16}, 2);
  const auto folds = [&] {
    const OpProfile profile;
    layer.infer(x);
    int64_t calls = 0;
    for (const OpProfile::Row& row : profile.rows()) calls += row.entry == "batch_norm.fold" ? row.calls : 0;
    return calls;
  };
  CHECK(folds() == 1);
  CHECK(folds() == 0);
  layers::conv_norm_act(*layer.conv, layer.norm.get(), Variable(x, true), {});
  CHECK(folds() == 1);

  kernels::KeptFilters forms;
  int made = 0;
  const auto make = [&] {
    ++made;
    return kernels::FloatBuffer(4);
  };
  const float* first = forms.get("a", make).data();
  CHECK(forms.get("a", make).data() == first);
  CHECK(forms.get("b", make).data() != first);
  CHECK(made == 2);
}

TEST_CASE("Kept filters serve maps of any size, as a filter of its own would") {
  const Layer layer(32, 64, NormKind::batch, 1);
  for (const int64_t size : {3, 24, 5, 40, 3}) {
    const Tensor x = noise({1, size, size + 1, 32}, 2);
    CHECK(difference(layer.infer(x), fresh_result(layer, NormKind::batch, x)) == 0);
  }
}
