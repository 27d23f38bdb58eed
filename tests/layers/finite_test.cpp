// Where NaN and Inf begin: names of weights, inputs, ops and modules.
#include "layers/finite.h"

#include <catch2/catch.hpp>
#include <limits>

#include "layers/modules.h"

using namespace atrous;
using namespace atrous::layers;
using Catch::Contains;

namespace {

class TwoConvs : public Model {
 public:
  TwoConvs()
      : first(register_module<Conv2d>("first", Conv2dArgs{.in = 1, .out = 1, .kernel = 1})),
        second(register_module<Conv2d>("second", Conv2dArgs{.in = 1, .out = 1, .kernel = 1})) {
    initialise(1);
  }
  Variable forward(const Tensor& x) const { return second->forward(first->forward(Variable(x))); }
  int64_t num_classes() const override { return 1; }
  int64_t in_channels() const override { return 1; }
  int64_t output_stride() const override { return 1; }
  std::string kind() const override { return "two convolutions"; }
  std::shared_ptr<Conv2d> first, second;
};

const Tensor image = Tensor::full({1, 2, 2, 1}, 2);

std::string message_of(const TwoConvs& net, const Tensor& x) {
  try {
    fail_not_finite(
        net, {.where = "here", .output = "the sum", .inputs = {&x, 1}, .repeat = [&] { net.forward(x); }});
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::diverged);
    return e.what();
  }
}

Tensor weight_of(const Conv2d& conv) {
  return conv.parameters().at(0).variable.value();
}

}  // namespace

TEST_CASE("What is not finite is named: an input, before a weight, before the op that overflows") {
  const TwoConvs net;
  weight_of(*net.first).fill(3e38);
  CHECK_THAT(message_of(net, image), Contains("[here] the sum must be finite. Got NaN or Inf") &&
                                         Contains("in first is NaN or Inf") && !Contains("learning rate"));
  weight_of(*net.first).fill(1e38);
  weight_of(*net.second).fill(10);
  CHECK_THAT(message_of(net, image), Contains("in second is NaN or Inf"));
  weight_of(*net.second).fill(std::numeric_limits<double>::quiet_NaN());
  CHECK_THAT(message_of(net, image), Contains("the weights hold NaN or Inf in \"second.weight\""));
  const Tensor bad = Tensor::full({1, 2, 2, 1}, std::numeric_limits<double>::infinity());
  CHECK_THAT(message_of(net, bad), Contains("input 0 holds NaN or Inf"));
}

TEST_CASE("Weights that are not finite are listed by name") {
  const TwoConvs net;
  check_weights_finite(net, "here", "Nothing.");
  for (const NamedParameter& p : net.parameters())
    p.variable.value().fill(std::numeric_limits<double>::quiet_NaN());
  try {
    check_weights_finite(net, "here", "Use another.");
    FAIL("no error");
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::diverged);
    CHECK_THAT(e.what(),
               Contains("[here] weights") &&
                   Contains("\"first.weight\", \"first.bias\", \"second.weight\" and 1 more. Use another."));
  }
}
