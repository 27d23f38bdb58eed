// The parameters of a dense CRF as a step of inference: as text (`--crf`, `--params`) and as plain values of
// the config's `eval.crf`. What they do: docs/crf.md.
#pragma once

#include <span>
#include <string>

#include "layers/dense_crf.h"

namespace atrous::eval {

// Of the compatibilities of DenseCrfOptions only Potts' are available here.
struct CrfOptions : layers::DenseCrfOptions {
  bool enabled = false;
  int64_t max_memory = 4096;  // MiB: see refine in eval/crf.h
};

// A parameter that is a real number, and its range.
struct CrfNumber {
  const char* key;
  double layers::DenseCrfOptions::*member;
  double low, high;
  bool low_open;  // low itself is not allowed
  const char* help;
};
std::span<const CrfNumber> crf_numbers();
inline constexpr int64_t crf_most_iterations = 1000;

// "bilateral_xy=60,iterations=5": `base` with the named parameters changed. `preset=NAME` sets all values to
// those of a preset of layers/dense_crf.h first, wherever it stands. Error(usage) with the known keys or the
// range for an unknown key, a duplicate key, a missing value, a value that is no number or out of range.
// `where`: the option, for messages.
CrfOptions parse_crf(const std::string& text, const CrfOptions& base, const char* where);

// Sets `iterations` or one of crf_numbers() (for grids). Error(usage) as above.
void set_crf_number(layers::DenseCrfOptions& options, const std::string& key, double value,
                    const char* where);

// All parameters, as parse_crf reads them: "iterations=10,gaussian_weight=3,...,spatial=exact".
std::string crf_text(const layers::DenseCrfOptions& options);

}  // namespace atrous::eval
