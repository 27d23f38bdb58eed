// What norms add to a variance, and how fast their running statistics follow, in each family of networks.
#include <catch2/catch.hpp>
#include <set>

#include "layers/modules.h"
#include "tests/nets/tiny_models.h"

using namespace atrous;
using nets_test::tiny_options;

namespace {

using Constants = std::set<std::pair<double, double>>;  // eps and momentum

void collect(const layers::Module& module, Constants& found) {
  for (const auto& [name, child] : module.children()) {
    if (const auto* norm = dynamic_cast<const layers::BatchNorm2d*>(child.get()))
      found.insert({norm->eps, norm->momentum});
    collect(*child, found);
  }
}

Constants norms_of(const std::string& model) {
  Constants found;
  collect(*nets::build_model(tiny_options(model)), found);
  return found;
}

}  // namespace

TEST_CASE("batch norms have the eps and momentum of the network's reference") {
  const std::pair<double, double> usual{1e-5, 0.1};
  for (const char* name : {"resnet18", "vgg16_bn", "mobilenet_v2"})
    CHECK(norms_of(fmt::format(R"({{"name": "{}", "width_multiplier": 0.0625}})", name)) == Constants{usual});
  CHECK(norms_of(R"({"name": "unet", "base_width": 2, "depth": 3})") == Constants{usual});
  for (const char* name :
       {"mobilenet_v3_large", "mobilenet_v3_small", "efficientnet_lite0", "efficientnet_b0"})
    CHECK(norms_of(fmt::format(R"({{"name": "{}", "width_multiplier": 0.0625}})", name)) ==
          Constants{{1e-3, 0.01}});
  for (const char* name : {"resnet18", "vgg16_bn", "mobilenet_v2"})
    CHECK(norms_of(fmt::format(R"({{"name": "{}", "width_multiplier": 0.0625, "norm_eps": 0.25}})", name)) ==
          Constants{{0.25, 0.1}});
  // The backbone has TensorFlow's, the head around it the usual ones.
  CHECK(norms_of(R"({"name": "deeplabv3plus", "backbone": "xception65", "width_multiplier": 0.015625})") ==
        Constants{{1e-3, 0.1}, usual});
}
