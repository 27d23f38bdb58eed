// A generated data set: textured backgrounds with overlapping shapes of several classes.
//
// Pixel-exact labels for semantic and instance segmentation at any size, from a seed, without downloads: the
// material of the demo, of tests and of benchmarks. Scene number i is a pure function of (options, i).
#pragma once

#include <string>
#include <vector>

#include "core/tensor.h"
#include "data/dataset.h"

namespace atrous::data {

inline constexpr int64_t max_shapes_images = 1000000;  // per split

struct ShapesOptions {
  int64_t train = 200;  // images
  int64_t val = 40;
  int64_t height = 96;
  int64_t width = 128;
  int64_t classes = 5;  // background included: 2 to 8
  uint64_t seed = 1;
};

struct ShapeInstance {
  int64_t label = 0;
  int64_t area = 0;                        // visible pixels
  int64_t x0 = 0, y0 = 0, x1 = 0, y1 = 0;  // visible box, [x0, x1) x [y0, y1)
};

struct ShapeScene {
  Tensor image;                          // u8 [H, W, 3]
  Tensor label;                          // u8 [H, W], 0 is background
  Tensor instance;                       // u8 [H, W]: 0 or 1 + number in `instances`
  std::vector<ShapeInstance> instances;  // back to front
};

// background, circle, square, triangle, star, ring, cross, bar
std::vector<ClassInfo> shape_classes(int64_t count);

ShapeScene generate_scene(const ShapesOptions& options, int64_t index);

// One shape of class 1 + index % (classes - 1), alone and whole; its colour says nothing about its class.
// u8 [H, W, 3].
Tensor generate_single_shape(const ShapesOptions& options, int64_t index);

// Error(usage) for options that no set can have; write_shapes() calls it too.
void check_shapes(const ShapesOptions& options);

// Writes images/, labels/ (palette PNG), instances/ (grey PNG), train.txt, val.txt, classes.json and COCO
// annotations instances_{train,val}.json (category ids are class ids; masks as uncompressed RLE). Files of
// those names are replaced. Error(io).
void write_shapes(const std::string& folder, const ShapesOptions& options);

// The same for classification: single shapes as train/<class>/*.png and val/<class>/*.png, as many of each
// class up to one. There is no class background. Error(io).
void write_shape_folders(const std::string& folder, const ShapesOptions& options);

}  // namespace atrous::data
