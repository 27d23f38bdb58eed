// A dense CRF on an image of any size, within a bound on memory.
#pragma once

#include "eval/crf_options.h"

namespace atrous::eval {

struct CrfRefined {
  Tensor probabilities;  // f32 [H, W, L] in host memory
  int64_t tiles = 1;     // more than 1: the image did not fit, see refine
};

// Applies layers/dense_crf.h to the probabilities f32 [H, W, L] of an image u8 [H, W, 3], or of a grey one
// [H, W, 1], in host memory. The work is done on the device of the probabilities.
//
// Memory. Besides the image and the probabilities before and after, at most options.max_memory MiB are taken.
// Where the whole image needs more, it is halved along its longer side until each part fits; a part is
// refined with a margin around it, three standard deviations of the wider kernel but at most
// crf_widest_margin pixels, which is then cut off. That is an approximation: what lies beyond the margin is
// not seen, by the sums over all pixels nor by their normalisation, and lattices of parts are other lattices.
// A bilateral kernel with a large standard deviation relative to the image covers most of it through the
// margin only. The need: 800 bytes per pixel while the lattice is built (that of noise; a photograph's takes
// half), 200 for a spatial one, then what layers/dense_crf.h says, and with several parts one float more per
// pixel and class.
//
// Errors: sizes that differ, another number of channels (data); parts that cannot be halved, as
// a side would be shorter than crf_least_tile pixels, and do not fit either (usage; says the least
// max_memory that works); the errors of layers::DenseCrf.
CrfRefined refine(const Tensor& image, const Tensor& probabilities, const CrfOptions& options);
inline constexpr int64_t crf_widest_margin = 256, crf_least_tile = 64;

// The CRF of a whole image, for trying many weights on it (DenseCrf::with). Errors: as above; an image that
// needs more than options.max_memory with that many classes (usage).
layers::DenseCrf whole_crf(const Tensor& image, int64_t classes, Device device, const CrfOptions& options);

// The class of the largest probability, the first among equals: f32 [H, W, L] in host memory, L <= 256 -> u8
// [H, W].
Tensor labels_of(const Tensor& probabilities);

}  // namespace atrous::eval
