// Region proposal network (Ren et al., "Faster R-CNN", arXiv:1506.01497): boxes that may hold an object of
// any class. Constants, orders and names are torchvision's.
#pragma once

#include <memory>
#include <vector>

#include "nets/box_sampler.h"
#include "nets/detection_heads.h"
#include "nets/detection_options.h"
#include "nets/detection_transform.h"

namespace atrous::nets {

// Scores and offsets of all anchors of a batch: those of map 0, then of map 1, ...; within a map in the order
// y, x, anchor.
struct ScoredAnchors {
  Tensor anchors;                // f32 [A,4]: the same for every image
  std::vector<int64_t> per_map;  // how many of them belong to each map
  Variable objectness;           // [N,A], logits
  Variable deltas;               // [N,4A]
};

class RegionProposals : public layers::Module {
 public:
  // `strides`: image pixels per pixel of each map; `convs`: 3x3 convolutions before the scores.
  RegionProposals(const DetectionOptions& options, int64_t channels, const std::vector<int64_t>& strides,
                  int64_t convs);

  // image: [N,H,W,C] from which the maps were made.
  ScoredAnchors score(const std::vector<Variable>& maps, const Shape& image,
                      const layers::StageObserver& observe) const;
  // The best boxes of each image after suppression, best first: f32 [n_i,4] in host memory, inside the image.
  // No gradients flow through them.
  std::vector<Tensor> propose(const ScoredAnchors& scored, const std::vector<ImageSize>& sizes,
                              bool training) const;
  struct Losses {
    Variable objectness, box_reg;
  };
  // truths: boxes [G_i,4] of each image, in host memory.
  Losses losses(const ScoredAnchors& scored, const std::vector<Tensor>& truths, Rng& rng) const;

  // The anchors [A,4] of all maps [N,h,w,C], map by map.
  Tensor anchors_of(const std::vector<Shape>& maps, const Shape& image, Device device) const;

  const RpnHead& head() const { return *head_; }
  std::string kind() const override { return "RegionProposalNetwork"; }

 private:
  const DetectionOptions options_;
  const std::vector<int64_t> strides_;
  std::shared_ptr<RpnHead> head_;
};

// `values` as an i32 tensor on the device.
Tensor index_tensor(const std::vector<int32_t>& values, Device device);

}  // namespace atrous::nets
