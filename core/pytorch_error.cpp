#include "core/pytorch_error.h"

namespace atrous {

std::string shown(std::string_view text) {
  constexpr size_t limit = 80;
  std::string s;
  for (const char c : text.substr(0, limit)) {
    const auto u = static_cast<uint8_t>(c);
    s += u >= 0x20 && u < 0x7f ? std::string(1, c) : fmt::format("\\x{:02x}", u);
  }
  return text.size() > limit ? s + "..." : s;
}

}  // namespace atrous
