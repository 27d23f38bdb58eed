// Concatenation along channels.
#pragma once

#include <vector>

#include "core/autograd.h"

namespace atrous::layers {

// y[.., o_i + c] = x_i[.., c]. Shapes may differ in the last axis only. Copies; backward returns
// channel slices of dy, copied only where a view would keep too much of dy alive.
Variable concat(const std::vector<Variable>& parts);

// The same for producers that have already written their values into the slices of `buffer` (in order):
// nothing is copied. Error (internal) if a value is not the slice it should be.
Variable concat_in_place(const ConcatBuffer& buffer, const std::vector<Variable>& producers);

// A concatenation that is read while it grows (dense blocks): parts are written one behind the other into
// memory allocated for all of them, so nothing is copied. The memory may be a slice of another
// buffer.
class GrowingConcat {
 public:
  // memory: [N, H, W, channels of all parts]
  explicit GrowingConcat(Tensor memory) : memory_(std::move(memory)) {}
  // The slice into which the next part of so many channels must be written.
  Tensor room(int64_t channels) const;
  // Error (internal) if the part has not been written there.
  void append(const Variable& part);
  // All parts so far; undefined if there is none.
  const Variable& value() const { return value_; }

 private:
  Tensor memory_;
  Variable value_;
  int parts_ = 0;
};

}  // namespace atrous::layers
