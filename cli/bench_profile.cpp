#include "cli/bench_profile.h"
#include "core/terminal.h"

#include <fmt/core.h>

#include <algorithm>
#include <map>

namespace atrous::cli {
namespace {

constexpr size_t most_problems = 25;
constexpr double least_share = 0.005;

// Merges rows of the same entry and implementation.
std::vector<OpProfile::Row> by_implementation(const std::vector<OpProfile::Row>& rows) {
  std::map<std::pair<std::string, std::string>, OpProfile::Row> sums;
  for (const OpProfile::Row& row : rows) {
    OpProfile::Row& sum = sums[{row.entry, row.implementation}];
    sum.entry = row.entry;
    sum.implementation = row.implementation;
    sum.calls += row.calls;
    sum.seconds += row.seconds;
    sum.flops += row.flops;
  }
  std::vector<OpProfile::Row> result;
  for (const auto& [key, sum] : sums) result.push_back(sum);
  std::ranges::stable_sort(result, std::ranges::greater{}, &OpProfile::Row::seconds);
  return result;
}

void print_row(std::FILE* out, const OpProfile::Row& row, double step_seconds) {
  const std::string rate =
      row.flops > 0 ? fmt::format("{:.1f}", row.flops / row.seconds * 1e-9) : std::string("-");
  print_to(out, "    {:>9.2f} {:>5.1f} {:>6} {:>8}  {:<32} {:<18} {}\n", 1e3 * row.seconds,
           100 * row.seconds / step_seconds, row.calls, rate, row.entry, row.implementation, row.problem);
}

void print_header(std::FILE* out, const char* last) {
  print_to(out, "    {:>9} {:>5} {:>6} {:>8}  {:<32} {:<18} {}\n", "ms", "%", "calls", "GFLOP/s", "op",
           "implementation", last);
}

}  // namespace

double seconds_in_ops(const std::vector<OpProfile::Row>& rows) {
  double seconds = 0;
  for (const OpProfile::Row& row : rows) seconds += row.seconds;
  return seconds;
}

void print_profile(std::FILE* out, const std::vector<OpProfile::Row>& rows, double step_seconds) {
  print_to(out, "  one step of {:.1f} ms; {:.1f} % of it outside ops\n", 1e3 * step_seconds,
           100 * (1 - seconds_in_ops(rows) / step_seconds));
  print_header(out, "");
  for (const OpProfile::Row& row : by_implementation(rows)) {
    if (row.seconds >= least_share * step_seconds) print_row(out, row, step_seconds);
  }
  print_to(out, "\n");
  print_header(out, "problem");
  for (size_t i = 0; i < std::min(rows.size(), most_problems); ++i) {
    if (rows[i].seconds >= least_share * step_seconds) print_row(out, rows[i], step_seconds);
  }
  print_to(out, "\n");
}

}  // namespace atrous::cli
