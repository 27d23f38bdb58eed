#include "eval/crf_options.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <charconv>
#include <cmath>
#include <optional>
#include <set>

#include "core/error.h"
#include "core/text.h"

namespace atrous::eval {
namespace {

using O = layers::DenseCrfOptions;

std::vector<std::string> keys() {
  std::vector<std::string> all = {"iterations"};
  for (const CrfNumber& n : crf_numbers()) all.emplace_back(n.key);
  all.insert(all.end(), {"normalization", "spatial", "preset"});
  return all;
}

[[noreturn]] void fail_unknown(const std::string& key, const char* where) {
  const std::string nearest = nearest_word(key, keys());
  fail(ErrorKind::usage, "[{}] unknown parameter of a CRF. Got \"{}\".{} The parameters are: {}.", where, key,
       nearest.empty() ? "" : fmt::format(" Did you mean \"{}\"?", nearest), fmt::join(keys(), ", "));
}

double number_of(const std::string& key, const std::string& text, const char* where) {
  double value = 0;
  const char* end = text.data() + text.size();
  const auto [stop, error] = std::from_chars(text.data(), end, value);
  ATROUS_CHECK(error == std::errc() && stop == end && std::isfinite(value), ErrorKind::usage,
               "[{}] {} must be a number. Got \"{}\". Write e.g. {}=3.", where, key, text, key);
  return value;
}

template <NamedEnum E>
E named(const std::string& key, const std::string& value, const char* where) {
  const std::optional<E> found = find_named<E>(value);
  ATROUS_CHECK(found, ErrorKind::usage, "[{}] {} must be one of {}. Got \"{}\".", where, key,
               fmt::join(all_names<E>(), ", "), value);
  return *found;
}

O preset_named(const std::string& name, const char* where) {
  try {
    return layers::dense_crf_preset(name);
  } catch (const Error& e) {  // refused there as a part of a config
    fail(ErrorKind::usage, "[{}] {}", where, e.what());
  }
}

}  // namespace

std::span<const CrfNumber> crf_numbers() {
  static constexpr CrfNumber table[] = {
      {"gaussian_weight", &O::gaussian_weight, 0, 1000, false,
       "Weight of the spatial kernel, which removes small islands; 0: off"},
      {"gaussian_xy", &O::gaussian_xy, 0, 10000, true, "Its standard deviation in pixels"},
      {"bilateral_weight", &O::bilateral_weight, 0, 1000, false,
       "Weight of the bilateral kernel, which joins nearby pixels of similar colour; 0: off"},
      {"bilateral_xy", &O::bilateral_xy, 0, 10000, true, "Its standard deviation in pixels"},
      {"bilateral_rgb", &O::bilateral_rgb, 0, 10000, true,
       "Its standard deviation in grey levels (0 to 255)"},
  };
  return table;
}

void set_crf_number(O& options, const std::string& key, double value, const char* where) {
  if (key == "iterations") {
    ATROUS_CHECK(
        value == std::floor(value) && value >= 0 && value <= static_cast<double>(crf_most_iterations),
        ErrorKind::usage, "[{}] iterations must be a whole number from 0 to {}. Got {}.", where,
        crf_most_iterations, value);
    options.iterations = static_cast<int64_t>(value);
    return;
  }
  for (const CrfNumber& n : crf_numbers()) {
    if (n.key != key) continue;
    ATROUS_CHECK(value <= n.high && (n.low_open ? value > n.low : value >= n.low), ErrorKind::usage,
                 "[{}] {} must be {} {} and at most {}. Got {}.", where, key,
                 n.low_open ? "above" : "at least", n.low, n.high, value);
    options.*n.member = value;
    return;
  }
  fail_unknown(key, where);
}

CrfOptions parse_crf(const std::string& text, const CrfOptions& base, const char* where) {
  std::vector<std::pair<std::string, std::string>> given;
  std::set<std::string> seen;
  std::optional<O> preset;
  for (size_t begin = 0; begin < text.size();) {
    const size_t end = std::min(text.find(',', begin), text.size());
    const std::string item = text.substr(begin, end - begin);
    begin = end + 1;
    const size_t sign = item.find('=');
    ATROUS_CHECK(sign != std::string::npos && sign > 0, ErrorKind::usage,
                 "[{}] parameters are written key=value, with commas between them. Got \"{}\". Write e.g. "
                 "iterations=10,bilateral_xy=49.",
                 where, item);
    const std::string key = item.substr(0, sign), value = item.substr(sign + 1);
    ATROUS_CHECK(seen.insert(key).second, ErrorKind::usage,
                 "[{}] a parameter may be given once. Got {} twice. Leave one out.", where, key);
    if (key == "preset") {
      preset = preset_named(value, where);
    } else {
      given.emplace_back(key, value);
    }
  }
  CrfOptions result = base;
  if (preset) static_cast<O&>(result) = *preset;
  const std::vector<std::string> known = keys();
  for (const auto& [key, value] : given) {
    if (std::find(known.begin(), known.end(), key) == known.end()) fail_unknown(key, where);
    if (key == "normalization") {
      result.normalization = named<layers::CrfNormalization>(key, value, where);
    } else if (key == "spatial") {
      result.spatial = named<layers::CrfSpatial>(key, value, where);
    } else {
      set_crf_number(result, key, number_of(key, value, where), where);
    }
  }
  return result;
}

std::string crf_text(const O& options) {
  std::string text = fmt::format("iterations={}", options.iterations);
  for (const CrfNumber& n : crf_numbers()) text += fmt::format(",{}={}", n.key, options.*n.member);
  return text + fmt::format(",normalization={},spatial={}", options.normalization, options.spatial);
}

}  // namespace atrous::eval
