// The implementations of nms; private to this folder.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/nms/nms.h"

namespace atrous::kernels {

// Dense tensors; groups and valid may be undefined.
struct NmsInput {
  Tensor boxes, scores, groups, valid;

  static void each_tensor(auto& self, const auto& f) {
    for (auto* t : {&self.boxes, &self.scores, &self.groups, &self.valid}) f(*t);
  }
};

// At least one box and room for one.
using NmsFn = void(const NmsProblem&, const NmsInput& in, const NmsResult& out);
NmsFn nms_ref, nms_runs;
ATROUS_DECLARE_ON_GPU(NmsFn nms_naive, nms_tiles;)

// Whether a box takes part, and in which group.
struct NmsMembers {
  const int32_t* groups;  // or nothing: all in group 0
  const uint8_t* valid;   // or nothing
  int64_t count;          // of groups

  NmsMembers(const NmsProblem& p, const NmsInput& in)
      : groups(in.groups.defined() ? in.groups.device_data<int32_t>() : nullptr),
        valid(in.valid.defined() ? in.valid.device_data<uint8_t>() : nullptr),
        count(p.options.groups) {}
  ATROUS_HD int32_t group(int64_t i) const { return groups ? groups[i] : 0; }
  ATROUS_HD bool has(int64_t i) const { return (!valid || valid[i]) && group(i) >= 0 && group(i) < count; }
};

}  // namespace atrous::kernels
