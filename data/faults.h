// Handling of faults in a data set's records: the first one ends the reading, or, for `atrous data
// check`, all of them are collected. Internal to data/.
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "core/error.h"

namespace atrous::data::internal {

class Faults {
 public:
  // Without a list, faults are thrown.
  explicit Faults(std::vector<std::string>* list = nullptr) : list_(list) {}
  bool collects() const { return list_ != nullptr; }

  // Runs a step of the reading. False if it ended in an Error(data) that was collected.
  template <class Step>
  bool attempt(Step&& step) const {
    if (!list_) {
      std::forward<Step>(step)();
      return true;
    }
    try {
      std::forward<Step>(step)();
      return true;
    } catch (const Error& error) {
      if (error.kind() != ErrorKind::data) throw;
      list_->push_back(error.what());
      return false;
    }
  }

 private:
  std::vector<std::string>* list_;
};

}  // namespace atrous::data::internal
