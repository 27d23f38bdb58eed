#include "core/autograd.h"

#include <atomic>
#include <cmath>
#include <queue>
#include <unordered_map>
#include <utility>

#include "core/device_runtime.h"
#include "core/op_profile.h"
#include "core/output_hook.h"
#include "core/parallel.h"

namespace atrous {

// Where the gradient of one input goes: into the output of an older node, or into a leaf. Values are not kept
// here, so a tensor lives on only if the op saved it.
struct Edge {
  std::shared_ptr<Node> node;
  int output_index = 0;
  Variable leaf;  // if node is null and the input wants a gradient
  Shape shape;
  DType dtype = DType::f32;
  Device device = Device::cpu;
  bool needs_gradient() const { return node || leaf.defined(); }
};

// One op on the tape.
struct Node {
  const char* op;
  std::string module;  // path of the module that ran it
  uint64_t sequence;   // creation order: inputs always have smaller numbers
  std::vector<Edge> inputs;
  BackwardFn backward;
  std::vector<Shape> output_shapes;
  std::vector<DType> output_dtypes;
};

namespace {

thread_local bool gradients_on = true;
thread_local bool finite_check_on = false;
thread_local std::string module_path;
thread_local uint64_t module_call = 0, module_calls = 0;
thread_local std::vector<OutputHook*> output_hooks;
// The calls of modules that have begun since there are hooks, each with the last value computed in it.
struct RunningCall {
  uint64_t call;
  const std::string* module;
  Variable last;
};
thread_local std::vector<RunningCall> running_calls;
std::atomic<uint64_t> next_sequence{1};

// Where the gradient of a value on `device` may lie: there, or, if it is one number, in host memory. A seed
// is mostly known to the caller, so that no read-back from a device is needed.
bool may_lie_there(const Tensor& grad, Device device) {
  return grad.device() == device || (grad.rank() == 0 && grad.device() == Device::cpu);
}

void add_into(const Tensor& target, const Tensor& source) {
  if (target.device() != source.device()) return add_into(target, source.to(target.device()));
  if (target.device() != Device::cpu) {
    target.bump_version();
    if (const auto kernel = tensor_kernels(target.device()).add) return kernel(target, source);
    const Tensor sum = target.to(Device::cpu);
    add_into(sum, source.to(Device::cpu));
    target.copy_from(sum);
    return;
  }
  const OpTimer timer("autograd.add", "host", [&] { return OpWork{target.describe()}; });
  auto run = [&](auto tag) {
    using T = decltype(tag);
    auto sum = [](T a, T b) {
      if constexpr (std::is_same_v<T, bf16>)
        return bf16(static_cast<float>(a) + static_cast<float>(b));
      else
        return a + b;
    };
    const int64_t c = target.channels();
    parallel_for(target.pixels(), std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, c)),
                 [&](int64_t begin, int64_t end) {
                   for (int64_t i = begin; i < end; ++i) {
                     T* t = target.data<T>() + i * target.pixel_stride();
                     const T* s = source.data<T>() + i * source.pixel_stride();
                     for (int64_t k = 0; k < c; ++k) t[k] = sum(t[k], s[k]);
                   }
                 });
  };
  if (target.dtype() == DType::f32) return run(float{});
  if (target.dtype() == DType::f64) return run(double{});
  if (target.dtype() == DType::bf16) return run(bf16{});
  fail(ErrorKind::internal, "[autograd] gradients are f32, f64 or bf16. Got {}.", target.describe());
}

std::string where(const Node& node) {
  return node.module.empty() ? node.op : fmt::format("{} in {}", node.op, node.module);
}

void check_gradient(const Node& node, size_t i, const Tensor& grad) {
  const Edge& to = node.inputs[i];
  ATROUS_CHECK(grad.shape() == to.shape && grad.dtype() == to.dtype && may_lie_there(grad, to.device),
               ErrorKind::internal,
               "[autograd] {}: the gradient of input {} must match its value. Got {} for {} {} on {}.",
               where(node), i, grad.describe(), name_of(to.dtype), to.shape.str(), name_of(to.device));
  if (finite_check_on && !all_finite(grad)) {
    fail(ErrorKind::diverged, "[autograd] the gradient of input {} of {} is NaN or Inf. Got shape {}.", i,
         where(node), grad.shape().str());
  }
}

}  // namespace

// The only code with access to the inside of Variable.
struct Engine {
  using Impl = Variable::Impl;

  static Impl& impl(const Variable& v) { return *v.impl_; }

  static Edge edge_to(const Variable& v) {
    Edge edge;
    if (!v.defined()) return edge;
    edge.shape = v.shape();
    edge.dtype = v.dtype();
    edge.device = v.value().device();
    edge.node = impl(v).node;
    edge.output_index = impl(v).output_index;
    if (!edge.node && impl(v).requires_grad) edge.leaf = v;
    return edge;
  }

  // In place if no other tensor refers to it; the sum is bit-identical either way.
  static void accumulate(Tensor& into, Tensor grad) {
    if (into.defined()) {
      if (!into.sole_owner()) {
        if (!grad.sole_owner()) grad = grad.clone();
        std::swap(into, grad);
      }
      add_into(into, grad);
    } else {
      into = std::move(grad);
    }
  }

  static void run(const std::vector<Variable>& roots, const std::vector<Tensor>& seeds);
};

Variable::Variable(Tensor value, bool requires_grad) : impl_(std::make_shared<Impl>()) {
  impl_->value = std::move(value);
  impl_->requires_grad = requires_grad;
}

void Variable::set_requires_grad(bool on) const {
  ATROUS_CHECK(is_leaf(), ErrorKind::internal,
               "[autograd] only a leaf can be asked for gradients. Got the result of {}.", impl_->node->op);
  impl_->requires_grad = on;
}

void Variable::set_value(Tensor value) const {
  ATROUS_CHECK(is_leaf() && value.shape() == shape() && value.dtype() == dtype(), ErrorKind::internal,
               "[autograd] the new value of a leaf must match the old. Got {} for {}.", value.describe(),
               this->value().describe());
  impl_->value = std::move(value);
  impl_->low_precision = Tensor();
}

Tensor Variable::low_precision_copy() const {
  return impl_->low_precision_version == impl_->value.version() ? impl_->low_precision : Tensor();
}

void Variable::set_low_precision_copy(Tensor copy) const {
  ATROUS_ASSERT(copy.shape() == shape());
  impl_->low_precision = std::move(copy);
  impl_->low_precision_version = impl_->value.version();
}

const Tensor& Saved::get() const {
  ATROUS_CHECK(
      tensor_.version() == version_, ErrorKind::internal,
      "[autograd] a tensor saved for backward was modified in place since. Got {} at version {}, saved at "
      "version {}. Clone it before the change.",
      tensor_.describe(), tensor_.version(), version_);
  return tensor_;
}

bool grad_enabled() {
  return gradients_on;
}

bool any_requires_grad(std::initializer_list<const Variable*> inputs) {
  if (!gradients_on) return false;
  for (const Variable* v : inputs) {
    if (v->defined() && v->requires_grad()) return true;
  }
  return false;
}

namespace {
void note_output(const std::vector<Variable>& results) {
  if (!running_calls.empty() && !results.empty()) running_calls.back().last = results.back();
}
}  // namespace

// NOLINTNEXTLINE(performance-unnecessary-value-param): callers pass temporaries
std::vector<Variable> record(const char* op, const std::vector<Tensor>& outputs, std::vector<Variable> inputs,
                             BackwardFn backward) {
  if (finite_check_on) {
    for (const Tensor& t : outputs) {
      if (t.defined() && !all_finite(t)) {
        fail(ErrorKind::diverged, "[autograd] the output of {}{}{} is NaN or Inf. Got shape {}.", op,
             module_path.empty() ? "" : " in ", module_path, t.shape().str());
      }
    }
  }
  bool needed = false;
  for (const Variable& v : inputs) needed = needed || (v.defined() && v.requires_grad());
  std::vector<Variable> results;
  results.reserve(outputs.size());
  for (const Tensor& t : outputs) results.emplace_back(t);
  if (!gradients_on || !needed) {
    note_output(results);
    return results;
  }
  auto node = std::make_shared<Node>();
  node->op = op;
  node->module = module_path;
  node->sequence = next_sequence.fetch_add(1);
  for (const Variable& v : inputs) node->inputs.push_back(Engine::edge_to(v));
  node->backward = std::move(backward);
  for (size_t i = 0; i < outputs.size(); ++i) {
    node->output_shapes.push_back(outputs[i].shape());
    node->output_dtypes.push_back(outputs[i].dtype());
    Engine::impl(results[i]).node = node;
    Engine::impl(results[i]).output_index = static_cast<int>(i);
  }
  note_output(results);
  return results;
}

Variable record(const char* op, const Tensor& output, std::vector<Variable> inputs, BackwardFn backward) {
  return record(op, std::vector<Tensor>{output}, std::move(inputs), std::move(backward))[0];
}

void Engine::run(const std::vector<Variable>& roots, const std::vector<Tensor>& seeds) {
  auto newest_first = [](const std::shared_ptr<Node>& a, const std::shared_ptr<Node>& b) {
    return a->sequence < b->sequence;
  };
  std::priority_queue<std::shared_ptr<Node>, std::vector<std::shared_ptr<Node>>, decltype(newest_first)>
      ready(newest_first);
  std::unordered_map<Node*, std::vector<Tensor>> pending;  // gradients on their way to a node's outputs

  auto deliver = [&](const Edge& to, Tensor grad) {
    if (!to.node) {
      accumulate(impl(to.leaf).grad, std::move(grad));
      return;
    }
    auto [it, first] = pending.try_emplace(to.node.get());
    if (first) {
      it->second.resize(to.node->output_shapes.size());
      ready.push(to.node);
    }
    accumulate(it->second[static_cast<size_t>(to.output_index)], std::move(grad));
  };

  for (size_t i = 0; i < roots.size(); ++i) {
    ATROUS_CHECK(roots[i].requires_grad(), ErrorKind::internal,
                 "[autograd] backward needs a result that depends on a variable with gradients.");
    ATROUS_CHECK(seeds[i].shape() == roots[i].shape() && seeds[i].dtype() == roots[i].dtype() &&
                     may_lie_there(seeds[i], roots[i].value().device()),
                 ErrorKind::usage, "[autograd] the seed must match the root. Got {} for {}.",
                 seeds[i].describe(), roots[i].value().describe());
    deliver(edge_to(roots[i]), seeds[i]);
  }

  while (!ready.empty()) {
    const std::shared_ptr<Node> node = ready.top();
    ready.pop();
    ATROUS_CHECK(
        node->backward, ErrorKind::internal,
        "[autograd] {}: backward ran through this graph before; it was freed then. Run forward again.",
        where(*node));
    BackwardContext ctx;
    ctx.grads_ = std::move(pending[node.get()]);
    pending.erase(node.get());
    for (const Edge& edge : node->inputs) ctx.needs_.push_back(edge.needs_gradient());
    std::vector<Tensor> grads = node->backward(ctx);
    ctx.grads_.clear();
    node->backward = nullptr;  // frees what was saved as early as possible
    ATROUS_CHECK(grads.size() == node->inputs.size(), ErrorKind::internal,
                 "[autograd] {}: one gradient per input is needed. Got {} for {} inputs.", where(*node),
                 grads.size(), node->inputs.size());
    for (size_t i = 0; i < grads.size(); ++i) {
      if (!ctx.needs(static_cast<int>(i))) continue;
      ATROUS_CHECK(grads[i].defined(), ErrorKind::internal,
                   "[autograd] {}: the gradient of input {} is missing.", where(*node), i);
      check_gradient(*node, i, grads[i]);
      deliver(node->inputs[i], std::move(grads[i]));
    }
    node->inputs.clear();
  }
}

void backward(const std::vector<Variable>& roots, const std::vector<Tensor>& seeds) {
  ATROUS_ASSERT(roots.size() == seeds.size());
  NoGradGuard no_grad;
  Engine::run(roots, seeds);
}

void backward(const Variable& root, const Tensor& seed) {
  ATROUS_CHECK(
      seed.defined() || root.value().numel() == 1, ErrorKind::usage,
      "[autograd] backward from a tensor with several elements needs a seed. Got shape {}. Pass the gradient "
      "of each element.",
      root.shape().str());
  backward(std::vector<Variable>{root},
           std::vector<Tensor>{
               seed.defined() ? seed : Tensor::full(root.shape(), 1.0, root.dtype(), root.value().device())});
}

NoGradGuard::NoGradGuard() : previous_(gradients_on) {
  gradients_on = false;
}
NoGradGuard::~NoGradGuard() {
  gradients_on = previous_;
}

FiniteCheckGuard::FiniteCheckGuard() : previous_(finite_check_on) {
  finite_check_on = true;
}
FiniteCheckGuard::~FiniteCheckGuard() {
  finite_check_on = previous_;
}

OutputHook::OutputHook(const std::string& module_name, Function function)
    : module_(&module_name), function_(std::move(function)) {
  output_hooks.push_back(this);
}
OutputHook::~OutputHook() {
  std::erase(output_hooks, this);
  if (output_hooks.empty()) running_calls.clear();
}
bool OutputHook::any() {
  return !output_hooks.empty();
}

ModuleScope::ModuleScope(const std::string& name)
    : previous_length_(module_path.size()), previous_call_(module_call) {
  module_call = ++module_calls;
  if (!output_hooks.empty()) running_calls.push_back({module_call, &name, {}});
  if (!module_path.empty() && !name.empty()) module_path += '.';
  module_path += name;
}
ModuleScope::~ModuleScope() {
  if (!running_calls.empty() && running_calls.back().call == module_call) end_call();
  module_path.resize(previous_length_);
  module_call = previous_call_;
}
// An exception on its way ends calls that have no output.
void ModuleScope::end_call() {
  const RunningCall done = std::move(running_calls.back());
  running_calls.pop_back();
  if (!done.last.defined() || std::uncaught_exceptions() > 0) return;
  if (!running_calls.empty()) running_calls.back().last = done.last;
  // What a hook computes is no part of the calls that are running.
  std::vector<RunningCall> outside = std::exchange(running_calls, {});
  for (const OutputHook* hook : std::vector<OutputHook*>(output_hooks)) {
    if (hook->module_ == done.module) hook->function_(done.last);
  }
  running_calls = std::move(outside);
}
std::string ModuleScope::path() {
  return module_path;
}
uint64_t ModuleScope::call() {
  return module_call;
}

bool all_finite(const Tensor& t) {
  if (t.device() != Device::cpu) {
    const auto kernel = tensor_kernels(t.device()).find_non_finite;
    if (!kernel || !is_floating(t.dtype())) return !is_floating(t.dtype()) || all_finite(t.to(Device::cpu));
    const Tensor found = Tensor::zeros({}, DType::i32, t.device());
    kernel(t, found);
    return found.item() == 0;
  }
  std::atomic<bool> finite{true};
  auto finite_value = [](auto v) {
    if constexpr (std::is_same_v<decltype(v), bf16>)
      return std::isfinite(static_cast<float>(v));
    else
      return std::isfinite(v);
  };
  auto run = [&](auto tag) {
    using T = decltype(tag);
    const int64_t c = t.channels();
    parallel_for(t.pixels(), std::max<int64_t>(1, (1 << 15) / std::max<int64_t>(1, c)),
                 [&](int64_t begin, int64_t end) {
                   bool ok = true;
                   for (int64_t i = begin; i < end; ++i) {
                     const T* p = t.data<T>() + i * t.pixel_stride();
                     for (int64_t k = 0; k < c; ++k) ok = ok && finite_value(p[k]);
                   }
                   if (!ok) finite.store(false, std::memory_order_relaxed);
                 });
  };
  if (t.dtype() == DType::f32) run(float{});
  if (t.dtype() == DType::f64) run(double{});
  if (t.dtype() == DType::bf16) run(bf16{});
  return finite.load();
}

}  // namespace atrous
