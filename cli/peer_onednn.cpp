#include <cstdio>

#include "cli/bench.h"
#include "core/error.h"
#include "core/parallel.h"

#if defined(ATROUS_HAS_ONEDNN)
#include <dlfcn.h>

#include <oneapi/dnnl/dnnl.hpp>

namespace atrous::cli {
namespace {

using dnnl::memory;

struct Problem {
  long n, h, w, c, k, r, s, stride_h, stride_w, pad_h, pad_w, dilation_h, dilation_w, groups;
};

std::optional<Problem> parse(const std::string& descriptor) {
  Problem p{};
  const int fields = std::sscanf(
      descriptor.c_str(),
      "f32 n%ld h%ld w%ld c%ld k%ld r%ld s%ld stride %ldx%ld pad %ldx%ld dilation %ldx%ld groups %ld", &p.n,
      &p.h, &p.w, &p.c, &p.k, &p.r, &p.s, &p.stride_h, &p.stride_w, &p.pad_h, &p.pad_w, &p.dilation_h,
      &p.dilation_w, &p.groups);
  if (fields != 14 || p.groups != 1) return std::nullopt;
  return p;
}

dnnl::engine& engine() {
  static dnnl::engine instance = [] {
    // The same number of threads as atrous. oneDNN loads its OpenMP runtime itself; atrous does not link it.
    using SetThreads = void (*)(int);
    if (auto set = reinterpret_cast<SetThreads>(::dlsym(RTLD_DEFAULT, "omp_set_num_threads")))
      set(num_threads());
    return dnnl::engine(dnnl::engine::kind::cpu, 0);
  }();
  return instance;
}

memory::desc activation(long n, long c, long h, long w) {
  return {{n, c, h, w}, memory::data_type::f32, memory::format_tag::nhwc};
}

// `tensor` in the layout that oneDNN selects (ohwi is K,R,S,C here).
memory packed_filter(const Tensor& tensor, const memory::desc& wanted, const Problem& p,
                     dnnl::stream& stream) {
  memory plain({{p.k, p.c, p.r, p.s}, memory::data_type::f32, memory::format_tag::ohwi}, engine(),
               tensor.raw());
  memory packed(wanted, engine());
  dnnl::reorder(plain, packed).execute(stream, plain, packed);
  stream.wait();
  return packed;
}

}  // namespace

std::string onednn_name() {
  const dnnl::version_t* v = dnnl::version();
  return fmt::format("oneDNN {}.{}.{}", v->major, v->minor, v->patch);
}

std::optional<std::function<void()>> onednn_peer(const cases::OpCase& op_case,
                                                 const std::vector<Tensor>& inputs) {
  if (op_case.op != "conv2d" || inputs.size() != 2) return std::nullopt;
  const auto problem = parse(op_case.descriptor);
  if (!problem) return std::nullopt;
  const Problem& p = *problem;
  const long out_h = (p.h + 2 * p.pad_h - p.dilation_h * (p.r - 1) - 1) / p.stride_h + 1;
  const long out_w = (p.w + 2 * p.pad_w - p.dilation_w * (p.s - 1) - 1) / p.stride_w + 1;
  const memory::desc x = activation(p.n, p.c, p.h, p.w);
  const memory::desc y = activation(p.n, p.k, out_h, out_w);
  const memory::desc w({p.k, p.c, p.r, p.s}, memory::data_type::f32, memory::format_tag::any);
  const memory::dims stride = {p.stride_h, p.stride_w}, dilation = {p.dilation_h - 1, p.dilation_w - 1},
                     pad = {p.pad_h, p.pad_w};
  const auto method = dnnl::algorithm::convolution_auto;
  auto stream = std::make_shared<dnnl::stream>(engine());
  const dnnl::convolution_forward::primitive_desc forward(
      {dnnl::prop_kind::forward_training, method, x, w, y, stride, dilation, pad, pad}, engine());
  auto execute = [stream](const dnnl::primitive& primitive,
                          const std::unordered_map<int, memory>& arguments) {
    return [stream, primitive, arguments] {
      primitive.execute(*stream, arguments);
      stream->wait();
    };
  };
  auto map = [](const memory::desc& desc, const Tensor& t) { return memory(desc, engine(), t.raw()); };
  if (op_case.entry == "forward") {
    return execute(dnnl::convolution_forward(forward),
                   {{DNNL_ARG_SRC, map(x, inputs[0])},
                    {DNNL_ARG_WEIGHTS, packed_filter(inputs[1], forward.weights_desc(), p, *stream)},
                    {DNNL_ARG_DST, memory(y, engine())}});
  }
  if (op_case.entry == "backward_input") {
    const dnnl::convolution_backward_data::primitive_desc backward(
        {method, x, w, y, stride, dilation, pad, pad}, engine(), forward);
    return execute(dnnl::convolution_backward_data(backward),
                   {{DNNL_ARG_DIFF_DST, map(y, inputs[0])},
                    {DNNL_ARG_WEIGHTS, packed_filter(inputs[1], backward.weights_desc(), p, *stream)},
                    {DNNL_ARG_DIFF_SRC, memory(x, engine())}});
  }
  if (op_case.entry == "backward_weight") {
    const dnnl::convolution_backward_weights::primitive_desc backward(
        {method, x, w, y, stride, dilation, pad, pad}, engine(), forward);
    return execute(dnnl::convolution_backward_weights(backward),
                   {{DNNL_ARG_DIFF_DST, map(y, inputs[0])},
                    {DNNL_ARG_SRC, map(x, inputs[1])},
                    {DNNL_ARG_DIFF_WEIGHTS, memory(backward.diff_weights_desc(), engine())}});
  }
  return std::nullopt;
}

}  // namespace atrous::cli

#else

namespace atrous::cli {

std::string onednn_name() {
  return "";
}
std::optional<std::function<void()>> onednn_peer(const cases::OpCase&, const std::vector<Tensor>&) {
  return std::nullopt;
}

}  // namespace atrous::cli

#endif
