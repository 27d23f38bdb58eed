#include "nets/heads.h"

#include <algorithm>

namespace atrous::nets {

using namespace layers;

FcnHead::FcnHead(int64_t in, int64_t classes, const std::string& norm, double dropout) {
  const int64_t inner = std::max<int64_t>(1, in / 4);
  conv_ = conv_norm("0", "1", {.in = in, .out = inner, .kernel = 3, .pad = 1}, norm);
  dropout_ = register_module<Dropout>("3", dropout);
  score_ = register_module<Conv2d>("4", Conv2dArgs{.in = inner, .out = classes, .kernel = 1});
}

Variable FcnHead::forward(const Variable& x) const {
  const ModuleScope scope(name());
  return score_->forward(dropout_->forward(conv_(x)));
}

}  // namespace atrous::nets
