// Pictures of label maps: overlays, palettes, errors.
#pragma once

#include <array>
#include <string>
#include <vector>

#include "data/dataset.h"

namespace atrous::eval {

using Palette = std::vector<std::array<uint8_t, 3>>;

// The colour map of PASCAL VOC: the bits of the index are dealt in turn to red, green and blue, from the
// highest bit down (index 1 is 128,0,0; 255 is 224,224,192). 256 colours, so it also colours the ignored
// value.
Palette voc_palette();

// 256 colours: those of the classes, or VOC's where a set gives none (all of its classes black); 255 is VOC's
// white-ish.
Palette palette_of(const std::vector<data::ClassInfo>& classes);

// image u8 [H, W, C] (1 channel is grey, of more than 3 the first 3 are shown), labels u8 [H, W] -> u8 [H, W,
// 3]: class colours at `opacity` over the image, full colour where classes meet. Ignored pixels stay as they
// are.
Tensor overlay(const Tensor& image, const Tensor& labels, const Palette& palette, double opacity = 0.5);

// Puts a legend under a picture u8 [H, W, 3]: swatch, name and share of each class that `labels` holds, most
// frequent first.
Tensor with_legend(const Tensor& picture, const Tensor& labels, const std::vector<data::ClassInfo>& classes,
                   const Palette& palette);

// Pictures u8 [H, W, 3] side by side with a thin gap, aligned at the top.
Tensor side_by_side(const std::vector<Tensor>& pictures);

// A line of text above a picture u8 [H, W, 3].
Tensor with_heading(const Tensor& picture, const std::string& heading);

// The image alone, u8 [H, W, 3]: grey is repeated, of more than 3 channels the first 3 are shown.
Tensor as_picture(const Tensor& image);

// Where a prediction is wrong: u8 [H, W, 3], the image in pale grey, wrong pixels red, ignored ones dark
// blue.
Tensor error_map(const Tensor& image, const Tensor& label, const Tensor& prediction);

// A picture u8 [H, W, C] at most `max_width` wide: means of squares of whole pixels.
Tensor shrunk(const Tensor& picture, int64_t max_width);

}  // namespace atrous::eval
