// Queries which implementations an entry has for the problem of a call.
#pragma once

#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "kernels/common/implementation.h"

namespace atrous::kernels {

// One query of this thread. The first call of the entry answers it and does not run.
class Probe {
 public:
  explicit Probe(std::string entry) : entry_(std::move(entry)), outer_(current_) { current_ = this; }
  ~Probe() { current_ = outer_; }
  Probe(const Probe&) = delete;
  Probe& operator=(const Probe&) = delete;

  struct Reached {};  // thrown to leave the call

  // The query of this thread if it is about this entry.
  static Probe* of(const char* entry) { return current_ && current_->entry_ == entry ? current_ : nullptr; }
  void add(ImplementationInfo implementation) { able_.push_back(std::move(implementation)); }
  [[noreturn]] void stop() const { throw Reached(); }
  const std::vector<ImplementationInfo>& able() const { return able_; }

 private:
  inline static thread_local Probe* current_ = nullptr;
  const std::string entry_;
  Probe* const outer_;
  std::vector<ImplementationInfo> able_;
};

// The implementations that can run the first call of `entry` in `call`: in the order of the table first those
// that the entry chooses itself, then those that must be forced (not preferred, or of an arithmetic that the
// problem does not allow). None if `call` does not reach the entry, as there is nothing to compute.
template <class Call>
std::optional<std::vector<ImplementationInfo>> able_implementations(const std::string& entry,
                                                                    const Call& call) {
  Probe probe(entry);
  try {
    call();
  } catch (const Probe::Reached&) {
    return probe.able();
  }
  return std::nullopt;
}

}  // namespace atrous::kernels
