#include "data/check_instances.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>
#include <set>
#include <utility>

#include "core/parallel.h"
#include "core/text.h"
#include "data/check_internal.h"
#include "data/class_match.h"
#include "data/notes.h"
#include "data/sets/instance_sets.h"

namespace atrous::data {
namespace {

struct Box {
  double x1, y1, x2, y2;
  double area() const { return std::max(0.0, x2 - x1) * std::max(0.0, y2 - y1); }
};

double iou(const Box& a, const Box& b) {
  const Box both{std::max(a.x1, b.x1), std::max(a.y1, b.y1), std::min(a.x2, b.x2), std::min(a.y2, b.y2)};
  const double joint = a.area() + b.area() - both.area();
  return joint > 0 ? both.area() / joint : 0;
}

struct FileReport {
  std::string id, size, error;
  uint64_t hash = 0;
  InstanceSplitReport counts;   // of this image alone
  int64_t corners_as_size = 0;  // boxes that fit their mask if width and height are read as the far corner
  std::string example;          // an object whose box and mask disagree
  // By label: a vector for all classes and images of a large set would take gigabytes.
  std::map<int32_t, int64_t> class_objects;
  // For mask pictures only.
  std::vector<int64_t> values;
  std::string scattered;  // its most scattered object
};

// A box against its mask. Crowds are left out: their boxes and scribbled masks often differ in official
// files.
void compare(FileReport& out, const Instances& objects, int64_t i) {
  const float* b = objects.box(i);
  const Box box{b[0], b[1], b[2], b[3]};
  const auto m = objects.masks[static_cast<size_t>(i)].bounds();
  const Box mask{static_cast<double>(m[0]), static_cast<double>(m[1]), static_cast<double>(m[2]),
                 static_cast<double>(m[3])};
  if (mask.area() == 0) {
    ++out.counts.masks_empty;
    return;
  }
  if (box.area() == 0 || iou(box, mask) >= 0.5) return;  // boxes without area are counted elsewhere
  ++out.counts.masks_beside_box;
  out.corners_as_size += iou({box.x1, box.y1, box.x2 - box.x1, box.y2 - box.y1}, mask) >= 0.5;
  if (out.example.empty()) {
    out.example = fmt::format("annotation {} of {}: box {:.0f},{:.0f} to {:.0f},{:.0f}, mask {},{} to {},{}",
                              objects.ids[static_cast<size_t>(i)], out.id, box.x1, box.y1, box.x2, box.y2,
                              m[0], m[1], m[2], m[3]);
  }
}

void count(FileReport& out, const Instances& objects) {
  InstanceSplitReport& c = out.counts;
  const auto w = static_cast<float>(objects.width), h = static_cast<float>(objects.height);
  for (int64_t i = 0; i < objects.size(); ++i) {
    const auto k = static_cast<size_t>(i);
    if (objects.crowd[k]) {
      ++c.crowds;
      continue;
    }
    ++c.objects;
    ++c.by_size[objects.areas[k] < 32 * 32 ? 0 : objects.areas[k] < 96 * 96 ? 1 : 2];
    ++out.class_objects[objects.labels[k]];
    const float* b = objects.box(i);
    const bool has_area =
        std::min(b[2], w) > std::max(b[0], 0.0f) && std::min(b[3], h) > std::max(b[1], 0.0f);
    c.boxes_degenerate += !has_area;
    c.boxes_outside += b[0] < -1 || b[1] < -1 || b[2] > w + 1 || b[3] > h + 1;
    if (!objects.masks.empty()) compare(out, objects, i);
  }
  c.most_objects = c.objects;
  c.images_without_objects = objects.size() == 0;
  c.images_with_crowds_only = c.objects == 0 && c.crowds > 0;
}

// Whether the values of a mask picture may be classes: then one value often occurs in several pieces. Of real
// masks of nuclei and persons less than 1 % are that scattered, of label pictures 16 % and more.
void look_for_classes(FileReport& out, const Instances& objects) {
  int64_t most = 0;
  for (size_t k = 0; k < objects.masks.size(); ++k) {
    const int64_t value = id_mask_value(objects.ids[k]);
    out.values.push_back(value);
    const internal::Pieces pieces = internal::pieces_of(objects.masks[k]);
    if (3 * pieces.largest >= 2 * pieces.area) continue;
    ++out.counts.objects_scattered;
    if (pieces.count <= most) continue;
    most = pieces.count;
    out.scattered = fmt::format("value {} of {} in {} places", value, out.id, pieces.count);
  }
}

FileReport check_file(const InstanceDataset& dataset, int64_t index, bool is_id_masks) {
  FileReport out;
  out.id = dataset.id(index);
  try {
    const InstanceSample sample = dataset.load(index);
    out.size = fmt::format("{}x{}", sample.image.dim(1), sample.image.dim(0));
    out.hash = internal::hash_pixels(sample.image);
    count(out, sample.instances);
    if (is_id_masks) look_for_classes(out, sample.instances);
  } catch (const Error& error) {
    if (error.kind() == ErrorKind::memory) throw;  // not an error of the file
    out.error = error.what();
  }
  return out;
}

void merge(InstanceSplitReport& into, const FileReport& file) {
  const InstanceSplitReport& from = file.counts;
  for (const auto member :
       {&InstanceSplitReport::objects, &InstanceSplitReport::crowds,
        &InstanceSplitReport::images_without_objects, &InstanceSplitReport::images_with_crowds_only,
        &InstanceSplitReport::boxes_degenerate, &InstanceSplitReport::boxes_outside,
        &InstanceSplitReport::masks_empty, &InstanceSplitReport::masks_beside_box,
        &InstanceSplitReport::objects_scattered}) {
    into.*member += from.*member;
  }
  for (size_t i = 0; i < 3; ++i) into.by_size[i] += from.by_size[i];
  into.most_objects = std::max(into.most_objects, from.most_objects);
  for (const auto& [label, objects] : file.class_objects) {
    into.class_objects[static_cast<size_t>(label)] += objects;
    ++into.class_images[static_cast<size_t>(label)];
  }
}

class Checker {
 public:
  Checker(InstanceCheckReport& report, bool allow_overlap) : report_(report), copies_(allow_overlap) {}

  void split(const std::string& name, const InstanceDataset& dataset, bool is_id_masks,
             int64_t faulty_records) {
    std::vector<FileReport> files(static_cast<size_t>(dataset.size()));
    parallel_for(dataset.size(), 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i)
        files[static_cast<size_t>(i)] = check_file(dataset, i, is_id_masks);
    });
    InstanceSplitReport split;
    split.split = name;
    split.images = dataset.size();
    split.faulty_records = faulty_records;
    split.class_objects.resize(static_cast<size_t>(dataset.num_classes()));
    split.class_images = split.class_objects;
    split.classes = dataset.classes();
    int64_t corners_as_size = 0;
    std::string example;
    for (const FileReport& f : files) {
      if (!f.error.empty()) {
        ++split.unreadable;
        say(true, f.error);
        continue;
      }
      ++split.sizes[f.size];
      merge(split, f);
      corners_as_size += f.corners_as_size;
      if (example.empty()) example = f.example;
      copies_.add(name, f.id, f.hash);
    }
    judge(split, dataset, corners_as_size, example);
    if (is_id_masks) warn_of_classes(split, files);
    report_.splits.push_back(std::move(split));
  }

  // Checks over all splits together.
  void finish() {
    for (Finding& f : copies_.findings()) report_.findings.push_back(std::move(f));
  }
  void say(bool is_error, const std::string& message) { report_.findings.push_back({is_error, message}); }

 private:
  void judge(const InstanceSplitReport& s, const InstanceDataset& dataset, int64_t corners_as_size,
             const std::string& example) {
    const bool trains = s.split == "train";
    // `what` after "1 image" and after "2 images".
    const auto warn = [&](int64_t number, const std::string& noun, const std::string& one,
                          const std::string& several, const std::string& consequence) {
      if (number == 0) return;
      const std::string plural = noun == "box" ? "boxes" : "";
      say(false, fmt::format("{}: {} {}{}", s.split, counted(number, noun, plural),
                             number == 1 ? one : several, consequence));
    };
    if (s.objects == 0 && s.crowds == 0 && s.faulty_records == 0 && s.unreadable < s.images) {
      say(s.split != "test",  // which may have no annotations
          fmt::format("{}: no image has an object. Check that images and annotations belong together.",
                      s.split));
    }
    warn(s.images_without_objects, "image", "has no object", "have no object",
         trains ? ". Training excludes such images unless data.keep_empty_images=true."
                : ": every detection in such images counts as wrong.");
    warn(s.images_with_crowds_only, "image", "has crowds only", "have crowds only",
         trains ? ". Training excludes such images."
                : ": detections on the crowds do not count, others count as wrong.");
    warn(s.boxes_degenerate, "box", "has no area inside its image", "have no area inside their image",
         trains ? ". Training excludes such objects." : ": scores of boxes count such objects as not found.");
    warn(s.boxes_outside, "box", "reaches more than a pixel beyond its image",
         "reach more than a pixel beyond their image",
         trains ? ". Training clips such boxes." : ". Scores use such boxes unchanged.");
    warn(s.masks_empty, "mask", "covers no pixel", "cover no pixel", ".");
    if (2 * corners_as_size > s.objects) {
      say(true, fmt::format(
                    "{}: most boxes fit their masks only if the last two numbers are the far corner. COCO's "
                    "bbox is x, y, width, height: convert the file.",
                    s.split));
    } else if (s.masks_beside_box > 0) {
      warn(s.masks_beside_box, "object", "has box and mask in different places",
           "have box and mask in different places", fmt::format(", for example {}.", example));
    }
    warn_of_absent(s, dataset);
  }

  // Label pictures given as masks: each class would become one object.
  void warn_of_classes(const InstanceSplitReport& s, const std::vector<FileReport>& files) {
    constexpr size_t enough_images = 10, most_named = 3;
    std::vector<const FileReport*> with_objects, scattered;
    bool same_values = true;
    for (const FileReport& f : files) {
      if (f.values.empty()) continue;
      with_objects.push_back(&f);
      same_values = same_values && f.values == with_objects[0]->values;
      if (!f.scattered.empty()) scattered.push_back(&f);
    }
    const char* remedy =
        "In such a mask every value is one object: if these are classes, give each object its own number, or "
        "train a semantic model (data.dataset=list).";
    if (s.objects_scattered >= 2 && 10 * s.objects_scattered >= s.objects) {
      std::string examples;
      for (size_t i = 0; i < std::min(scattered.size(), most_named); ++i)
        examples += (i ? ", " : "") + scattered[i]->scattered;
      say(false,
          fmt::format("{}: {} of {} objects, in {} of {}, are scattered over their image ({}{}). {}", s.split,
                      s.objects_scattered, s.objects, scattered.size(), counted(s.images, "image"), examples,
                      scattered.size() > most_named ? ", ..." : "", remedy));
    } else if (with_objects.size() >= enough_images && same_values && with_objects[0]->values.size() >= 2) {
      say(false, fmt::format("{}: all {} images with objects have the same {} values (up to {}). {}", s.split,
                             with_objects.size(), with_objects[0]->values.size(),
                             with_objects[0]->values.back(), remedy));
    }
  }

  void warn_of_absent(const InstanceSplitReport& s, const InstanceDataset& dataset) {
    std::vector<size_t> absent;
    int64_t classes = 0;
    for (size_t k = 1; k < s.class_objects.size(); ++k) {
      const bool is_gap = dataset.category_id(static_cast<int64_t>(k)) < 0;
      classes += !is_gap;
      if (s.class_objects[k] == 0 && !is_gap) absent.push_back(k);
    }
    if (absent.empty() || s.objects == 0) return;
    std::string names;
    for (size_t i = 0; i < std::min<size_t>(absent.size(), 3); ++i)
      names += (i ? ", " : "") + dataset.classes()[absent[i]].name;
    say(false, fmt::format("{}: {} of {} {} no object and {}: {}{}", s.split, absent.size(),
                           counted(classes, "class", "classes"), absent.size() == 1 ? "has" : "have",
                           s.split == "train" ? "cannot be learned" : "will not be scored", names,
                           absent.size() > 3 ? ", ..." : "."));
  }

  InstanceCheckReport& report_;
  internal::CopyFinder copies_;
};

std::string split_table(const InstanceSplitReport& s) {
  const std::vector<ClassInfo>& classes = s.classes;
  std::string out = fmt::format("\n{}: {}; sizes {}\n", s.split, counted(s.images, "image"),
                                internal::list_counts(s.sizes));
  out += fmt::format("  {} (small {}, medium {}, large {}), at most {} in an image; {}; {} without objects\n",
                     counted(s.objects, "object"), s.by_size[0], s.by_size[1], s.by_size[2], s.most_objects,
                     counted(s.crowds, "crowd"), counted(s.images_without_objects, "image"));
  size_t width = 7;
  for (const ClassInfo& c : classes) width = std::max(width, c.name.size());
  out += fmt::format("  {:>3}  {:<{}}  {:>9}  {:>7}  {:>7}\n", "id", "class", width, "objects", "share",
                     "images");
  for (size_t k = 1; k < s.class_objects.size(); ++k) {
    if (s.class_objects[k] == 0) continue;
    out +=
        fmt::format("  {:>3}  {:<{}}  {:>9}  {:>6.2f}%  {:>7}\n", k, classes[k].name, width,
                    s.class_objects[k], internal::percent(s.class_objects[k], s.objects), s.class_images[k]);
  }
  return out;
}

// A split with the labels of train. Classes that train lacks are an error, but the rest is still
// checked, with the split's own labels.
std::unique_ptr<InstanceDataset> open_for_check(Checker& checker, const DataOptions& options,
                                                const std::string& split, int64_t num_classes,
                                                int64_t in_channels, const ClassList& training,
                                                std::vector<std::string>& faults) {
  try {
    return open_instance_dataset(options, split, num_classes, in_channels,
                                 training.classes.empty() ? nullptr : &training, &faults);
  } catch (const Error& error) {
    if (error.kind() != ErrorKind::data || split == "train") throw;
    const ClassList own_labels;
    faults.clear();
    auto dataset = open_instance_dataset(options, split, 0, in_channels, &own_labels, &faults);
    checker.say(true, fmt::format("{}: {}", split, error.what()));
    return dataset;
  }
}

}  // namespace

int64_t InstanceCheckReport::errors() const {
  return std::count_if(findings.begin(), findings.end(), [](const Finding& f) { return f.is_error; });
}

std::string InstanceCheckReport::table() const {
  std::string out = fmt::format("data set: {} in {}\n", dataset, root);
  for (const std::string& note : notes) out += note + "\n";
  for (const InstanceSplitReport& s : splits) out += split_table(s);
  return out + internal::findings_table(findings);
}

std::string InstanceCheckReport::json() const {
  using Json = nlohmann::ordered_json;
  Json json{{"dataset", dataset},
            {"root", root},
            {"classes", Json::array()},
            {"notes", notes},
            {"splits", Json::array()}};
  for (const ClassInfo& c : classes) json["classes"].push_back({{"name", c.name}, {"color", c.color}});
  for (const InstanceSplitReport& s : splits) {
    json["splits"].push_back({{"split", s.split},
                              {"images", s.images},
                              {"unreadable", s.unreadable},
                              {"faults_in_records", s.faulty_records},
                              {"sizes", s.sizes},
                              {"objects", s.objects},
                              {"crowds", s.crowds},
                              {"most_objects", s.most_objects},
                              {"objects_by_size", s.by_size},
                              {"images_without_objects", s.images_without_objects},
                              {"images_with_crowds_only", s.images_with_crowds_only},
                              {"boxes_degenerate", s.boxes_degenerate},
                              {"boxes_outside", s.boxes_outside},
                              {"masks_empty", s.masks_empty},
                              {"masks_beside_box", s.masks_beside_box},
                              {"objects_scattered", s.objects_scattered},
                              {"class_objects", s.class_objects},
                              {"class_images", s.class_images}});
  }
  json["errors"] = Json::array();
  json["warnings"] = Json::array();
  for (const Finding& f : findings) json[f.is_error ? "errors" : "warnings"].push_back(f.message);
  // File names may hold any bytes; JSON may not.
  return json.dump(2, ' ', false, Json::error_handler_t::replace) + "\n";
}

InstanceCheckReport check_instances(const DataOptions& options, int64_t num_classes, int64_t in_channels,
                                    const std::vector<std::string>& splits) {
  InstanceCheckReport report;
  report.dataset = options.dataset;
  report.root = options.root;
  Checker checker(report, options.allow_overlap);
  // The training split defines the meaning of labels.
  ClassList training{
      .what = "the train split", .classes = {}, .objects = true, .numbers = {}, .can_grow = true};
  for (const std::string split : {"train", "val", "test"}) {
    const bool is_asked = std::find(splits.begin(), splits.end(), split) != splits.end();
    if (!splits.empty() && !is_asked) continue;
    std::vector<std::string> faults;
    const auto say_faults = [&] {
      for (const std::string& fault : faults) checker.say(true, fmt::format("{}: {}", split, fault));
      return static_cast<int64_t>(std::exchange(faults, {}).size());
    };
    try {
      // Only few sets have a test split with annotations.
      if (split == "test" && !is_asked && !has_instance_split(options, split)) continue;
      const auto dataset =
          open_for_check(checker, options, split, num_classes, in_channels, training, faults);
      const int64_t faulty = say_faults();
      if (report.classes.empty()) report.classes = dataset->classes();
      if (split == "train") training.classes = dataset->classes();
      const std::vector<std::string> notes = dataset->notes();
      report.notes.insert(report.notes.end(), notes.begin(), notes.end());
      checker.split(split, *dataset, has_id_masks(options.dataset), faulty);
    } catch (const Error& error) {
      say_faults();
      if (error.kind() != ErrorKind::data) throw;
      checker.say(true, fmt::format("{}: {}", split, error.what()));
    }
  }
  // Notes of the file readers are part of the result, not only printed on stderr.
  for (const Note& n : notes()) report.notes.push_back(n.line());
  checker.finish();
  return report;
}

}  // namespace atrous::data
