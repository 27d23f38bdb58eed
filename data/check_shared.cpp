#include <fmt/ranges.h>

#include <algorithm>

#include "core/text.h"
#include "data/check_internal.h"

namespace atrous::data::internal {
namespace {

constexpr size_t most_shown = 10;  // findings of a kind

// The rule that a finding violates: split and message, without "[place]", values and numbers.
std::string kind_of(const Finding& finding) {
  const std::string& m = finding.message;
  const size_t begin = m.find('['), end = m.find("] "), values = m.find(". Got");
  const bool has_place = begin < end && end != std::string::npos;
  const size_t rule = has_place ? end : 0;
  std::string kind = has_place ? m.substr(0, begin) : "";
  kind += m.substr(rule, values > rule ? values - rule : std::string::npos);
  kind.push_back(finding.is_error ? 'e' : 'w');
  std::erase_if(kind, [](char c) { return c >= '0' && c <= '9'; });
  return kind;
}

}  // namespace

uint64_t hash_pixels(const Tensor& image) {
  uint64_t hash = 14695981039346656037u;
  const auto mix = [&](uint64_t byte) { hash = (hash ^ byte) * 1099511628211u; };
  mix(static_cast<uint64_t>(image.dim(0)));
  mix(static_cast<uint64_t>(image.dim(1)));
  const uint8_t* bytes = image.data<uint8_t>();
  for (int64_t i = 0; i < image.numel(); ++i) mix(bytes[i]);
  return hash;
}

void CopyFinder::add(const std::string& split, const std::string& id, uint64_t hash) {
  constexpr size_t named = 3;
  const auto [first, inserted] = seen_.emplace(hash, std::pair{split, id});
  if (inserted) return;
  const auto& [other_split, other_id] = first->second;
  auto found = std::ranges::find_if(
      copies_, [&, &other = other_split](const Copies& c) { return c.split == split && c.other == other; });
  if (found == copies_.end()) {
    copies_.push_back({.split = split, .other = other_split});
    found = copies_.end() - 1;
  }
  ++found->count;
  if (found->examples.size() < named)
    found->examples.push_back(fmt::format("{} ({}) and {} ({})", other_id, other_split, id, split));
}

std::vector<Finding> CopyFinder::findings() const {
  std::vector<Finding> out;
  for (const Copies& c : copies_) out.push_back(finding_of(c));
  return out;
}

Finding CopyFinder::finding_of(const Copies& c) const {
  std::string text =
      c.count == 1
          ? fmt::format("{} have the same pixels", c.examples[0])
          : fmt::format("{} images of {} have the same pixels as {}: {}{}", c.count, c.split,
                        c.other == c.split ? "others of it" : "images of " + c.other,
                        fmt::join(c.examples, ", "), c.count > std::ssize(c.examples) ? ", ..." : "");
  if (c.other == c.split) return {false, text + "."};
  if (c.other != "train") {
    return {false, text +
                       ". The best checkpoint is the one that scores best on val: on images that are in test "
                       "as well, test scores are too high."};
  }
  if (allow_overlap_) return {false, text + " (data.allow_overlap)."};
  return {true,
          text + fmt::format(". Scores on {} would measure what the network memorised. Remove one of each, "
                             "or set data.allow_overlap=true to test whether a network overfits.",
                             c.split)};
}

double percent(int64_t part, int64_t whole) {
  return whole ? 100.0 * static_cast<double>(part) / static_cast<double>(whole) : 0.0;
}

std::string list_counts(const std::map<std::string, int64_t>& counts) {
  if (counts.empty()) return "none";
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
  std::map<std::string, size_t> count, shown;
  for (const Finding& f : findings) ++count[kind_of(f)];
  for (const Finding& f : findings) {
    errors += f.is_error;
    const std::string kind = kind_of(f);
    const char* what = f.is_error ? "error" : "warning";
    if (++shown[kind] <= most_shown) out += fmt::format("{}: {}\n", what, f.message);
    if (shown[kind] == most_shown && count[kind] > most_shown)
      out += fmt::format("{}: {} more like this; --json lists all\n", what, count[kind] - most_shown);
  }
  const size_t warnings = findings.size() - errors;
  return out + fmt::format("{}, {}\n", counted(static_cast<int64_t>(errors), "error"),
                           counted(static_cast<int64_t>(warnings), "warning"));
}

}  // namespace atrous::data::internal
