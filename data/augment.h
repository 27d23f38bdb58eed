// Random changes of a sample, acting on image and label together.
//
// All randomness comes from the Rng handed in, which the loader derives from (seed, epoch, sample), so a
// batch does not depend on which thread made it.
#pragma once

#include "core/random.h"
#include "data/dataset.h"

namespace atrous::data {

// How pixels outside the image are filled.
enum class Border {
  zero,     // border_color, label ignored
  reflect,  // mirrored about the outermost pixels
};
constexpr auto names_of(Border) {
  return std::to_array<Named<Border>>({{Border::zero, "zero"}, {Border::reflect, "reflect"}});
}

// Plain values of the `augment` section.
struct AugmentOptions {
  int64_t crop_height = 0;  // 0: no crop (all images of a batch must then have one size)
  int64_t crop_width = 0;
  double scale_min = 1.0;  // uniform random scale before the crop
  double scale_max = 1.0;
  // The scale is a fraction of the one at which the image just fits into the crop ("large scale jitter" when
  // uniform in [0.1, 2]), not of the image's own size.
  bool scale_to_crop = false;
  // Classification: the crop is a random part of the image, resized to the crop's size. Its share of the
  // image's area is uniform in [area_min, area_max], its width / height log-uniform in [aspect_min,
  // aspect_max] (Szegedy et al., arXiv:1409.4842, section 6).
  double area_min = 0.08, area_max = 1;
  double aspect_min = 0.75, aspect_max = 4.0 / 3;
  bool resized_crop = false;     // no config key: the loader of classification sets turns it on
  double flip_horizontal = 0.0;  // probabilities
  double flip_vertical = 0.0;
  double rotate_degrees = 0.0;        // uniform in [-d, d]
  bool rotate_quarter_turns = false;  // additionally 0, 90, 180 or 270 degrees
  double elastic_sigma =
      0.0;  // U-Net paper: standard deviation in pixels of a 3x3 grid of displacements; 0: off
  int64_t elastic_grid = 3;
  double brightness = 0.0;  // colour jitter, factors uniform in [1 - v, 1 + v]
  double contrast = 0.0;
  double saturation = 0.0;
  double hue = 0.0;             // fraction of the colour circle
  double blur_sigma_max = 0.0;  // Gaussian blur, sigma uniform in [0, max]
  Border border = Border::zero;
  // Per channel, in [0, 1]; no config key: the loader puts the mean here, which normalisation turns into
  // zero. Empty: black.
  std::vector<double> border_color = {};
};

// image u8 [H, W, C] -> f32 [h, w, C] in [0, 1] before normalisation, label warped along (nearest; no new
// values but ignore_label). Flips, turns, scale, rotation, elastic deformation and crop are one inverse map
// from output to source pixels, so the image is interpolated once:
//   source = (crop corner + rotate(output + elastic(output))) / scale, then flips and quarter turns
// Interpolation is bilinear; an image that shrinks to less than half is averaged down by a whole factor
// first, so that it does not alias. Without a crop the output has the image's size.
Sample augment(const Sample& sample, const AugmentOptions& options, Rng& rng);

// Resizes the image (bilinear, antialiased when shrinking) and the label (nearest) to the size of the
// options; no change for 0.
Sample resize_sample(const Sample& sample, int64_t height, int64_t width, bool resize_label);

// Classification: a u8 image resized to data.image_height x image_width, or as it is if they are 0.
Tensor resized(const Tensor& image, const DataOptions& data);
// What the network sees of a u8 image in evaluation: resized as above; else resized so that the shorter side
// is `short_side`, and of that the centre crop x crop. Numbers are rounded as in torchvision.
Tensor center_view(const Tensor& image, const DataOptions& data, int64_t short_side, int64_t crop);

// Mean and standard deviation per channel of values in [0, 1]: those of the options or their defaults.
// Error(config) if the options give another number of channels.
struct ChannelStatistics {
  std::vector<float> mean, inverse_std;
};
ChannelStatistics channel_statistics(const DataOptions& options, int64_t channels);

// u8 [0, 255] or f32 [0, 1] -> (value - mean) / std, f32.
Tensor normalize(const Tensor& image, const DataOptions& options);

}  // namespace atrous::data
