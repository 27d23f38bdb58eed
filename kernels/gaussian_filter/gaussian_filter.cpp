#include "kernels/gaussian_filter/gaussian_filter.h"

#include <cmath>

#include "kernels/common/arguments.h"
#include "kernels/common/entry.h"
#include "kernels/common/pool2d.h"
#include "kernels/gaussian_filter/gaussian_filter_impl.h"

namespace atrous::kernels {
namespace gaussian_filter_impl {
namespace {

constexpr Entry<GaussianFilterProblem, FilterFn> filter{
    "gaussian_filter.filter",
    {
        ATROUS_ON_GPU("naive", f32_or_bf16, filter_naive),
        {"avx512", Device::cpu, f32_only, filter_avx512, {.needs = &needs_avx512}},
        {"avx2", Device::cpu, f32_only, filter_avx2, {.needs = &needs_avx2}},
        {"portable", Device::cpu, f32_only, filter_portable},
        {"ref", Device::cpu, f32_or_f64, filter_ref},
    },
    reach_whole};

Tensor factors(const char* name, const Tensor& t, const Tensor& x) {
  if (!t.defined()) return t;
  ATROUS_CHECK(
      t.numel() == x.pixels() && t.dtype() == x.dtype(), ErrorKind::usage,
      "[gaussian_filter] `{}` must have one factor per pixel, in the type of the values. Got {} for {}.",
      name, t.describe(), x.describe());
  return t.contiguous_copy_if_needed();
}

}  // namespace
}  // namespace gaussian_filter_impl

double GaussianFilterProblem::flops() const {
  const auto taps = [&](int64_t size) {
    return 2 * static_cast<double>(gaussian_taps(sigma, size).size()) - 1;
  };
  return 2 * static_cast<double>(batch * height * width * channels) * (taps(height) + taps(width));
}

std::string GaussianFilterProblem::str() const {
  return fmt::format("n{} h{} w{} c{} sigma {} {}", batch, height, width, channels, sigma, name_of(dtype));
}

std::vector<double> gaussian_taps(double sigma, int64_t farthest) {
  std::vector<double> taps;
  const auto tap = [&](int64_t r) {
    const double distance = static_cast<double>(r) / sigma;
    return std::exp(-0.5 * distance * distance);
  };
  // No radius below 5 sigma leaves so little outside; beyond 10 sigma, the rest is negligible.
  int64_t radius = farthest;
  if (static_cast<double>(farthest) > 5 * sigma) {
    const auto end = static_cast<int64_t>(std::ceil(10 * sigma));
    double all = 1, outside = 0;
    for (int64_t r = 1; r <= end; ++r) all += 2 * tap(r);
    for (radius = end; radius > 0 && outside + 2 * tap(radius) < 0x1p-24 * all; --radius)
      outside += 2 * tap(radius);
    radius = std::min(radius, farthest);
  }
  for (int64_t r = 0; r <= radius; ++r) taps.push_back(tap(r));
  return taps;
}

Tensor gaussian_filter(const Tensor& x, double sigma, const Tensor& before, const Tensor& after, Tensor out) {
  ATROUS_CHECK(x.defined() && x.rank() == 4 && is_floating(x.dtype()), ErrorKind::usage,
               "[gaussian_filter] needs a map [N, H, W, C] in f32, f64 or bf16. Got {}.",
               x.defined() ? x.describe() : "nothing");
  ATROUS_CHECK(std::isfinite(sigma) && sigma > 0, ErrorKind::usage,
               "[gaussian_filter] sigma must be above 0, in pixels. Got {}.", sigma);
  const Tensor from = gaussian_filter_impl::factors("before", before, x);
  const Tensor to = gaussian_filter_impl::factors("after", after, x);
  const GaussianFilterProblem problem{x.dim(0), x.dim(1), x.dim(2), x.dim(3), sigma, x.dtype()};
  const Tensor y = pool_target("gaussian_filter", std::move(out), x.shape(), x);
  ATROUS_CHECK(y.contiguous(), ErrorKind::usage, "[gaussian_filter] the output must be contiguous. Got {}.",
               y.describe());
  check_disjoint("gaussian_filter", y, x);
  if (y.numel() > 0) {
    gaussian_filter_impl::filter(problem, x, from, to, writes(y));
  }
  return y;
}

EntryList gaussian_filter_entries() {
  return {&gaussian_filter_impl::filter};
}

}  // namespace atrous::kernels
