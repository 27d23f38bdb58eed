#include <filesystem>
#include <nlohmann/json.hpp>

#include "core/atomic_file.h"
#include "core/parallel.h"
#include "data/list_dataset.h"
#include "data/shapes.h"

namespace atrous::data {
namespace {

namespace fs = std::filesystem;
using Json = nlohmann::ordered_json;

// COCO's run lengths: column by column, starting with the pixels outside.
Json run_lengths(const Tensor& instance, uint8_t id) {
  const int64_t height = instance.dim(0), width = instance.dim(1);
  Json counts = Json::array();
  int64_t run = 0;
  bool inside = false;
  for (int64_t x = 0; x < width; ++x) {
    for (int64_t y = 0; y < height; ++y) {
      if ((instance.data<uint8_t>()[y * width + x] == id) != inside) {
        counts.push_back(run);
        run = 0;
        inside = !inside;
      }
      ++run;
    }
  }
  counts.push_back(run);
  return {{"size", {height, width}}, {"counts", std::move(counts)}};
}

struct SceneFiles {
  std::string name;  // "train_0000"
  Json annotations = Json::array();
};

SceneFiles write_scene(const fs::path& root, const ShapesOptions& options, const std::string& split,
                       int64_t number, int64_t index, const std::vector<Color>& palette) {
  const ShapeScene scene = generate_scene(options, index);
  SceneFiles files{.name = fmt::format("{}_{:04}", split, number)};
  write_png((root / "images" / (files.name + ".png")).string(), scene.image);
  write_png((root / "labels" / (files.name + ".png")).string(), scene.label, palette);
  write_png((root / "instances" / (files.name + ".png")).string(), scene.instance);
  for (size_t i = 0; i < scene.instances.size(); ++i) {
    const ShapeInstance& s = scene.instances[i];
    files.annotations.push_back({{"id", 0},  // numbered when all scenes exist
                                 {"image_id", number + 1},
                                 {"category_id", s.label},
                                 {"iscrowd", 0},
                                 {"area", s.area},
                                 {"bbox", {s.x0, s.y0, s.x1 - s.x0, s.y1 - s.y0}},
                                 {"segmentation", run_lengths(scene.instance, static_cast<uint8_t>(i + 1))}});
  }
  return files;
}

void write_split(const fs::path& root, const ShapesOptions& options, const std::string& split, int64_t count,
                 int64_t first_index, const std::vector<ClassInfo>& classes) {
  std::vector<Color> palette;
  for (const ClassInfo& c : classes) palette.push_back(c.color);
  std::vector<SceneFiles> scenes(static_cast<size_t>(count));
  parallel_for(count, 1, [&](int64_t begin, int64_t end) {
    for (int64_t i = begin; i < end; ++i) {
      scenes[static_cast<size_t>(i)] = write_scene(root, options, split, i, first_index + i, palette);
    }
  });
  std::string list;
  Json coco{{"images", Json::array()}, {"annotations", Json::array()}, {"categories", Json::array()}};
  for (SceneFiles& scene : scenes) {
    list += fmt::format("images/{0}.png labels/{0}.png\n", scene.name);
    coco["images"].push_back({{"id", coco["images"].size() + 1},
                              {"file_name", "images/" + scene.name + ".png"},
                              {"width", options.width},
                              {"height", options.height}});
    for (Json& annotation : scene.annotations) {
      annotation["id"] = coco["annotations"].size() + 1;
      coco["annotations"].push_back(std::move(annotation));
    }
  }
  for (size_t k = 1; k < classes.size(); ++k)
    coco["categories"].push_back({{"id", k}, {"name", classes[k].name}});
  write_file_atomically((root / (split + ".txt")).string(), list);
  write_file_atomically((root / ("instances_" + split + ".json")).string(), coco.dump() + "\n");
}

void make_folder(const fs::path& path) {
  std::error_code error;
  fs::create_directories(path, error);
  ATROUS_CHECK(!error, ErrorKind::io, "[shapes] the folder {} cannot be made: {}. Choose another --out.",
               path.string(), error.message());
}

// Far from the training scenes, so that a larger training set keeps the same validation set. A multiple of
// the numbers of shapes, 1 to 7.
constexpr int64_t first_val = 420 * (int64_t{1} << 32);

}  // namespace

void check_shapes(const ShapesOptions& options) {
  ATROUS_CHECK(options.train >= 1 && options.val >= 1 && options.train <= max_shapes_images &&
                   options.val <= max_shapes_images,
               ErrorKind::usage,
               "[shapes] each split needs an image, and has at most {}. Got {} for train and {} for val.",
               max_shapes_images, options.train, options.val);
  generate_scene(options, 0);
}

void write_shapes(const std::string& folder, const ShapesOptions& options) {
  const fs::path root(folder);
  check_shapes(options);  // before any file is written
  for (const char* name : {"images", "labels", "instances"}) make_folder(root / name);
  const std::vector<ClassInfo> classes = shape_classes(options.classes);
  write_split(root, options, "train", options.train, 0, classes);
  // Far from the training scenes, so that a larger training set keeps the same validation set.
  write_split(root, options, "val", options.val, int64_t{1} << 40, classes);
  ClassTable table{.classes = classes, .ids = {}, .ignore_index = ignore_label};
  write_class_table((root / "classes.json").string(), table);
}

void write_shape_folders(const std::string& folder, const ShapesOptions& options) {
  check_shapes(options);
  const std::vector<ClassInfo> classes = shape_classes(options.classes);
  struct Split {
    const char* name;
    int64_t images, first;
  };
  for (const Split& split : {Split{"train", options.train, 0}, Split{"val", options.val, first_val}}) {
    const fs::path root = fs::path(folder) / split.name;
    for (size_t k = 1; k < classes.size(); ++k) make_folder(root / classes[k].name);
    parallel_for(split.images, 1, [&](int64_t begin, int64_t end) {
      for (int64_t i = begin; i < end; ++i) {
        const std::string& name = classes[static_cast<size_t>(1 + i % (options.classes - 1))].name;
        write_png((root / name / fmt::format("{:04}.png", i)).string(),
                  generate_single_shape(options, split.first + i));
      }
    });
  }
}

}  // namespace atrous::data
