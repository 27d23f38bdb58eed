// Data sets that the tests make up.
#pragma once

#include "data/check.h"
#include "data/sets/sets.h"
#include "tests/data/files.h"

namespace atrous::data::test {

// A set under construction. Images and labels have 8 x 8 pixels; no two images are the same.
struct Made : TemporaryFolder {
  DataOptions options;
  explicit Made(const std::string& dataset) {
    options.dataset = dataset;
    options.root = path();
  }
  void image(const std::string& name) { write_bytes(file(name), jpeg_blocks(1, 1, {grey_ += 5}, 3, 0)); }
  // The values one after the other, again and again.
  static Tensor cycle(const std::vector<int>& values) {
    Tensor out = Tensor::empty({8, 8}, DType::u8);
    for (size_t i = 0; i < 64; ++i) out.data<uint8_t>()[i] = static_cast<uint8_t>(values[i % values.size()]);
    return out;
  }
  void label(const std::string& name, const std::vector<int>& values) {
    write_png(file(name), cycle(values));
  }
  void text(const std::string& name, const std::string& content) { write_text(file(name), content); }
  std::unique_ptr<Dataset> open(const std::string& split = "train") const {
    return open_dataset(options, split, 0, 0);
  }
  // The classes of the first label's first `count` pixels.
  std::vector<int> labels(size_t count, const std::string& split = "train") const {
    std::vector<int> all = values_of(open(split)->load(0).label);
    all.resize(count);
    return all;
  }
  std::vector<std::string> ids(const std::string& split = "train") const {
    const auto set = open(split);
    std::vector<std::string> out;
    for (int64_t i = 0; i < set->size(); ++i) out.push_back(set->id(i));
    return out;
  }
  CheckReport check() const { return check_data(options, 0, 0); }

 private:
  int grey_ = 0;
};

using Ids = std::vector<std::string>;

}  // namespace atrous::data::test
