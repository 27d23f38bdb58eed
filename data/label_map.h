// The only code in which values of label files become classes.
//
// A label map maps every value (or colour) that may occur in a file to a class, or to
// "ignored". Anything else is an error that names file, position, value and remedy: values are never guessed,
// shifted or clamped.
//
// Text form, entries separated by commas:
//   "0:0,1:1,255:ignore"           file value : class
//   "0:ignore,1-150:0"             a range: its first value is class 0, the next class 1, ...
//   "0:0,1-254:=1"                 a range whose values are all class 1
//   "#ff0000:0,#000000:ignore"     colour : class, for RGB label images
//   "identity"                     values below the number of classes are the classes, 255 is ignored
#pragma once

#include <map>
#include <set>
#include <string>
#include <vector>

#include "core/tensor.h"
#include "data/dataset.h"
#include "data/image_io.h"

namespace atrous::data {

class LabelMap {
 public:
  static LabelMap identity(int64_t num_classes);
  // Error(config) that names the entry.
  static LabelMap parse(const std::string& text, int64_t num_classes);

  bool uses_colors() const { return !colors_.empty(); }
  int64_t num_classes() const { return num_classes_; }
  // Class, ignore_label, or unknown.
  int16_t lookup(int64_t value) const;
  int16_t lookup(const Color& color) const;
  static constexpr int16_t unknown = -1;

  // u8 [H, W] of classes and ignore_label. Error(data) for unknown values, unless they are to be ignored.
  Tensor apply(const LabelFile& file, const std::string& path, bool unknown_to_ignore) const;

  // Whether any value or colour is this class.
  bool has_class(int64_t label) const;
  // The same values with other classes: class k becomes labels[k], or is ignored if that is negative.
  LabelMap relabelled(const std::vector<int64_t>& labels, int64_t num_classes) const;
  // The classes of `source` that this map makes its class `label`, where both contain the value or colour.
  std::set<int64_t> classes_in(const LabelMap& source, int64_t label) const;

  // "0:sky 1:building ... 11:ignore"; runs of equal values are shortened.
  std::string describe(const std::vector<ClassInfo>& classes) const;

 private:
  explicit LabelMap(int64_t num_classes) : num_classes_(num_classes), values_(65536, unknown) {}
  void add(const std::string& entry);
  Tensor apply_indices(const LabelFile& file, const std::string& path, bool unknown_to_ignore) const;
  Tensor apply_colors(const LabelFile& file, const std::string& path, bool unknown_to_ignore) const;

  int64_t num_classes_;
  std::vector<int16_t> values_;         // by file value
  std::map<uint32_t, int16_t> colors_;  // by 0xrrggbb
};

// "#80ff00"
std::string hex(const Color& color);

}  // namespace atrous::data
