// `--set` on commands that read images without a config: the keys that say how images are read.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "data/image_io.h"

namespace CLI {
class App;
}

namespace atrous::cli {

class ImageKeys {
 public:
  // `keys`: those that the command uses, of data.exif, data.alpha and data.sixteen_bit.
  explicit ImageKeys(std::vector<std::string> keys) : keys_(std::move(keys)) {}
  void add_option(CLI::App& command);
  // Error(config) for other keys and bad values.
  data::ImageReadOptions resolve() const;

 private:
  std::vector<std::string> keys_, overrides_;
};

}  // namespace atrous::cli
