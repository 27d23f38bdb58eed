#include "core/error.h"

namespace atrous {

void assertion_failed(const char* expression, const char* file, int line) {
  throw Error(ErrorKind::internal,
              fmt::format("[internal] {}:{}: `{}` does not hold. This is a bug in atrous: please report it "
                          "with the output of `atrous doctor`.",
                          file, line, expression));
}

}  // namespace atrous
