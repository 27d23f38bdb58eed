#include "layers/finite.h"

#include <fmt/format.h>

#include <vector>

#include "core/error.h"

namespace atrous::layers {
namespace {

constexpr size_t names_shown = 3;

// In the order of the state_dict.
std::vector<std::string> not_finite(const Module& module) {
  std::vector<std::string> names;
  module.visit([&](const std::string& name, const Variable* parameter, const Tensor* buffer) {
    if (!all_finite(parameter ? parameter->value() : *buffer)) names.push_back(name);
  });
  return names;
}

std::string listed(const std::vector<std::string>& names) {
  std::string text;
  for (size_t i = 0; i < std::min(names.size(), names_shown); ++i)
    text += fmt::format("{}\"{}\"", i == 0 ? "" : ", ", names[i]);
  if (names.size() > names_shown) text += fmt::format(" and {} more", names.size() - names_shown);
  return text;
}

// Where NaN or Inf begins; empty if the repeated pass does not show it.
std::string origin(const Model& model, const BadPass& pass) {
  for (size_t i = 0; i < pass.inputs.size(); ++i) {
    if (!all_finite(pass.inputs[i])) return fmt::format("input {} holds NaN or Inf", i);
  }
  if (const auto names = not_finite(model); !names.empty())
    return fmt::format("the weights hold NaN or Inf in {}", listed(names));
  try {
    const FiniteCheckGuard check;
    pass.repeat();
  } catch (const Error& e) {
    if (e.kind() != ErrorKind::diverged) throw;
    return e.what();
  }
  return "";
}

}  // namespace

void check_weights_finite(const Module& module, const std::string& where, std::string_view advice) {
  const std::vector<std::string> names = not_finite(module);
  ATROUS_CHECK(names.empty(), ErrorKind::diverged,
               "[{}] weights and running statistics must be finite. Got NaN or Inf in {}. {}", where,
               listed(names), advice);
}

void fail_not_finite(const Model& model, const BadPass& pass) {
  std::string begins = origin(model, pass);
  if (begins.empty()) begins = "all that the layers compute is finite";
  while (begins.ends_with('.')) begins.pop_back();
  fail(ErrorKind::diverged,
       "[{}] {} must be finite. Got NaN or Inf; where it begins: {}. The weights come from a run that "
       "diverged or overflow, or the values or the normalisation of the images (mean and std) are wrong.",
       pass.where, pass.output, begins);
}

}  // namespace atrous::layers
