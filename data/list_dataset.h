// A data set as a list of files, from any source, and the class tables of list files.
//
// A list file has one `image label` pair per line, relative to the root of the set (list_text.h says how
// lines are read). Nothing is repaired: missing fields or files, duplicates, paths that leave the root and
// images shared by train and val are errors.
#pragma once

#include <functional>
#include <optional>

#include "data/dataset.h"
#include "data/label_map.h"

namespace atrous::data {

struct ListEntry {
  std::string id;     // file stem; where stems repeat within the list, see assign_ids()
  std::string image;  // relative to the root
  std::string label;  // empty: no label (test lists only)
  int64_t line = 0;
};

// `label_optional` admits lines with an image only. `strip_prefix` is removed from the start of each path if
// present. Absolute paths must lie below `root`. `faults` as in read_list_lines().
std::vector<ListEntry> read_list(const std::string& path, bool label_optional,
                                 const std::string& strip_prefix = "", const std::string& root = "",
                                 std::vector<std::string>* faults = nullptr);

// Fills in the ids: stems; where stems repeat, paths without extension; where those repeat, whole paths.
// Error(data) for a path that occurs twice; with `faults`, it is added to them and the entry left out. `list`
// is for messages.
void assign_ids(std::vector<ListEntry>& entries, const std::string& list,
                std::vector<std::string>* faults = nullptr);

// classes.json: {"classes": [{"id": 0, "name": "sky", "color": [128, 128, 128]}, ...], "ignore_index": 11}.
// `id` is the value in label files; entry number k is class k. The ignored value may be listed too: it is no
// class.
struct ClassTable {
  std::vector<ClassInfo> classes;
  std::vector<int64_t> ids;  // file value of each class
  std::optional<int64_t> ignore_index;
};
ClassTable read_class_table(const std::string& path);
void write_class_table(const std::string& path, const ClassTable& table);

// Colours for classes that have none: well separated, class 0 is black.
Color default_color(int64_t k);

// A likely reason why there is no file of that name: "", or a sentence.
std::string missing_file_hint(const std::string& name);

// Error(data) names the first file of the entries that does not exist.
void check_files_exist(const std::string& root, const std::string& split,
                       const std::vector<ListEntry>& entries);

// The same for one entry, for `atrous data check`, which lists them all.
void check_entry_exists(const std::string& root, const ListEntry& entry);

// Options for reading images.
ImageReadOptions image_options(const DataOptions& options);

class ListDataset final : public Dataset {
 public:
  struct Parts {
    std::string name, split, root;
    std::vector<ListEntry> entries;
    LabelMap label_map;
    std::vector<ClassInfo> classes;
    int64_t in_channels = 3;
    bool unknown_to_ignore = false;
    bool accept_wide_labels = false;      // 16-bit labels: only where the label map defines them
    std::string left_out = {};            // SplitPlan's
    std::vector<std::string> notes = {};  // notes on matched classes and assumptions, lines of text
    bool check_files = true;              // when the set is opened; otherwise check_exists() does
    // Checks label values that the label map allows but a file of this set must not hold: "", or the error.
    std::function<std::string(const LabelFile&)> objection = {};
    ImageReadOptions image;
  };
  // Checks that every file exists, unless check_files is false.
  explicit ListDataset(Parts parts);

  int64_t size() const override { return static_cast<int64_t>(parts_.entries.size()); }
  std::string id(int64_t index) const override { return entry(index).id; }
  Sample load(int64_t index) const override;
  Tensor load_label(int64_t index) const override;
  int64_t num_classes() const override { return parts_.label_map.num_classes(); }
  int64_t in_channels() const override { return parts_.in_channels; }
  const std::vector<ClassInfo>& classes() const override { return parts_.classes; }
  bool can_occur(int64_t label) const override { return parts_.label_map.has_class(label); }
  std::string describe() const override;
  const std::vector<std::string>& notes() const { return parts_.notes; }
  const LabelMap& label_map() const { return parts_.label_map; }
  const std::string& left_out() const { return parts_.left_out; }
  // Error(data) if a file of the image does not exist.
  void check_exists(int64_t index) const { check_entry_exists(parts_.root, entry(index)); }
  std::string image_path(int64_t index) const;
  std::string label_path(int64_t index) const;  // empty: no label
  LabelFile label_file(int64_t index) const;    // as stored; the image must have a label

 private:
  const ListEntry& entry(int64_t index) const { return parts_.entries.at(static_cast<size_t>(index)); }
  Parts parts_;
};

// The list file that the options name for a split.
const std::string& list_name(const DataOptions& options, const std::string& split);

// Whether the set has this split at this root. Error as for open_dataset where its files contradict each
// other.
bool has_split(const DataOptions& options, const std::string& split);

// open_dataset() for callers that need the list itself. With `faults`, those of the lines of its lists are
// added to them and the line left out, and whether files exist is not checked: check_exists() does.
std::unique_ptr<ListDataset> open_list_dataset(const DataOptions& options, const std::string& split,
                                               int64_t num_classes, int64_t in_channels,
                                               const ClassList* classes = nullptr,
                                               std::vector<std::string>* faults = nullptr);

}  // namespace atrous::data
