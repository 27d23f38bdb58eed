// How properties of image files that a network cannot use are handled.
#pragma once

#include "core/names.h"

namespace atrous::data {

// The orientation (EXIF) of a picture: turn it, or read it as stored.
enum class ExifPolicy { apply, ignore };
constexpr auto names_of(ExifPolicy) {
  return std::to_array<Named<ExifPolicy>>({{ExifPolicy::apply, "apply"}, {ExifPolicy::ignore, "ignore"}});
}

enum class AlphaPolicy { reject, drop, keep };
constexpr auto names_of(AlphaPolicy) {
  return std::to_array<Named<AlphaPolicy>>(
      {{AlphaPolicy::reject, "reject"}, {AlphaPolicy::drop, "drop"}, {AlphaPolicy::keep, "keep"}});
}

// Samples of 16 bits.
enum class DepthPolicy {
  reject,
  reduce,  // keep the upper byte
  keep,    // all bits, as i32: no choice of a config
};
constexpr auto names_of(DepthPolicy) {
  return std::to_array<Named<DepthPolicy>>(
      {{DepthPolicy::reject, "reject"}, {DepthPolicy::reduce, "reduce"}});
}

}  // namespace atrous::data
