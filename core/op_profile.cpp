#include "core/op_profile.h"

#include <algorithm>
#include <utility>

#include "core/error.h"

namespace atrous {

OpProfile::OpProfile() {
  ATROUS_CHECK(!current_, ErrorKind::internal,
               "[profile] a thread has one profile at a time. Got a second one. End the first.");
  current_ = this;
}

OpProfile::~OpProfile() {
  current_ = nullptr;
}

std::vector<OpProfile::Row> OpProfile::rows() const {
  std::vector<Row> rows;
  for (const auto& [key, row] : rows_) rows.push_back(row);
  std::ranges::stable_sort(rows, [](const Row& a, const Row& b) { return a.seconds > b.seconds; });
  return rows;
}

void OpTimer::begin(const char* entry, const char* implementation, const OpWork& work) {
  row_ = &profile_->rows_[{entry, implementation, work.problem}];  // rows of a map stay where they are
  if (row_->calls++ == 0) {
    row_->entry = entry;
    row_->implementation = implementation;
    row_->problem = work.problem;
  }
  row_->flops += work.flops;
  outer_nested_ = std::exchange(profile_->nested_, 0);
  start_ = std::chrono::steady_clock::now();
}

void OpTimer::end() {
  const double seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start_).count();
  row_->seconds += seconds - profile_->nested_;
  profile_->nested_ = outer_nested_ + seconds;
}

}  // namespace atrous
