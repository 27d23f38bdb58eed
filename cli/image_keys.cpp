#include "cli/image_keys.h"

#include <fmt/ranges.h>

#include <CLI/CLI.hpp>
#include <algorithm>

#include "core/error.h"
#include "data/list_dataset.h"
#include "train/config.h"

namespace atrous::cli {

void ImageKeys::add_option(CLI::App& command) {
  command
      .add_option("--set", overrides_,
                  fmt::format("How images are read, as in a config: {} (repeatable)", fmt::join(keys_, ", ")))
      ->type_name("KEY=VALUE")
      ->allow_extra_args(false);
}

data::ImageReadOptions ImageKeys::resolve() const {
  for (const std::string& set : overrides_) {
    const std::string key = set.substr(0, set.find('='));
    ATROUS_CHECK(std::find(keys_.begin(), keys_.end(), key) != keys_.end(), ErrorKind::config,
                 "[--set] this command knows the keys {}. Got \"{}\".", fmt::join(keys_, ", "), set);
  }
  return data::image_options(train::parse_config("{}", "--set", overrides_).data);
}

}  // namespace atrous::cli
