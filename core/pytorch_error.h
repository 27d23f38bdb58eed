// How the readers of PyTorch's files refuse one.
#pragma once

#include <fmt/format.h>

#include <string>
#include <string_view>

#include "core/error.h"

namespace atrous {

// Text of an untrusted file for a message: at most 80 bytes, with escapes for what is not printable ASCII.
std::string shown(std::string_view text);

// Error(checkpoint) "[pytorch FILE] RULE The file is damaged or ..."
template <class... Args>
[[noreturn]] void reject_pytorch(const std::string& origin, fmt::format_string<Args...> rule,
                                 Args&&... args) {
  fail(ErrorKind::checkpoint,
       "[pytorch {}] {} The file is damaged or was not written by torch.save: download it again, or save it "
       "again.",
       origin, fmt::format(rule, std::forward<Args>(args)...));
}

}  // namespace atrous
