#include "data/shapes.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <numbers>

#include "core/random.h"
#include "data/list_dataset.h"

namespace atrous::data {
namespace {

constexpr double pi = std::numbers::pi;
constexpr uint64_t scene_stream = 0x736861706573;     // "shapes"
constexpr uint64_t single_stream = 0x73696e676c6573;  // "singles"

struct Point {
  double x = 0, y = 0;
};

std::vector<Point> regular_polygon(int corners, double inner) {
  std::vector<Point> points;
  for (int i = 0; i < corners; ++i) {
    const double r = i % 2 == 0 ? 1.0 : inner, angle = 2 * pi * i / corners - pi / 2;
    points.push_back({r * std::cos(angle), r * std::sin(angle)});
  }
  return points;
}

// Outlines within the unit circle; circle and ring have formulas instead.
const std::vector<Point>& outline(int64_t label) {
  static const std::vector<std::vector<Point>> outlines = {
      {},
      {},
      {{-0.75, -0.75}, {0.75, -0.75}, {0.75, 0.75}, {-0.75, 0.75}},
      regular_polygon(3, 1.0),
      regular_polygon(10, 0.42),
      {},
      {{-.3, -.95},
       {.3, -.95},
       {.3, -.3},
       {.95, -.3},
       {.95, .3},
       {.3, .3},
       {.3, .95},
       {-.3, .95},
       {-.3, .3},
       {-.95, .3},
       {-.95, -.3},
       {-.3, -.3}},
      {{-0.97, -0.22}, {0.97, -0.22}, {0.97, 0.22}, {-0.97, 0.22}},
  };
  return outlines.at(static_cast<size_t>(label));
}

bool contains(int64_t label, Point p) {
  const double r2 = p.x * p.x + p.y * p.y;
  if (label == 1) return r2 < 0.8;
  if (label == 5) return r2 < 0.9 && r2 > 0.25;
  bool inside = false;  // even-odd rule
  const std::vector<Point>& corners = outline(label);
  for (size_t i = 0, j = corners.size() - 1; i < corners.size(); j = i++) {
    const Point a = corners[i], b = corners[j];
    if ((a.y > p.y) != (b.y > p.y) && p.x < (b.x - a.x) * (p.y - a.y) / (b.y - a.y) + a.x) inside = !inside;
  }
  return inside;
}

// Smooth waves and grain around a colour.
struct Texture {
  std::array<double, 3> color{};
  std::array<Point, 2> waves{};
  std::array<double, 2> phases{};
  double contrast = 0;
  CounterRng grain{0, 0};

  Texture(Rng& rng, double hue, double saturation, double value, uint64_t grain_seed)
      : contrast(rng.uniform(0.08, 0.2)), grain(grain_seed, scene_stream) {
    for (size_t c = 0; c < 3; ++c) {
      const double wave = 0.5 + 0.5 * std::cos(2 * pi * (hue - static_cast<double>(c) / 3));
      color[c] = value * (1 - saturation + saturation * wave);
    }
    for (size_t k = 0; k < 2; ++k) {
      const double frequency = 2 * pi / rng.uniform(5, 25), angle = rng.uniform(0, pi);
      waves[k] = {frequency * std::cos(angle), frequency * std::sin(angle)};
      phases[k] = rng.uniform(0, 2 * pi);
    }
  }

  std::array<double, 3> at(double x, double y, uint64_t pixel) const {
    double shade = 1 + 0.25 * (grain.uniform(pixel) - 0.5);
    for (size_t k = 0; k < 2; ++k) shade += contrast * std::sin(waves[k].x * x + waves[k].y * y + phases[k]);
    return {color[0] * shade, color[1] * shade, color[2] * shade};
  }
};

struct Placement {
  int64_t label = 1;
  Point center;
  double radius = 0, angle = 0;
  int64_t x0 = 0, y0 = 0, x1 = 0, y1 = 0;  // pixels that may be covered

  bool covers(double x, double y) const {
    const double u = (x - center.x) / radius, v = (y - center.y) / radius;
    const double c = std::cos(angle), s = std::sin(angle);
    return contains(label, {c * u + s * v, c * v - s * u});
  }
};

void set_bounds(Placement& p, const ShapesOptions& options) {
  p.x0 = std::max<int64_t>(0, static_cast<int64_t>(p.center.x - p.radius) - 1);
  p.y0 = std::max<int64_t>(0, static_cast<int64_t>(p.center.y - p.radius) - 1);
  p.x1 = std::min(options.width, static_cast<int64_t>(p.center.x + p.radius) + 2);
  p.y1 = std::min(options.height, static_cast<int64_t>(p.center.y + p.radius) + 2);
}

Placement draw_placement(const ShapesOptions& options, Rng& rng) {
  const auto h = static_cast<double>(options.height), w = static_cast<double>(options.width);
  Placement p;
  p.label = rng.integer(1, options.classes - 1);
  p.radius = std::min(h, w) * rng.uniform(0.14, 0.3);
  p.center = {rng.uniform(0.3 * p.radius, w - 0.3 * p.radius),
              rng.uniform(0.3 * p.radius, h - 0.3 * p.radius)};
  p.angle = rng.uniform(0, 2 * pi);
  set_bounds(p, options);
  return p;
}

// Pixels whose centre the shape covers, if it may be placed here: it is large enough, and no earlier shape
// loses more than three quarters.
std::vector<int64_t> footprint(const Placement& p, const ShapeScene& scene,
                               const std::vector<int64_t>& full_area) {
  const int64_t width = scene.label.dim(1);
  std::vector<int64_t> pixels;
  std::vector<int64_t> visible;
  for (const ShapeInstance& s : scene.instances) visible.push_back(s.area);
  for (int64_t y = p.y0; y < p.y1; ++y) {
    for (int64_t x = p.x0; x < p.x1; ++x) {
      if (!p.covers(static_cast<double>(x) + 0.5, static_cast<double>(y) + 0.5)) continue;
      pixels.push_back(y * width + x);
      const uint8_t below = scene.instance.data<uint8_t>()[y * width + x];
      if (below) --visible[below - 1u];
    }
  }
  bool fits = pixels.size() >= 12;
  for (size_t i = 0; i < visible.size(); ++i) fits = fits && 4 * visible[i] >= full_area[i];
  return fits ? pixels : std::vector<int64_t>{};
}

void paint(const Placement& p, const Texture& texture, std::vector<double>& canvas, int64_t width) {
  for (int64_t y = p.y0; y < p.y1; ++y) {
    for (int64_t x = p.x0; x < p.x1; ++x) {
      int hits = 0;  // 2x2 samples soften the edge
      for (const double dy : {0.25, 0.75}) {
        for (const double dx : {0.25, 0.75})
          hits += p.covers(static_cast<double>(x) + dx, static_cast<double>(y) + dy);
      }
      if (hits == 0) continue;
      const int64_t pixel = y * width + x;
      const auto color =
          texture.at(static_cast<double>(x), static_cast<double>(y), static_cast<uint64_t>(pixel));
      for (size_t c = 0; c < 3; ++c) {
        double& value = canvas[static_cast<size_t>(pixel) * 3 + c];
        value += 0.25 * hits * (color[c] - value);
      }
    }
  }
}

void check(const ShapesOptions& o) {
  ATROUS_CHECK(o.classes >= 2 && o.classes <= 8, ErrorKind::usage,
               "[shapes] there are 2 to 8 classes, background included. Got {}.", o.classes);
  ATROUS_CHECK(o.height >= 16 && o.width >= 16 && o.height <= 8192 && o.width <= 8192, ErrorKind::usage,
               "[shapes] images are 16 to 8192 pixels high and wide. Got {} x {}.", o.height, o.width);
}

uint64_t grain_seed(Rng& rng) {
  return static_cast<uint64_t>(rng.integer(0, int64_t{1} << 62));
}

// Pale, of any hue: [H, W, 3].
std::vector<double> background(const ShapesOptions& options, Rng& rng) {
  std::vector<double> canvas(static_cast<size_t>(options.height * options.width * 3));
  const double hue = rng.uniform(), saturation = rng.uniform(0.05, 0.3), value = rng.uniform(0.35, 0.8);
  const Texture texture(rng, hue, saturation, value, grain_seed(rng));
  for (int64_t p = 0; p < options.height * options.width; ++p) {
    const auto color = texture.at(static_cast<double>(p % options.width),
                                  static_cast<double>(p / options.width), static_cast<uint64_t>(p));
    std::copy(color.begin(), color.end(), canvas.begin() + p * 3);
  }
  return canvas;
}

Tensor picture_of(const std::vector<double>& canvas, const ShapesOptions& options) {
  Tensor picture = Tensor::empty({options.height, options.width, 3}, DType::u8);
  for (size_t i = 0; i < canvas.size(); ++i)
    picture.data<uint8_t>()[i] = static_cast<uint8_t>(std::lround(255 * std::clamp(canvas[i], 0.0, 1.0)));
  return picture;
}

// Visible pixels and boxes, from the finished instance map.
void measure(ShapeScene& scene) {
  const int64_t height = scene.label.dim(0), width = scene.label.dim(1);
  for (ShapeInstance& s : scene.instances) s = {s.label, 0, width, height, 0, 0};
  for (int64_t y = 0; y < height; ++y) {
    for (int64_t x = 0; x < width; ++x) {
      const uint8_t id = scene.instance.data<uint8_t>()[y * width + x];
      if (id == 0) continue;
      ShapeInstance& s = scene.instances[id - 1u];
      ++s.area;
      s.x0 = std::min(s.x0, x);
      s.y0 = std::min(s.y0, y);
      s.x1 = std::max(s.x1, x + 1);
      s.y1 = std::max(s.y1, y + 1);
    }
  }
}

}  // namespace

std::vector<ClassInfo> shape_classes(int64_t count) {
  const std::vector<ClassInfo> all = {{"background", {0, 0, 0}}, {"circle", {230, 60, 60}},
                                      {"square", {70, 180, 75}}, {"triangle", {65, 105, 225}},
                                      {"star", {250, 210, 40}},  {"ring", {160, 60, 200}},
                                      {"cross", {70, 220, 220}}, {"bar", {245, 130, 50}}};
  return {all.begin(), all.begin() + count};
}

ShapeScene generate_scene(const ShapesOptions& options, int64_t index) {
  check(options);
  const int64_t height = options.height, width = options.width;
  Rng rng(options.seed, mix_streams(scene_stream, static_cast<uint64_t>(index)));
  ShapeScene scene;
  scene.label = Tensor::zeros({height, width}, DType::u8);
  scene.instance = Tensor::zeros({height, width}, DType::u8);
  std::vector<double> canvas = background(options, rng);
  const int64_t wanted = rng.integer(2, 5);
  std::vector<int64_t> full_area;
  for (int64_t attempt = 0; attempt < 8 * wanted && static_cast<int64_t>(scene.instances.size()) < wanted;
       ++attempt) {
    const Placement place = draw_placement(options, rng);
    const std::vector<int64_t> pixels = footprint(place, scene, full_area);
    if (pixels.empty()) continue;
    // The hue depends on the class; the tails of neighbouring classes overlap, so that only the outline
    // distinguishes them there.
    const double class_hue = static_cast<double>(place.label) / 7 + 0.03 * rng.normal();
    const double strength = rng.uniform(0.5, 0.9), brightness = rng.uniform(0.5, 0.95);
    const Texture fill(rng, class_hue, strength, brightness, grain_seed(rng));
    paint(place, fill, canvas, width);
    scene.instances.push_back({place.label});
    full_area.push_back(static_cast<int64_t>(pixels.size()));
    for (int64_t p : pixels) {
      scene.label.data<uint8_t>()[p] = static_cast<uint8_t>(place.label);
      scene.instance.data<uint8_t>()[p] = static_cast<uint8_t>(scene.instances.size());
    }
    measure(scene);
  }
  scene.image = picture_of(canvas, options);
  return scene;
}

Tensor generate_single_shape(const ShapesOptions& options, int64_t index) {
  check(options);
  const auto h = static_cast<double>(options.height), w = static_cast<double>(options.width);
  Rng rng(options.seed, mix_streams(single_stream, static_cast<uint64_t>(index)));
  std::vector<double> canvas = background(options, rng);
  Placement p;
  p.label = 1 + index % (options.classes - 1);
  p.radius = std::min(h, w) * rng.uniform(0.22, 0.45);
  p.center = {rng.uniform(p.radius, w - p.radius), rng.uniform(p.radius, h - p.radius)};
  p.angle = rng.uniform(0, 2 * pi);
  set_bounds(p, options);
  const double hue = rng.uniform(), strength = rng.uniform(0.5, 0.9), brightness = rng.uniform(0.5, 0.95);
  paint(p, Texture(rng, hue, strength, brightness, grain_seed(rng)), canvas, options.width);
  return picture_of(canvas, options);
}

}  // namespace atrous::data
