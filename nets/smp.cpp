#include "nets/smp.h"

#include "core/error.h"

namespace atrous::nets {

bool is_smp_form(const ModelOptions& o) {
  ATROUS_CHECK(!o.form || o.form == NetworkForm::smp, ErrorKind::config,
               "[model.form] of {} must be left out (the paper's) or \"smp\". Got \"{}\". Correct it.",
               o.name, *o.form);
  return o.form.has_value();
}

std::string smp_encoder_name(const std::string& backbone) {
  const bool has_features = backbone.starts_with("vgg") || backbone.starts_with("mobilenet");
  return has_features ? "encoder.features" : "encoder";
}

}  // namespace atrous::nets
