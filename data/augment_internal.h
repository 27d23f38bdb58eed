// Parts of augment.cpp that tests and the loader use. Internal to data/.
#pragma once

#include "data/augment.h"

namespace atrous::data::internal {

// f32 [H, W, C], values in [0, 1], in place.
void jitter_colors(const Tensor& image, const AugmentOptions& options, Rng& rng);
// u8 [H, W, C] to another size: bilinear, antialiased when it shrinks.
Tensor resize_image(const Tensor& image, int64_t height, int64_t width);
// Separable Gaussian of radius ceil(3 sigma), mirrored at the edges.
void gaussian_blur(const Tensor& image, double sigma);

}  // namespace atrous::data::internal
