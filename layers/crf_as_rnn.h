// CRF as RNN (Zheng et al. 2015, "Conditional Random Fields as Recurrent Neural Networks"): mean-field
// inference of a dense CRF (layers/dense_crf.h) as the last layer of a network, trained with it.
//
// From the scores U of L classes at every pixel, `iterations` times, beginning with z = U:
//
//   q = softmax(z)
//   m = W_g G q + W_b B q      message passing: weighted means of q, by position and by position and colour
//   z = U - C m                compatibility transform of the classes, and the unary scores again
//
// G and B are the Gaussian and the bilateral kernel of layers/dense_crf.h, each divided by its row sums: a
// weighted mean over the image. W_g, W_b (per pair of classes, or per class) and C (per pair) are learned.
// With W_g = w_g I, W_b = w_b I and C = -I, where training begins, z is the dense CRF's with Potts costs and
// the normalisation `after`.
//
// Gradients flow through all iterations to U, W_g, W_b and C; images and the widths of the kernels are
// constants. The backward pass of the lattice filter is its transpose, which blurs the axes in reverse order.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "core/names.h"
#include "kernels/lattice_build/lattice_build.h"
#include "layers/module.h"

namespace atrous::layers {

// Which weights of a kernel are learned.
enum class CrfWeightShape {
  full,      // L x L: per pair of classes
  diagonal,  // L: per class
};
constexpr auto names_of(CrfWeightShape) {
  return std::to_array<Named<CrfWeightShape>>(
      {{CrfWeightShape::full, "full"}, {CrfWeightShape::diagonal, "diagonal"}});
}

// The defaults are the paper's.
struct CrfAsRnnOptions {
  int64_t iterations_train = 5, iterations = 10;  // in training; otherwise
  // Standard deviations in pixels and grey levels.
  double gaussian_xy = 3, bilateral_xy = 160, bilateral_rgb = 3;
  CrfWeightShape weights = CrfWeightShape::full;     // of the kernels
  double gaussian_weight = 3, bilateral_weight = 5;  // start values on the diagonal
  // Mean and std with which images were normalised, per channel, for values in [0, 1]; empty: not normalised.
  // Not keys of a config: they follow from its data.mean and data.std.
  std::vector<double> mean, std;
};

// The kernels G and B of a batch of images: built once per forward pass, kept for backward.
class CrfKernels {
 public:
  // images: [N, H, W, C] in 0..255, f32, with C = 3 (colours) or 1 (grey values: one feature instead of
  // three). The work is done on their device; results are of type `dtype`, f32 or (on the CPU) f64.
  CrfKernels(const Tensor& images, const CrfAsRnnOptions& options, DType dtype = DType::f32);

  // q: [N, H, W, L] -> the same shape.
  Variable gaussian(const Variable& q) const;
  Variable bilateral(const Variable& q) const;

 private:
  // A lattice, and the same one whose weights are divided by the row sums: slicing from the latter gives
  // normalised values.
  struct ImageLattice {
    kernels::Lattice plain, normalised;
  };
  using Lattices = std::vector<ImageLattice>;
  static Tensor filter(const Lattices& lattices, const Tensor& x, bool transposed);

  double gaussian_xy_;
  Tensor gaussian_factor_;                    // [N, H, W]: 1 / row sum
  std::shared_ptr<const Lattices> lattices_;  // one per image
};

struct CrfWeights {
  Variable gaussian, bilateral;  // W_g, W_b: [L, L], or [L], their diagonals
  Variable compatibility;        // C [L, L]
};

// The refined scores z. unary: U [N, H, W, L], of the type of the kernels.
Variable crf_as_rnn(const Variable& unary, const CrfKernels& kernels, const CrfWeights& weights,
                    int64_t iterations);

class CrfAsRnn : public Module {
 public:
  // channels: of the images. Errors (config): options out of range, fewer than two classes, images of other
  // than 1 or 3 channels.
  CrfAsRnn(int64_t classes, int64_t channels, const CrfAsRnnOptions& options);

  // logits: [N, H, W, L]; image: [N, H, W, C], the network's normalised input. The CRF computes in f32, and
  // so are its results, whatever the type of the logits: their differences decide, and no further
  // activations follow whose memory bf16 would save.
  Variable forward(const Variable& logits, const Tensor& image) const;

  std::string kind() const override { return "CrfAsRnn"; }
  std::string arguments() const override;

  const CrfAsRnnOptions options;
  const CrfWeights weights;

 protected:
  void initialise_own(const KeyOf& key_of) override;

 private:
  CrfWeights register_weights(int64_t classes);
};

}  // namespace atrous::layers
