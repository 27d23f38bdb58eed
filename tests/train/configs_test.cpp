// Every recipe in configs/ is one that the program can run.
#include <catch2/catch.hpp>
#include <filesystem>
#include <set>

#include "nets/factory.h"
#include "train/config.h"
#include "train/optimizer.h"

using namespace atrous;
namespace fs = std::filesystem;

TEST_CASE("The recipes parse, their networks exist, and their parameter groups match") {
  std::set<std::string> networks;
  int recipes = 0;
  for (const fs::directory_entry& entry : fs::recursive_directory_iterator(ATROUS_SOURCE_DIR "/configs")) {
    if (entry.path().extension() != ".json") continue;
    INFO(entry.path().string());
    train::Config config;
    REQUIRE_NOTHROW(config = train::load_config(entry.path().string(), {}));
    CHECK((config.train.epochs > 0) != (config.train.max_steps > 0));
    CHECK(config.data.dataset.size() > 0);
    std::shared_ptr<layers::Model> model;
    REQUIRE_NOTHROW(model = nets::build_network(config.model));
    // The optimiser's tensors are as large as the network: only where groups or factors can be wrong.
    if (!config.optimizer.groups.empty() || config.optimizer.backbone_lr_factor != 1) {
      CHECK_NOTHROW(train::Optimizer(config.optimizer, model->parameters(),
                                     [&](const std::string& name) { return model->in_backbone(name); }));
    }
    networks.insert(config.model.name);
    ++recipes;
  }
  CHECK(recipes > 0);
}
