#include "kernels/lattice_build/lattice_build.h"

#include <cmath>

#include "kernels/common/entry.h"
#include "kernels/lattice_build/lattice_build_impl.h"
#include "kernels/lattice_build/lattice_math.h"

namespace atrous::kernels {
namespace {

constexpr Entry<LatticeProblem, LatticeBuildFn> build{
    "lattice_build.build",
    {
        ATROUS_ON_GPU("sorted", f32_only, lattice_build_sorted),
        {"sorted", Device::cpu, f32_only, lattice_build_sorted},
        {"ref", Device::cpu, always, lattice_build_ref},
    }};
constexpr Entry<LatticeFeaturesProblem, LatticeFeaturesFn> bilateral{
    "lattice_build.features",
    {
        ATROUS_ON_GPU("rows", always, lattice_features_rows),
        {"rows", Device::cpu, always, lattice_features_rows},
        {"ref", Device::cpu, always, lattice_features_ref},
    }};

}  // namespace

std::string LatticeProblem::str() const {
  return fmt::format("n{} d{} {}", points, dims, name_of(dtype));
}

std::string LatticeFeaturesProblem::str() const {
  return fmt::format("{}x{} xy {} color {} {}", height, width, xy_std, color_std, name_of(dtype));
}

void refuse_features(const Tensor& features) {
  const Tensor host = features.to(Device::cpu).to(DType::f64);
  const int64_t dims = host.channels();
  for (int64_t p = 0; p < host.pixels(); ++p) {
    const double* row = host.data<double>() + p * dims;
    visit_lattice_dims(dims, [&](auto d) {
      constexpr int D = d();
      double point[D];
      std::string text;
      for (int i = 0; i < D; ++i) {
        point[i] = row[i];
        text += fmt::format("{}{:.6g}", i ? ", " : "", row[i]);
      }
      Simplex<double, D> s;
      find_simplex(point, LatticeScale<double>(), s);
      // A margin for rounding errors of f32 in the other direction.
      ATROUS_CHECK(s.reach <= 0.999 * double{lattice_most_reach}, ErrorKind::usage,
                   "[lattice_build] features must be finite, and not beyond {} steps of the lattice. Got "
                   "({}) for point {}. Look for NaN in the image, or take larger standard deviations.",
                   lattice_most_reach, text, p);
    });
  }
  fail(ErrorKind::internal, "[lattice_build] features of type {} were refused without a reason.",
       features.describe());
}

Lattice empty_lattice(const LatticeProblem& p, const Tensor& weight, int64_t vertices) {
  const Device device = weight.device();
  return {.points = p.points,
          .dims = p.dims,
          .vertices = vertices,
          .vertex = Tensor::empty({p.points, p.dims + 1}, DType::i32, device),
          .weight = weight,
          .neighbours = Tensor::empty({p.dims + 1, vertices, 2}, DType::i32, device),
          .splat_begin = Tensor::empty({vertices + 1}, DType::i32, device),
          .splat_entry = Tensor::empty({p.points * (p.dims + 1)}, DType::i32, device)};
}

Lattice lattice_build(const Tensor& features) {
  ATROUS_CHECK(
      features.rank() == 2 && (features.dtype() == DType::f32 || features.dtype() == DType::f64) &&
          features.dim(1) >= lattice_least_dims && features.dim(1) <= lattice_most_dims &&
          features.dim(0) >= 1,
      ErrorKind::usage,
      "[lattice_build] features must be f32 or f64 [N, d] with N >= 1 points and d = {} to {}. Got {}.",
      lattice_least_dims, lattice_most_dims, features.describe());
  const LatticeProblem p{features.dim(0), features.dim(1), features.dtype()};
  ATROUS_CHECK(p.points < (int64_t{1} << 31) / (p.dims + 1), ErrorKind::usage,
               "[lattice_build] points times d + 1 must stay below 2^31. Got {}. Take a smaller image.",
               p.str());
  Lattice lattice;
  // The number of vertices depends on the values.
  if (features.device() == Device::meta)
    lattice = empty_lattice(p, Tensor::empty({p.points, p.dims + 1}, p.dtype, Device::meta), 0);
  build(p, features.contiguous_copy_if_needed(), writes(lattice));
  return lattice;
}

Tensor bilateral_features(const Tensor& image, double xy_std, double color_std) {
  ATROUS_CHECK(image.rank() == 3 && image.dim(2) == 3 && image.numel() > 0 &&
                   (image.dtype() == DType::u8 || image.dtype() == DType::f32),
               ErrorKind::usage,
               "[bilateral_features] the image must be u8 or f32 (0 to 255) [H, W, 3] with pixels. Got {}.",
               image.describe());
  for (double std : {xy_std, color_std}) {
    ATROUS_CHECK(std > 0 && std::isfinite(std), ErrorKind::usage,
                 "[bilateral_features] standard deviations must be positive. Got {} for positions, {} for "
                 "colours.",
                 xy_std, color_std);
  }
  const LatticeFeaturesProblem p{image.dim(0), image.dim(1), static_cast<float>(xy_std),
                                 static_cast<float>(color_std), image.dtype()};
  const Tensor features = Tensor::empty({p.height * p.width, 5}, DType::f32, image.device());
  bilateral(p, image.contiguous_copy_if_needed(), writes(features));
  return features;
}

EntryList lattice_build_entries() {
  return {&build, &bilateral};
}

}  // namespace atrous::kernels
