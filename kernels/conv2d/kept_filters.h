// Forms of a filter that implementations make for their inner loops, kept between calls.
#pragma once

#include <functional>
#include <map>
#include <mutex>
#include <string>

#include "kernels/conv2d/rows.h"

namespace atrous::kernels {

// Belongs to one filter that does not change; its owner guarantees both. All calls may come from any
// thread.
class KeptFilters {
 public:
  // Larger forms are not worth their memory: with so many products per pixel, making them again costs little.
  static constexpr int64_t largest = 8 << 20;  // floats

  // The form `name`, made by the first call that requests it.
  FloatBuffer get(const std::string& name, const std::function<FloatBuffer()>& make);

 private:
  std::mutex mutex_;
  std::map<std::string, FloatBuffer> forms_;
};

}  // namespace atrous::kernels
