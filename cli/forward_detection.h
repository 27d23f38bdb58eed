// `atrous forward` for detection models.
#pragma once

#include "core/safetensors.h"
#include "layers/detection_model.h"

namespace atrous::cli {

struct DetectionPass {
  bool train_mode = false;  // losses of given targets instead of detections
  bool backward = false;    // and their gradients
  bool stages = false;      // also the intermediate results
  uint64_t seed = 1;        // of the sampler
};

// in: the images, `input` [N,C,H,W] or `input.0`, `input.1`, ... [C,H,W] of different sizes, f32 in [0, 1];
// in train mode for image i also `boxes.i` f32 [G,4], `labels.i` i64 or i32 [G] and, for networks with masks,
// `masks.i` u8 [G,H,W]. Gives `boxes.i`, `labels.i`, `scores.i` and `masks.i` f32 [n,1,H,W], or the losses
// and `grad.<parameter>`; stages are named `stage.<name>`. Error(data) for tensors that do not fit.
NamedTensors run_detection(layers::DetectionModel& model, const TensorFile& in, const DetectionPass& pass);

}  // namespace atrous::cli
