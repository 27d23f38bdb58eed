// The profile of a step, for people and as JSON.
#pragma once

#include <cstdio>
#include <nlohmann/json.hpp>
#include <vector>

#include "core/op_profile.h"

namespace atrous::cli {

// Two tables: the ops with their implementations, and the single problems that take most of the time.
void print_profile(std::FILE* out, const std::vector<OpProfile::Row>& rows, double step_seconds);
nlohmann::ordered_json profile_json(const std::vector<OpProfile::Row>& rows, double step_seconds);

}  // namespace atrous::cli
