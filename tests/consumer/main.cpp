// Builds a U-Net through the installed headers and libraries and runs it once.
#include <cstdio>

#include "nets/factory.h"

int main() {
  atrous::nets::ModelOptions options;
  options.name = "unet";
  options.num_classes = 3;
  options.base_width = 4;
  options.depth = 3;
  const auto model = atrous::nets::make_model(options, 1);
  model->eval();
  atrous::NoGradGuard no_grad;
  const auto output = model->forward(atrous::Variable(atrous::Tensor::zeros({1, 17, 23, 3})));
  const auto logits = atrous::layers::full_resolution_logits(output);
  std::printf("%s\n", logits.value().describe().c_str());
  return logits.shape() == atrous::Shape{1, 17, 23, 3} ? 0 : 1;
}
