// The ops on regions of interest for parity_roi.py: `roi_ops in.safetensors out.safetensors`.
//
// The input has tensors named <case>.<what>; which of them there are says which ops the case is about:
//
//   rois f32 [R,5]; map0, map1, ... [N,H,W,C]; levels i32 [R]; scales f32 [maps]; dy [R,oh,ow,C];
//   align i64 (out height, out width, sampling ratio, aligned)  roi_align: align, align_grad0, ...
//   pool i64 (out height, out width)                            roi_pool: pool, pool_grad
//   targets i64 (size); masks u8 [G,H,W]                        mask_targets: targets
//   paste i64 (height, width); boxes f32 [n,4]; predicted [n,M,M]   paste_masks: torchvision, detectron2
#include <cstdio>
#include <set>

#include "core/error.h"
#include "core/safetensors.h"
#include "kernels/mask_targets/mask_targets.h"
#include "kernels/paste_masks/paste_masks.h"
#include "layers/roi_align.h"
#include "layers/roi_pool.h"

using namespace atrous;

namespace {

struct Case {
  const TensorFile& file;
  std::string name;
  NamedTensors& results;

  const Tensor* find(const std::string& what) const { return file.find(name + "." + what); }
  const Tensor& at(const std::string& what) const { return file.at(name + "." + what); }
  int64_t number(const char* what, int64_t i) const { return at(what).data<int64_t>()[i]; }
  void give(const std::string& what, const Tensor& t) const {
    results.emplace_back(name + "." + what, t.contiguous_copy_if_needed());
  }
};

void run_align(const Case& c) {
  layers::RoiAlignOptions options{
      c.number("align", 0), c.number("align", 1), {}, c.number("align", 2), c.number("align", 3) != 0};
  std::vector<Variable> maps;
  for (int i = 0; const Tensor* map = c.find("map" + std::to_string(i)); ++i) {
    maps.emplace_back(*map, true);
    options.scales.push_back(c.at("scales").data<float>()[i]);
  }
  const Tensor* levels = c.find("levels");
  const Variable y = layers::roi_align(maps, c.at("rois"), levels ? *levels : Tensor(), options);
  c.give("align", y.value());
  backward(y, c.at("dy"));
  for (size_t i = 0; i < maps.size(); ++i) c.give("align_grad" + std::to_string(i), maps[i].grad());
}

void run_pool(const Case& c) {
  const Variable x(c.at("map0"), true);
  const Variable y = layers::roi_pool(
      x, c.at("rois"), {c.number("pool", 0), c.number("pool", 1), c.at("scales").data<float>()[0]});
  c.give("pool", y.value());
  backward(y, c.at("dy"));
  c.give("pool_grad", x.grad());
}

void run_paste(const Case& c) {
  kernels::PasteMasksOptions options{.height = c.number("paste", 0), .width = c.number("paste", 1)};
  for (const bool binary : {false, true}) {
    options.binary = binary;
    const std::string suffix = binary ? "_u8" : "";
    options.rule = kernels::PasteRule::torchvision;
    c.give("torchvision" + suffix, kernels::paste_masks(c.at("predicted"), c.at("boxes"), options));
    options.rule = kernels::PasteRule::detectron2;
    c.give("detectron2" + suffix, kernels::paste_masks(c.at("predicted"), c.at("boxes"), options));
  }
}

}  // namespace

int main(int count, char** arguments) {
  if (count != 3) {
    std::fputs("usage: roi_ops in.safetensors out.safetensors\n", stderr);
    return 2;
  }
  try {
    const TensorFile file = read_safetensors(arguments[1]);
    std::set<std::string> names;
    for (const auto& [name, tensor] : file.tensors) names.insert(name.substr(0, name.rfind('.')));
    NamedTensors results;
    for (const std::string& name : names) {
      const Case c{file, name, results};
      if (c.find("align")) run_align(c);
      if (c.find("pool")) run_pool(c);
      if (c.find("targets"))
        c.give("targets", kernels::mask_targets(c.at("masks"), c.at("rois"), c.number("targets", 0)));
      if (c.find("paste")) run_paste(c);
    }
    write_safetensors(arguments[2], results);
  } catch (const Error& e) {
    std::fprintf(stderr, "%s\n", e.what());
    return 1;
  }
}
