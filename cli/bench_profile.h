// The profile of a step as text.
#pragma once

#include <cstdio>
#include <vector>

#include "core/op_profile.h"

namespace atrous::cli {

// Two tables: the ops with their implementations, and the single problems that take most of the time.
void print_profile(std::FILE* out, const std::vector<OpProfile::Row>& rows, double step_seconds);
// The time that ops account for; the rest of a step is outside them.
double seconds_in_ops(const std::vector<OpProfile::Row>& rows);

}  // namespace atrous::cli
