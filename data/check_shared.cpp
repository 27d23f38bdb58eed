#include <algorithm>

#include "data/check_internal.h"

namespace atrous::data::internal {

uint64_t hash_pixels(const Tensor& image) {
  uint64_t hash = 14695981039346656037u;
  const auto mix = [&](uint64_t byte) { hash = (hash ^ byte) * 1099511628211u; };
  mix(static_cast<uint64_t>(image.dim(0)));
  mix(static_cast<uint64_t>(image.dim(1)));
  const uint8_t* bytes = image.data<uint8_t>();
  for (int64_t i = 0; i < image.numel(); ++i) mix(bytes[i]);
  return hash;
}

std::optional<Finding> CopyFinder::add(const std::string& split, const std::string& id, uint64_t hash) {
  const auto [first, inserted] = seen_.emplace(hash, std::pair{split, id});
  if (inserted) return std::nullopt;
  const auto& [other_split, other_id] = first->second;
  const std::string both =
      fmt::format("{} ({}) and {} ({}) have the same pixels", other_id, other_split, id, split);
  if (other_split == split) return Finding{false, both + "."};
  return Finding{true, both + ": validation would measure memory. Remove one."};
}

double percent(int64_t part, int64_t whole) {
  return whole ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

std::string list_counts(const std::map<std::string, int64_t>& counts) {
  std::vector<std::pair<std::string, int64_t>> sorted(counts.begin(), counts.end());
  std::stable_sort(sorted.begin(), sorted.end(),
                   [](const auto& a, const auto& b) { return a.second > b.second; });
  std::string out;
  for (size_t i = 0; i < std::min<size_t>(sorted.size(), 4); ++i) {
    out += fmt::format("{}{} ({})", i ? ", " : "", sorted[i].first, sorted[i].second);
  }
  return sorted.size() > 4 ? out + fmt::format(", and {} more", sorted.size() - 4) : out;
}

std::string findings_table(const std::vector<Finding>& findings) {
  std::string out = "\n";
  size_t errors = 0;
  for (const Finding& f : findings) {
    out += fmt::format("{}: {}\n", f.is_error ? "error" : "warning", f.message);
    errors += f.is_error;
  }
  const size_t warnings = findings.size() - errors;
  return out + fmt::format("{} error{}, {} warning{}\n", errors, errors == 1 ? "" : "s", warnings,
                           warnings == 1 ? "" : "s");
}

}  // namespace atrous::data::internal
