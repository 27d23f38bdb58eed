#include "eval/crf.h"

#include <algorithm>
#include <cmath>
#include <limits>
#include <optional>
#include <vector>

#include "core/error.h"
#include "core/parallel.h"
#include "eval/logit_rows.h"

namespace atrous::eval {
namespace {

struct Rectangle {
  int64_t top, left, height, width;
  int64_t pixels() const { return height * width; }
};

// Rectangles of maps [H, W, C] in host memory.
void copy_rectangle(const Tensor& from, int64_t from_top, int64_t from_left, const Tensor& to, int64_t to_top,
                    int64_t to_left, int64_t height, int64_t width) {
  const auto pixel = static_cast<int64_t>(size_of(from.dtype())) * from.dim(2);
  for (int64_t y = 0; y < height; ++y) {
    std::copy_n(from.raw() + ((from_top + y) * from.dim(1) + from_left) * pixel, width * pixel,
                to.raw() + ((to_top + y) * to.dim(1) + to_left) * pixel);
  }
}

Tensor cropped(const Tensor& map, const Rectangle& r) {
  const Tensor result = Tensor::empty({r.height, r.width, map.dim(2)}, map.dtype());
  copy_rectangle(map, r.top, r.left, result, 0, 0, r.height, r.width);
  return result;
}

Tensor as_rgb(const Tensor& image) {
  ATROUS_CHECK(image.defined() && image.rank() == 3 && image.dtype() == DType::u8 &&
                   (image.dim(2) == 1 || image.dim(2) == 3),
               ErrorKind::data,
               "[crf] the bilateral kernel compares colours: an image must be u8 [H, W, 3], or [H, W, 1] for "
               "grey. Got {}. Leave the CRF out for images with other channels.",
               image.defined() ? image.describe() : "nothing");
  if (image.dim(2) == 3) return image.contiguous_copy_if_needed();
  const Tensor rgb = Tensor::empty({image.dim(0), image.dim(1), 3}, DType::u8);
  for (int64_t i = 0; i < image.numel(); ++i)
    std::fill_n(rgb.data<uint8_t>() + 3 * i, 3, image.data<uint8_t>()[i]);
  return rgb;
}

// Estimates, as crf.h states them.
struct Need {
  int64_t classes;
  double building;  // bytes per pixel while lattices are built
  bool tiles = false;

  Need(int64_t l, const CrfOptions& o)
      : classes(l),
        building((o.bilateral_weight != 0 ? 800 : 0) +
                 (o.gaussian_weight != 0 && o.spatial == layers::CrfSpatial::lattice ? 200 : 0)) {}

  double refining(int64_t pixels, int64_t vertices) const {
    const double maps = tiles ? 20 : 16;
    return static_cast<double>(classes) *
           (maps * static_cast<double>(pixels) + 8 * static_cast<double>(vertices));
  }
  // The size of a lattice is known only when it is built; this much is a lower bound.
  double at_least(int64_t pixels) const {
    return std::max(building * static_cast<double>(pixels),
                    4 * static_cast<double>(pixels) + refining(pixels, 0));
  }
  double of(const layers::DenseCrf& crf) const {
    const int64_t pixels = crf.height() * crf.width();
    return std::max(at_least(pixels),
                    static_cast<double>(crf.state_bytes()) + refining(pixels, crf.vertices()));
  }
};

double mib(double bytes) {
  return std::ceil(bytes / (1 << 20));
}

// Halves the parts that do not fit. Parts are taken in a fixed order; only the arguments determine them.
class Refiner {
 public:
  Refiner(const Tensor& rgb, const Tensor& probabilities, const CrfOptions& options)
      : rgb_(rgb),
        probabilities_(probabilities),
        options_(options),
        whole_{0, 0, rgb.dim(0), rgb.dim(1)},
        need_(probabilities.dim(2), options),
        bound_(static_cast<double>(options.max_memory) * (1 << 20)) {
    double widest = 0;
    if (options.gaussian_weight != 0) widest = options.gaussian_xy;
    if (options.bilateral_weight != 0) widest = std::max(widest, options.bilateral_xy);
    margin_ = static_cast<int64_t>(std::min<double>(std::ceil(3 * widest), crf_widest_margin));
  }

  CrfRefined run() {
    if (std::optional<Tensor> result = try_part(whole_)) return {result->to(Device::cpu), 1};
    // Parts are cut from maps on the host; only they are on the device.
    probabilities_ = probabilities_.to(Device::cpu).contiguous_copy_if_needed();
    result_ = Tensor::empty(probabilities_.shape());
    split(whole_);
    return {result_, tiles_};
  }

 private:
  // The refined probabilities of a part; nothing if it does not fit.
  std::optional<Tensor> try_part(const Rectangle& r) {
    if (need_.at_least(r.pixels()) > bound_) return std::nullopt;
    const bool all = r.pixels() == whole_.pixels();
    const layers::DenseCrf crf((all ? rgb_ : cropped(rgb_, r)).to(device_), options_);
    if (need_.of(crf) > bound_) return std::nullopt;
    return crf.refine((all ? probabilities_ : cropped(probabilities_, r)).to(device_));
  }

  void split(const Rectangle& core) {
    need_.tiles = true;
    const std::vector<Rectangle> parts = halves(core);
    if (parts.empty()) fail_least();
    for (const Rectangle& part : parts) {
      if (!try_core(part)) split(part);
    }
  }

  // Empty if the parts would be too small.
  static std::vector<Rectangle> halves(const Rectangle& core) {
    const bool rows = core.height >= core.width;
    const int64_t first = (rows ? core.height : core.width) / 2;
    if (first < crf_least_tile) return {};
    return {{core.top, core.left, rows ? first : core.height, rows ? core.width : first},
            {core.top + (rows ? first : 0), core.left + (rows ? 0 : first), core.height - (rows ? first : 0),
             core.width - (rows ? 0 : first)}};
  }

  // A part with its margin.
  Rectangle seen_by(const Rectangle& core) const {
    const int64_t top = std::max<int64_t>(0, core.top - margin_),
                  left = std::max<int64_t>(0, core.left - margin_);
    return {top, left, std::min(whole_.height, core.top + core.height + margin_) - top,
            std::min(whole_.width, core.left + core.width + margin_) - left};
  }

  [[noreturn]] void fail_least() {
    need_.tiles = false;
    const double least = least_for(whole_, whole_);
    fail(ErrorKind::usage,
         "[crf] the image of {} x {} pixels must fit the memory allowed, whole or in parts of at least {} x "
         "{} pixels with a margin of {}. The least that works is {:.0f} MiB, allowed are {} MiB. Allow that "
         "(--max-memory, eval.crf.max_memory), or use smaller standard deviations.",
         whole_.height, whole_.width, crf_least_tile, crf_least_tile, margin_, mib(least),
         options_.max_memory);
  }

  // The least bound in bytes with which a core gets refined, whole (seen, as need_ counts) or in parts. The
  // need of a lattice is known only when it is built. Parts are tried first and rule most larger ones out, so
  // no lattice is built that could not be within a bound that works.
  double least_for(const Rectangle& core, const Rectangle& seen) {
    const Need own = need_;
    double least = std::numeric_limits<double>::infinity();
    if (const std::vector<Rectangle> parts = halves(core); !parts.empty()) {
      need_.tiles = true;
      least = 0;
      for (const Rectangle& part : parts) least = std::max(least, least_for(part, seen_by(part)));
    }
    if (own.at_least(seen.pixels()) >= least) return least;
    const layers::DenseCrf crf(cropped(rgb_, seen).to(device_), options_);
    return std::min(least, own.of(crf));
  }

  bool try_core(const Rectangle& core) {
    const Rectangle seen = seen_by(core);
    const std::optional<Tensor> refined = try_part(seen);
    if (!refined) return false;
    copy_rectangle(refined->to(Device::cpu), core.top - seen.top, core.left - seen.left, result_, core.top,
                   core.left, core.height, core.width);
    ++tiles_;
    return true;
  }

  Tensor rgb_, probabilities_, result_;
  const CrfOptions& options_;
  Rectangle whole_;
  Need need_;
  double bound_;
  Device device_ = probabilities_.device();
  int64_t margin_ = 0, tiles_ = 0;
};

}  // namespace

CrfRefined refine(const Tensor& image, const Tensor& probabilities, const CrfOptions& options) {
  const Tensor rgb = as_rgb(image);
  ATROUS_CHECK(probabilities.defined() && probabilities.rank() == 3 && probabilities.dim(0) == rgb.dim(0) &&
                   probabilities.dim(1) == rgb.dim(1),
               ErrorKind::data,
               "[crf] image and probabilities must have one size. Got an image of {} x {} pixels and "
               "probabilities {} (H, W, classes). Resize one to the other.",
               rgb.dim(0), rgb.dim(1), probabilities.defined() ? probabilities.shape().str() : "of nothing");
  return Refiner(rgb, probabilities, options).run();
}

layers::DenseCrf whole_crf(const Tensor& image, int64_t classes, Device device, const CrfOptions& options) {
  const Tensor rgb = as_rgb(image);
  const Need need(classes, options);
  const auto check = [&](double needed) {
    ATROUS_CHECK(needed <= static_cast<double>(options.max_memory) * (1 << 20), ErrorKind::usage,
                 "[crf] the whole image of {} x {} pixels must fit the memory allowed. It needs at least "
                 "{:.0f} MiB, allowed are {} MiB. Allow more (--max-memory, eval.crf.max_memory).",
                 rgb.dim(0), rgb.dim(1), mib(needed), options.max_memory);
  };
  check(need.at_least(rgb.dim(0) * rgb.dim(1)));
  const layers::DenseCrf crf(rgb.to(device), options);
  check(need.of(crf));
  return crf;
}

Tensor labels_of(const Tensor& probabilities) {
  const int64_t h = probabilities.dim(0), w = probabilities.dim(1), k = probabilities.dim(2);
  const Tensor labels = Tensor::empty({h, w}, DType::u8);
  parallel_for(h, 8, [&](int64_t begin, int64_t end) {
    for (int64_t y = begin; y < end; ++y)
      argmax_row(probabilities.data<float>() + y * w * k, w, k, labels.data<uint8_t>() + y * w);
  });
  return labels;
}

}  // namespace atrous::eval
