// Puts a network into evaluation mode for the life of this object, also if an error ends it.
#pragma once

#include "layers/module.h"

namespace atrous::eval {

class EvalMode {
 public:
  explicit EvalMode(layers::Module& model) : model_(model), was_training_(model.training()) { model_.eval(); }
  ~EvalMode() { model_.train(was_training_); }
  EvalMode(const EvalMode&) = delete;
  EvalMode& operator=(const EvalMode&) = delete;

 private:
  layers::Module& model_;
  bool was_training_;
};

}  // namespace atrous::eval
