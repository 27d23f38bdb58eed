#include "data/warp.h"

#include <Eigen/Geometry>
#include <algorithm>
#include <cmath>
#include <numbers>

namespace atrous::data::internal {
namespace {

// Weights of `grid` nodes spread over n pixels, for each pixel: Catmull-Rom, end nodes repeated.
std::vector<double> cubic_weights(int64_t n, int64_t grid) {
  std::vector<double> weights(static_cast<size_t>(n * grid), 0.0);
  for (int64_t i = 0; i < n; ++i) {
    const double at = (static_cast<double>(i) + 0.5) / static_cast<double>(n) * static_cast<double>(grid - 1);
    const auto cell = std::min(static_cast<int64_t>(at), grid - 2);
    const double t = at - static_cast<double>(cell);
    const double w[4] = {((-t + 2) * t - 1) * t / 2, ((3 * t - 5) * t * t + 2) / 2,
                         ((-3 * t + 4) * t + 1) * t / 2, (t - 1) * t * t / 2};
    for (int64_t k = 0; k < 4; ++k) {
      weights[static_cast<size_t>(i * grid + std::clamp<int64_t>(cell + k - 1, 0, grid - 1))] += w[k];
    }
  }
  return weights;
}

Eigen::Affine2d affine(const Eigen::Matrix2d& linear, const Eigen::Vector2d& translation) {
  Eigen::Affine2d map;
  map.linear() = linear;
  map.translation() = translation;
  map.makeAffine();
  return map;
}

Eigen::Affine2d quarter_turn(int64_t turns, double height, double width) {
  switch (turns) {
    case 1:
      return affine(Eigen::Matrix2d{{0, 1}, {-1, 0}}, {0, height});  // output (x, y) shows source (y, H - x)
    case 2: return affine(Eigen::Matrix2d{{-1, 0}, {0, -1}}, {width, height});
    case 3: return affine(Eigen::Matrix2d{{0, -1}, {1, 0}}, {width, 0});
    default: return Eigen::Affine2d::Identity();
  }
}

Affine values_of(const Eigen::Matrix3d& m) {
  return {m(0, 0), m(0, 1), m(0, 2), m(1, 0), m(1, 1), m(1, 2)};
}

// A part of the image, in whole pixels.
struct Part {
  int64_t top = 0, left = 0, height = 0, width = 0;
};

// torchvision's RandomResizedCrop: ten draws of area and aspect, then the largest part in the middle whose
// aspect is in range.
Part draw_part(int64_t height, int64_t width, const AugmentOptions& o, Rng& rng) {
  const auto area = static_cast<double>(height * width);
  for (int attempt = 0; attempt < 10; ++attempt) {
    const double wanted = area * rng.uniform(o.area_min, o.area_max);
    const double aspect = std::exp(rng.uniform(std::log(o.aspect_min), std::log(o.aspect_max)));
    const int64_t w = std::llround(std::sqrt(wanted * aspect)), h = std::llround(std::sqrt(wanted / aspect));
    if (w < 1 || h < 1 || w > width || h > height) continue;
    const int64_t top = rng.integer(0, height - h);
    return {top, rng.integer(0, width - w), h, w};
  }
  const double own = static_cast<double>(width) / static_cast<double>(height);
  const double aspect = std::clamp(own, o.aspect_min, o.aspect_max);
  Part p{0, 0, height, width};
  if (own < aspect) p.height = std::max<int64_t>(1, std::llround(static_cast<double>(width) / aspect));
  if (own > aspect) p.width = std::max<int64_t>(1, std::llround(static_cast<double>(height) * aspect));
  p.top = (height - p.height) / 2;
  p.left = (width - p.width) / 2;
  return p;
}

}  // namespace

// By cofactors, each divided by the determinant: the cross products of the rows. (Eigen's inverse()
// multiplies by 1 / determinant, which rounds twice.)
Affine Affine::inverse() const {
  const Eigen::Vector3d x{a, b, c}, y{d, e, f}, one{0, 0, 1};
  Eigen::Matrix3d cofactors;
  cofactors << y.cross(one), one.cross(x), x.cross(y);
  return values_of(cofactors / cofactors(2, 2));
}

// The draws before the elastic part happen in every call, so that switching one of these changes off does not
// alter the others; elastic displacements, colours and blur draw only if they are switched on.
Warp draw_warp(int64_t source_height, int64_t source_width, const AugmentOptions& options, Rng& rng) {
  const auto h = static_cast<double>(source_height), w = static_cast<double>(source_width);
  const int64_t turns = rng.integer(0, 3);
  const bool flip_x = rng.coin(options.flip_horizontal), flip_y = rng.coin(options.flip_vertical);
  double scale = rng.uniform(options.scale_min, options.scale_max);
  const double angle = rng.uniform(-options.rotate_degrees, options.rotate_degrees) * std::numbers::pi / 180;
  const double shift_x = rng.uniform(), shift_y = rng.uniform();

  Eigen::Affine2d to_source = quarter_turn(options.rotate_quarter_turns ? turns : 0, h, w);
  const bool turned = options.rotate_quarter_turns && turns % 2 == 1;
  const double upright_w = turned ? h : w, upright_h = turned ? w : h;
  if (flip_x) to_source = to_source * Eigen::Translation2d(upright_w, 0) * Eigen::Scaling(-1.0, 1.0);
  if (flip_y) to_source = to_source * Eigen::Translation2d(0, upright_h) * Eigen::Scaling(1.0, -1.0);

  if (options.scale_to_crop) {
    scale *= std::min(static_cast<double>(options.crop_height) / upright_h,
                      static_cast<double>(options.crop_width) / upright_w);
  }
  Warp warp;
  warp.height = options.crop_height ? options.crop_height : static_cast<int64_t>(upright_h);
  warp.width = options.crop_width ? options.crop_width : static_cast<int64_t>(upright_w);
  // The corner of the crop in the scaled image: anywhere inside, or the image anywhere inside the crop.
  const auto corner = [](double size, int64_t crop, double shift) {
    const double room = std::round(size) - static_cast<double>(crop);
    return room >= 0 ? std::floor(shift * (room + 1)) : -std::floor(shift * (1 - room));
  };
  const Eigen::Vector2d crop_corner{corner(upright_w * scale, warp.width, shift_x),
                                    corner(upright_h * scale, warp.height, shift_y)};
  const Eigen::Vector2d center{static_cast<double>(warp.width) / 2, static_cast<double>(warp.height) / 2};
  // Rotation about the centre of the crop, then its corner, then the scale. Exact for scale 1 without
  // rotation. The order of the sums determines a run's results: another one changes the last bit of the map,
  // and with it samples.
  const Eigen::Matrix2d turn = Eigen::Rotation2Dd(angle).toRotationMatrix();
  const Eigen::Affine2d rotate =
      affine(turn, center - turn.col(0) * center.x() - turn.col(1) * center.y() + crop_corner);
  warp.map = values_of((to_source * (Eigen::Scaling(1 / scale) * rotate)).matrix());
  if (options.resized_crop) {
    const Part part =
        draw_part(static_cast<int64_t>(upright_h), static_cast<int64_t>(upright_w), options, rng);
    const Eigen::Affine2d turned_about_center = affine(turn, center - turn * center);
    const Eigen::Translation2d corner_of_part(static_cast<double>(part.left), static_cast<double>(part.top));
    const auto to_part = Eigen::Scaling(static_cast<double>(part.width) / static_cast<double>(warp.width),
                                        static_cast<double>(part.height) / static_cast<double>(warp.height));
    warp.map = values_of((to_source * corner_of_part * to_part * turned_about_center).matrix());
  }
  if (options.elastic_sigma > 0 && options.elastic_grid >= 2) {
    warp.grid = options.elastic_grid;
    for (int64_t i = 0; i < warp.grid * warp.grid; ++i) {
      warp.dx.push_back(rng.normal() * options.elastic_sigma);
      warp.dy.push_back(rng.normal() * options.elastic_sigma);
    }
    warp.row_weights = cubic_weights(warp.height, warp.grid);
    warp.column_weights = cubic_weights(warp.width, warp.grid);
  }
  return warp;
}

void source_row(const Warp& warp, int64_t y, int64_t begin, int64_t end, float* xs, float* ys) {
  const Affine& m = warp.map;
  const double v = static_cast<double>(y) + 0.5;
  std::vector<double> row_dx(static_cast<size_t>(warp.grid)), row_dy(static_cast<size_t>(warp.grid));
  for (int64_t i = 0; i < warp.grid; ++i) {
    for (int64_t j = 0; j < warp.grid; ++j) {
      const double weight = warp.row_weights[static_cast<size_t>(y * warp.grid + j)];
      row_dx[static_cast<size_t>(i)] += weight * warp.dx[static_cast<size_t>(j * warp.grid + i)];
      row_dy[static_cast<size_t>(i)] += weight * warp.dy[static_cast<size_t>(j * warp.grid + i)];
    }
  }
  for (int64_t x = begin; x < end; ++x) {
    double px = static_cast<double>(x) + 0.5, py = v;
    const double* weights = warp.column_weights.data() + x * warp.grid;
    for (int64_t i = 0; i < warp.grid; ++i) {
      px += weights[i] * row_dx[static_cast<size_t>(i)];
      py += weights[i] * row_dy[static_cast<size_t>(i)];
    }
    *xs++ = static_cast<float>(m.a * px + m.b * py + m.c - 0.5);
    *ys++ = static_cast<float>(m.d * px + m.e * py + m.f - 0.5);
  }
}

}  // namespace atrous::data::internal
