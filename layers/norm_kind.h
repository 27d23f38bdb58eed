// The kinds of normalisation that a network can be built with.
#pragma once

#include "core/names.h"

namespace atrous::layers {

enum class NormKind {
  batch,
  frozen,  // batch norm with fixed statistics
  group,   // at most 32 groups, as many as divide the channels
  none,
};
constexpr auto names_of(NormKind) {
  return std::to_array<Named<NormKind>>({{NormKind::batch, "batch"},
                                         {NormKind::frozen, "frozen"},
                                         {NormKind::group, "group"},
                                         {NormKind::none, "none"}});
}

}  // namespace atrous::layers
