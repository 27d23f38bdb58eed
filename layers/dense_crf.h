// Dense CRF (Krähenbühl and Koltun 2011, "Efficient Inference in Fully Connected CRFs with Gaussian Edge
// Potentials"): sharpens the class probabilities of a network along the edges of its image.
//
//   E(x) = sum_i -log P_i(x_i) + sum_{i<j} mu(x_i, x_j) (w_g exp(-|p_i - p_j|^2 / 2 s_g^2)
//                                       + w_b exp(-|p_i - p_j|^2 / 2 s_xy^2 - |I_i - I_j|^2 / 2 s_rgb^2))
//
// with positions p in pixels and colours I in 0..255. Mean field minimises it: Q = P, then `iterations` times
//
//   Q = softmax(log P - sum over both kernels of C(K Q))
//
// as in the authors' code and pydensecrf: K Q includes the pixel itself, all pixels are updated at once. The
// bilateral kernel is approximated on a permutohedral lattice (kernels/lattice_filter), the spatial one
// summed exactly (kernels/gaussian_filter) or on a second lattice, as pydensecrf does.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "core/names.h"
#include "kernels/lattice_build/lattice_build.h"
#include "kernels/mean_field/mean_field.h"

namespace atrous::layers {

// Normalisation of a kernel K with row sums n = K 1.
enum class CrfNormalization {
  symmetric,  // D K D, D = diag(n)^-1/2
  before,     // K diag(1/n)
  after,      // diag(1/n) K: a weighted mean
  none,       // K
};
constexpr auto names_of(CrfNormalization) {
  return std::to_array<Named<CrfNormalization>>({{CrfNormalization::symmetric, "symmetric"},
                                                 {CrfNormalization::before, "before"},
                                                 {CrfNormalization::after, "after"},
                                                 {CrfNormalization::none, "none"}});
}

// How the spatial kernel is summed.
enum class CrfSpatial {
  exact,    // over all pixels, to float precision
  lattice,  // on a permutohedral lattice: pydensecrf's numbers, and faster on CPUs
};
constexpr auto names_of(CrfSpatial) {
  return std::to_array<Named<CrfSpatial>>({{CrfSpatial::exact, "exact"}, {CrfSpatial::lattice, "lattice"}});
}

// The default is DeepLab v2's.
struct DenseCrfOptions {
  int64_t iterations = 10;  // 0: only the unary, P kept away from 0
  // Weights and standard deviations in pixels and grey levels. A kernel of weight 0 is absent.
  double gaussian_weight = 3, gaussian_xy = 3;
  double bilateral_weight = 4, bilateral_xy = 49, bilateral_rgb = 5;
  CrfNormalization normalization = CrfNormalization::symmetric;
  CrfSpatial spatial = CrfSpatial::exact;
  // The costs C(v) of L classes, with pydensecrf's meaning. Empty: Potts, -weight v. L values: their product
  // with v, so that negative ones attract. L*L, a matrix M: (M + M^T) / 2 v, so that positive ones off the
  // diagonal repel. The latter two replace the weight.
  std::vector<float> gaussian_compatibility = {}, bilateral_compatibility = {};
};

// Published parameters.
struct DenseCrfPreset {
  const char* name;
  const char* source;
  DenseCrfOptions options;
};
std::span<const DenseCrfPreset> dense_crf_presets();
// Options by the name of a preset; Error(config) with the names for any other.
DenseCrfOptions dense_crf_preset(const std::string& name);

// A CRF of one image: lattice and row sums, computed once for any number of iterations, classes and calls.
//
// Memory. The object holds 76 bytes per pixel (100 for the normalisations `before` and `after`) and 76 per
// vertex of the lattice (52 on a device); a spatial lattice 32 (44) and 40 (28) more. refine adds 4 floats
// per pixel and class and 1 per vertex and class (2). A photograph has some 0.1 to 1 vertices per pixel, no
// image more than 6; the spatial lattice has fewer than 0.2 for a deviation of 3.
class DenseCrf {
 public:
  // image: u8 [H, W, 3], or f32 in 0..255, on any device, where the work is then done. Errors: another shape
  // or type, no pixels (usage); options out of range (config).
  DenseCrf(const Tensor& image, const DenseCrfOptions& options);

  // The refined probabilities. probabilities: f32 [H, W, L], L >= 2, any pixel stride, on the image's device.
  // Errors: another size than the image's, another type or device, compatibilities for another number of
  // classes (usage); a pixel whose probabilities are negative, NaN or do not sum to 1 within
  // kernels::probability_sum_tolerance (data).
  Tensor refine(const Tensor& probabilities) const;

  // The same lattice and row sums with other iterations, weights and compatibilities, for searching these.
  // Errors (usage): standard deviations or a normalisation that differ, a kernel that this CRF does not have.
  DenseCrf with(const DenseCrfOptions& options) const;

  int64_t height() const { return height_; }
  int64_t width() const { return width_; }
  // Vertices of both lattices.
  int64_t vertices() const { return bilateral_.slice.vertices + spatial_.slice.vertices; }
  size_t state_bytes() const;  // held between calls

 private:
  DenseCrfOptions options_;
  int64_t height_ = 0, width_ = 0;
  Device device_ = Device::cpu;
  // A lattice, its weights times the factors of the normalisation on either side.
  struct Sides {
    kernels::Lattice splat, slice;
  };
  Sides sides_of(const Tensor& features, const Tensor& ones) const;

  Sides bilateral_, spatial_;                // spatial_: if it is on a lattice
  Tensor gaussian_before_, gaussian_after_;  // otherwise: [N] or undefined: 1
};

}  // namespace atrous::layers
