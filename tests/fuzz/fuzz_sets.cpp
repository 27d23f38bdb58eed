// Data sets that are described by files: opening a folder whose lists, tables and annotations are the input.
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "data/dataset.h"
#include "data/instances.h"
#include "harness.h"

using namespace atrous;
namespace fs = std::filesystem;

namespace {

struct Kind {
  const char* set;
  const char* file;  // what the input becomes
  bool instances;
};
constexpr Kind kinds[] = {
    {"voc2012", "ImageSets/Segmentation/train.txt", false},
    {"list", "train.txt", false},
    {"list", "classes.json", false},
    {"coco", "annotations/instances_train2017.json", true},
};

// The files that lists may name; empty, for nothing here opens them.
struct Root {
  const std::string path = fuzz::file_with({}, "sets") + ".d";
  Root() {
    for (const char* file :
         {"JPEGImages/a.jpg", "JPEGImages/b.jpg", "SegmentationClass/a.png", "SegmentationClass/b.png",
          "images/a.png", "images/b.png", "train2017/a.jpg", "train2017/b.jpg"}) {
      fs::create_directories((fs::path(path) / file).parent_path());
      std::ofstream(fs::path(path) / file);
    }
  }
  ~Root() {
    std::error_code ignored;
    fs::remove_all(path, ignored);
  }
};
const std::string& root() {
  static const Root files;
  return files.path;
}

}  // namespace

// A byte that chooses the set, then its file.
FUZZ_HARNESS(sets, bytes) {
  fuzz::Input input{bytes};
  const Kind& kind = kinds[input.take<uint8_t>() % std::size(kinds)];
  const fs::path file = fs::path(root()) / kind.file;
  fs::create_directories(file.parent_path());
  std::ofstream(file, std::ios::binary) << fuzz::text_of(input.left);
  if (std::string(kind.file) == "classes.json")
    std::ofstream(fs::path(root()) / "train.txt") << "images/a.png images/b.png\n";
  data::DataOptions options;
  options.dataset = kind.set;
  options.root = root();
  fuzz::accepts({ErrorKind::data, ErrorKind::config}, [&] {
    if (kind.instances) {
      const auto set = data::open_instance_dataset(options, "train", 0, 0);
      fuzz::require(set->size() > 0 && !set->describe().empty(), "an open set has images");
      for (int64_t i = 0; i < set->size(); ++i)
        for (const int64_t label : set->boxes(i).labels)
          fuzz::require(label >= 1 && label < set->num_classes(), "a label is a class");
    } else {
      const auto set = data::open_dataset(options, "train", 0, 0);
      fuzz::require(set->size() > 0 && !set->describe().empty(), "an open set has images");
      fuzz::require(set->classes().size() == static_cast<size_t>(set->num_classes()),
                    "every class has a name");
    }
  });
  for (const char* name : {"classes.json", "train.txt", kind.file}) fs::remove(fs::path(root()) / name);
}
