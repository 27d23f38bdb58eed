// Parameters of the CRF and grids of them as text.
#include <cmath>

#include "eval/crf_options.h"
#include "eval/crf_search.h"
#include "harness.h"

using namespace atrous;

namespace {

void check_ranges(const layers::DenseCrfOptions& options) {
  fuzz::require(options.iterations >= 0 && options.iterations <= eval::crf_most_iterations,
                "iterations are in their range");
  for (const eval::CrfNumber& n : eval::crf_numbers()) {
    const double value = options.*n.member;
    fuzz::require(std::isfinite(value) && value <= n.high && (n.low_open ? value > n.low : value >= n.low),
                  "a parameter is in its range");
  }
}

}  // namespace

FUZZ_HARNESS(crf, bytes) {
  const std::string text = fuzz::text_of(bytes);
  fuzz::accepts({ErrorKind::usage}, [&] {
    const eval::CrfOptions options = eval::parse_crf(text, {}, "x");
    check_ranges(options);
    const std::string written = eval::crf_text(options);
    fuzz::require(eval::crf_text(eval::parse_crf(written, {}, "y")) == written,
                  "parameters are read as they were written");
  });
  fuzz::accepts({ErrorKind::usage}, [&] {
    int64_t trials = 1;
    for (const eval::CrfAxis& axis : eval::parse_crf_grid(text, "x")) {
      fuzz::require(!axis.values.empty() && axis.step >= 0, "an axis has values");
      trials *= static_cast<int64_t>(axis.values.size());
      fuzz::require(trials <= eval::crf_most_trials, "a grid keeps to the limit");
      for (const double value : axis.values) {
        layers::DenseCrfOptions options;
        eval::set_crf_number(options, axis.key, value, "x");
        check_ranges(options);
      }
    }
  });
}
