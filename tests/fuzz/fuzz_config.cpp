// Configs and --set.
#include "harness.h"
#include "train/config.h"

using namespace atrous;

// The JSON, then overrides, with zero bytes between them.
FUZZ_HARNESS(config, bytes) {
  fuzz::Input input{bytes};
  const std::string text = input.take_text();
  std::vector<std::string> overrides;
  while (!input.left.empty() && overrides.size() < 8) overrides.push_back(input.take_text());
  fuzz::accepts({ErrorKind::config, ErrorKind::usage}, [&] {
    const train::Config config = train::parse_config(text, "x", overrides);
    const std::string written = train::to_json(config);
    const train::Config again = train::parse_config(written, "y", {});
    fuzz::require(train::to_json(again) == written, "a config is read as it was written");
    fuzz::require(train::changed_keys(config, again).empty(), "no key changes by writing");
  });
}
