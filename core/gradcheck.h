// Gradients against central differences, in double precision.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "core/autograd.h"

namespace atrous {

struct GradcheckOptions {
  double step = 1e-5;
  double tolerance = 1e-6;     // on |analytic - numeric| / max(0.01, |numeric|)
  int64_t max_elements = 200;  // per input; a larger input is sampled at random positions
  uint64_t seed = 1;
};

struct GradcheckResult {
  bool ok = true;
  double worst_error = 0;
  int64_t checked = 0;  // elements compared; zero is a failure
  std::string message;  // where the worst error is, with both numbers
};

// f maps f64 leaf variables to one f64 variable of any shape; it must be a pure function of their values. It
// is reduced to a scalar by a fixed random projection. Inputs that do not require a gradient are passed
// through.
GradcheckResult gradcheck(const std::function<Variable(const std::vector<Variable>&)>& f,
                          const std::vector<Variable>& inputs, const GradcheckOptions& options = {});

}  // namespace atrous
