// U-Net (Ronneberger, Fischer, Brox, "U-Net: Convolutional networks for biomedical image segmentation", 2015,
// arXiv:1505.04597).
//
// Levels l = 0 ... depth-1 with base_width * 2^l channels, each two 3x3 convolutions with ReLU; 2x2 max
// pooling on the way down; on the way up the map is doubled, joined with the skip of its level (skip first),
// and convolved twice; 1x1 scores.
//
// Two forms:
//   padding "valid": the paper's. Unpadded convolutions, 572x572 in and 388x388 out; norm "none" and dropout
//     at the end of the contracting path. A skip is cropped to the pixels that the doubled map covers: its
//     centre at the paper's sizes; where pooling drops an odd last row or column, that much less below or on
//     the right. So an output does not depend on how far the image extends beyond its receptive field.
//   padding "same": any input size; where pooling rounded an odd size down, the doubled map is padded
//     at the bottom and right.
//
// upsampling "transposed": 2x2 transposed convolution that halves the channels. "bilinear": align_corners =
// true, and the channels of the lowest level and of each block on the way up are halved instead.
//
// Names as in the widespread PyTorch form: inc.double_conv.0, down1.maxpool_conv.1.double_conv.3, up1.up,
// up1.conv..., outc.conv.
#pragma once

#include "nets/networks.h"

namespace atrous::nets {

struct UNetOptions {
  int64_t in_channels = 3;
  int64_t num_classes = 2;
  int64_t base_width = 64;
  int64_t depth = 5;
  bool valid = false;
  bool bilinear = false;
  layers::NormKind norm = layers::NormKind::batch;
  double dropout = 0;
};

ModelPtr make_unet(const UNetOptions& options);

}  // namespace atrous::nets
