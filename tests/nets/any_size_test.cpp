// What holds for every network.
#include <catch2/catch.hpp>
#include <set>

#include "tests/core/tensors.h"
#include "tests/nets/tiny_models.h"

using namespace atrous;
using core_test::difference;
using core_test::noise;
using nets_test::tiny_models;
using nets_test::tiny_options;

namespace {

double largest(const Tensor& t) {
  return difference(t, Tensor::zeros(t.shape()));
}

// In evaluation mode. Start values of zero (scores) and of one (scales) hide mistakes: they are moved.
std::shared_ptr<layers::SegmentationModel> tiny(const char* model, Device device = Device::cpu) {
  const layers::BuildDeviceGuard there(device);
  const auto net = nets::build_model(tiny_options(model));
  net->initialise(5);
  uint64_t stream = 100;
  net->visit([&](const std::string&, const Variable* parameter, const Tensor* buffer) {
    const Tensor t = parameter ? parameter->value() : *buffer;
    ++stream;
    if (t.dtype() != DType::f32) return;
    const Tensor moved = t.to(Device::cpu).contiguous_copy_if_needed().clone(), by = noise(t.shape(), stream);
    for (int64_t i = 0; i < t.numel(); ++i) moved.data<float>()[i] += 0.1f * std::abs(by.data<float>()[i]);
    t.copy_from(moved);
  });
  net->eval();
  return net;
}

}  // namespace

TEST_CASE("Every network has a tiny form") {
  std::set<std::string> tested;
  for (const char* model : tiny_models) tested.insert(tiny_options(model).name);
  for (const char* model : nets_test::tiny_detectors) tested.insert(tiny_options(model).name);
  for (const std::string& name : nets::model_names()) CHECK(tested.count(name) == 1);
}

TEST_CASE("A hook changes the logits by rounding only: folded norms, fused activations, slices of buffers") {
  for (const char* model : tiny_models) {
    INFO(model);
    const auto net = tiny(model);
    const NoGradGuard no_tape;
    const layers::ImageSides sides = net->image_sides();
    const int64_t height = sides.only ? sides.smallest : std::max<int64_t>(70, sides.smallest),
                  width = sides.only ? sides.smallest : std::max<int64_t>(66, sides.smallest);
    const Variable image(noise({1, height, width, net->in_channels()}, 3));
    const Tensor plain = net->forward(image).logits.value().clone();
    int outputs = 0;
    Tensor hooked;
    {
      std::vector<std::unique_ptr<OutputHook>> hooks;
      for (const std::string& path : net->paths())
        hooks.push_back(net->find(path)->on_output([&](const Variable&) { ++outputs; }));
      hooked = net->forward(image).logits.value().clone();
    }
    CHECK(outputs > 1);
    CHECK(difference(hooked, plain) <= 1e-4f * std::max(1.0f, static_cast<float>(largest(plain))));
  }
}

TEST_CASE("The logits describe the whole image, whatever its size") {
  for (const char* model : tiny_models) {
    INFO(model);
    const auto net = tiny(model);
    std::shared_ptr<layers::SegmentationModel> shapes;
    {
      const layers::BuildDeviceGuard on_meta(Device::meta);
      shapes = nets::build_model(tiny_options(model));
      shapes->eval();
    }
    const NoGradGuard no_tape;
    const auto check = [&](layers::SegmentationModel& model_, int64_t height, int64_t width,
                           const Tensor& image) {
      const layers::SegmentationOutput out = model_.forward(Variable(image));
      const layers::Region& r = out.region;
      const int64_t rows = net->labels_pixels() ? height : 1, columns = net->labels_pixels() ? width : 1;
      if (r.top == 0 && r.left == 0 && r.height == rows && r.width == columns && out.logits.dim(1) >= 1 &&
          out.logits.dim(2) >= 1)
        return out;
      CAPTURE(height, width, r.height, r.width, out.logits.shape().str());
      FAIL("wrong region");
      return out;
    };
    // Sizes that the network does not take are refused, all others are not.
    const auto takes = [&](int64_t height, int64_t width) {
      const layers::ImageSides sides = net->image_sides();
      const int64_t least = std::min(height, width), largest_side = std::max(height, width);
      return least >= sides.smallest && (!sides.only || largest_side == sides.smallest);
    };
    // Shapes alone, without arithmetic.
    for (int64_t height = 1; height <= 65; ++height) {
      for (int64_t width = 1; width <= 65; ++width) {
        // Where there is one logit, squares are enough.
        if (!net->labels_pixels() && height != width) continue;
        if (!takes(height, width)) {
          const Tensor image =
              Tensor::empty({1, height, width, net->in_channels()}, DType::f32, Device::meta);
          CHECK_THROWS_WITH(shapes->forward(Variable(image)),
                            Catch::Contains(fmt::format("{0}x{0} pixels. Got {1}x{2}",
                                                        net->image_sides().smallest, height, width)));
          continue;
        }
        check(*shapes, height, width,
              Tensor::empty({1, height, width, net->in_channels()}, DType::f32, Device::meta));
      }
    }
    for (const auto& [height, width] : {std::pair<int64_t, int64_t>{1, 1},
                                        {1, 65},
                                        {2, 3},
                                        {28, 28},
                                        {33, 33},
                                        {33, 47},
                                        {64, 64},
                                        {65, 31},
                                        {97, 131}}) {
      if (!takes(height, width)) continue;
      const Tensor image = noise({1, height, width, net->in_channels()}, 1);
      const auto out = check(*net, height, width, image);
      CHECK(std::isfinite(largest(layers::full_resolution_logits(out).value())));
      const Shape expected = net->labels_pixels() ? Shape{1, height, width, net->num_classes()}
                                                  : Shape{1, 1, 1, net->num_classes()};
      CHECK(layers::full_resolution_logits(out).shape() == expected);
    }
  }
}

namespace {

struct Pass {
  Tensor logits;
  std::vector<Tensor> gradients;  // undefined where none flows
};

Pass pass_of(layers::SegmentationModel& net, const Tensor& image) {
  net.set_random_key({3, 4});
  const layers::SegmentationOutput out = net.forward(Variable(net.input_of(image)));
  const Variable full = layers::full_resolution_logits(out);
  std::vector<Variable> roots{full};
  if (out.aux.defined()) roots.push_back(out.aux);
  std::vector<Tensor> seeds;
  for (const Variable& root : roots) seeds.push_back(noise(root.shape(), 3).to(net.device()));
  backward(roots, seeds);
  Pass pass{full.value().to(Device::cpu), {}};
  for (const layers::NamedParameter& p : net.parameters()) {
    const Tensor& g = p.variable.grad();
    pass.gradients.push_back(g.defined() ? g.to(Device::cpu).contiguous_copy_if_needed() : Tensor());
    p.variable.clear_grad();
  }
  return pass;
}

// Relative, by norm over all parameters: a ReLU that rounding switches changes single ones.
double gradient_difference(const Pass& a, const Pass& b) {
  double squares = 0, norm = 0;
  REQUIRE(a.gradients.size() == b.gradients.size());
  for (size_t i = 0; i < a.gradients.size(); ++i) {
    REQUIRE(a.gradients[i].defined() == b.gradients[i].defined());
    if (!a.gradients[i].defined()) continue;
    for (int64_t j = 0; j < a.gradients[i].numel(); ++j) {
      const double x = a.gradients[i].data<float>()[j], y = b.gradients[i].data<float>()[j];
      squares += (x - y) * (x - y);
      norm += x * x;
    }
  }
  REQUIRE(norm > 0);
  return std::sqrt(squares / norm);
}

}  // namespace

TEST_CASE("The simulated GPU gives the logits and gradients of the CPU") {
  for (const char* model : tiny_models) {
    INFO(model);
    const auto cpu = tiny(model), sim = tiny(model, Device::sim);
    const layers::ImageSides sides = cpu->image_sides();
    const int64_t height = std::max<int64_t>(37, sides.smallest),
                  width = std::max<int64_t>(45, sides.smallest);
    const Tensor image = sides.only ? noise({2, sides.smallest, sides.smallest, cpu->in_channels()}, 2)
                                    : noise({2, height, width, cpu->in_channels()}, 2);
    const Pass a = pass_of(*cpu, image), b = pass_of(*sim, image);
    CHECK(largest(a.logits) > 0);
    CHECK(difference(a.logits, b.logits) <= 1e-4 * largest(a.logits));
    CHECK(gradient_difference(a, b) <= 1e-3);
    // Statistics of a few pixels multiply rounding errors by the layer: a hundred layers of two channels make
    // 1e-4 of 1e-7.
    cpu->train();
    sim->train();
    const Pass c = pass_of(*cpu, image), d = pass_of(*sim, image);
    CHECK(difference(c.logits, d.logits) <= 1e-2 * largest(c.logits));
    CHECK(gradient_difference(c, d) <= 5e-2);
  }
}
