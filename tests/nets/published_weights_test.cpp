// Weights by name: what a name means, and what is said if it means nothing or several files.
#include "nets/published_weights.h"

#include <catch2/catch.hpp>
#include <cstdlib>
#include <fstream>

#include "core/error.h"
#include "tests/temporary_folder.h"

using namespace atrous;
using Catch::Matchers::Contains;

namespace {

struct Folder {
  TemporaryFolder folder;
  Folder() { setenv("ATROUS_WEIGHTS", folder.path().c_str(), 1); }
  ~Folder() { unsetenv("ATROUS_WEIGHTS"); }
  std::string add(const std::string& name) const {
    std::ofstream(folder / name) << "x";
    return folder / name;
  }
};

std::string refusal(const std::string& name) {
  try {
    return "found " + nets::find_weights("model.weights", name);
  } catch (const Error& e) {
    CHECK(e.kind() == ErrorKind::checkpoint);
    return e.what();
  }
}

}  // namespace

TEST_CASE("a name of published weights is the file whose name it begins") {
  const Folder folder;
  const std::string resnet = folder.add("resnet18-f37072fd.pth"),
                    vgg_bn = folder.add("vgg16_bn-6c64b313.pth"), own = folder.add("mine_v2.safetensors");
  folder.add("resnet18-notes.txt");
  folder.add("resnet152-394f9c45.pth");
  CHECK(nets::find_weights("x", "resnet18") == resnet);
  CHECK(nets::find_weights("x", "resnet18#ema") == resnet + "#ema");
  CHECK(nets::find_weights("x", "vgg16_bn") == vgg_bn);
  CHECK(nets::find_weights("x", "mine") == own);
  CHECK_THAT(refusal("vgg16"), Contains("Got \"vgg16\", and there is none") &&
                                   Contains("https://download.pytorch.org/models/vgg16-397923af.pth") &&
                                   Contains("sha256sum` must begin with 397923af") &&
                                   Contains(folder.folder.path()));
  CHECK_THAT(refusal("resnet1"), Contains("there is none"));
  CHECK_THAT(refusal("resnet19"), Contains("Did you mean \"resnet18\"?"));

  folder.add("resnet18.safetensors");
  CHECK_THAT(refusal("resnet18"), Contains("must belong to one file") && Contains("resnet18.safetensors") &&
                                      Contains("resnet18-f37072fd.pth"));
}

TEST_CASE("a path is a path, whether the file exists or not") {
  const Folder folder;
  folder.add("resnet18-f37072fd.pth");
  for (const char* path : {"resnet18.pth", "./resnet18", "runs/resnet18", "/resnet18", ""})
    CHECK(nets::find_weights("x", path) == path);
}
