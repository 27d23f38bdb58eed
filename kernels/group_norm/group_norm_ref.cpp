// The reference of group norm: plain loops, double arithmetic.
#include <cmath>

#include "kernels/common/visit.h"
#include "kernels/group_norm/group_norm_impl.h"

namespace atrous::kernels {
namespace {

// f(image, group) for all groups; inside, each(f) visits (pixel, channel) of that group.
template <class F>
void for_each_group(const GroupNormProblem& problem, F&& f) {
  const int64_t images = problem.shape[0], channels = problem.shape[-1];
  const int64_t pixels = images && channels ? problem.shape.numel() / images / channels : 0;
  const int64_t per_group = channels / problem.groups;
  for (int64_t n = 0; n < images; ++n) {
    for (int64_t g = 0; g < problem.groups; ++g) {
      f(n, g, [&](auto&& visit) {
        for (int64_t p = n * pixels; p < (n + 1) * pixels; ++p) {
          for (int64_t c = g * per_group; c < (g + 1) * per_group; ++c) visit(p, c);
        }
      });
    }
  }
}

template <class T>
double get(const Tensor& t, int64_t p, int64_t c) {
  return static_cast<double>(t.data<T>()[p * t.pixel_stride() + c]);
}
template <class T>
void set(const Tensor& t, int64_t p, int64_t c, double v) {
  t.data<T>()[p * t.pixel_stride() + c] = static_cast<T>(v);
}

}  // namespace

void group_norm_forward_ref(const GroupNormProblem& problem, const Tensor& x, const Tensor& gamma,
                            const Tensor& beta, const Tensor& y, const Tensor& mean, const Tensor& invstd) {
  visit_float(problem.dtype, [&](auto tag) {
    using T = decltype(tag);
    for_each_group(problem, [&](int64_t n, int64_t g, auto each) {
      double sum = 0, squares = 0, count = 0;
      each([&](int64_t p, int64_t c) {
        sum += get<T>(x, p, c);
        count += 1;
      });
      const double m = sum / count;
      each([&](int64_t p, int64_t c) { squares += (get<T>(x, p, c) - m) * (get<T>(x, p, c) - m); });
      const double inv = 1.0 / std::sqrt(squares / count + problem.eps);
      each([&](int64_t p, int64_t c) {
        const double v = (get<T>(x, p, c) - m) * inv * get<T>(gamma, 0, c) + get<T>(beta, 0, c);
        set<T>(y, p, c, activate(problem.activation, v));
      });
      set<T>(mean, n, g, m);
      set<T>(invstd, n, g, inv);
    });
  });
}

void group_norm_backward_ref(const GroupNormProblem& problem, const Tensor& x, const Tensor& y,
                             const Tensor& dy, const Tensor& mean, const Tensor& invstd, const Tensor& gamma,
                             const Tensor& dx, const Tensor& dgamma, const Tensor& dbeta) {
  visit_float(problem.dtype, [&](auto tag) {
    using T = decltype(tag);
    const Tensor sum_gxhat = Tensor::zeros({x.channels()}, DType::f64),
                 sum_g = Tensor::zeros({x.channels()}, DType::f64);
    for_each_group(problem, [&](int64_t n, int64_t group, auto each) {
      const double m = get<T>(mean, n, group), inv = get<T>(invstd, n, group);
      auto g = [&](int64_t p, int64_t c) {
        const double out = problem.activation == Activation::none ? 0 : get<T>(y, p, c);
        return activation_gradient(problem.activation, out, get<T>(dy, p, c));
      };
      auto xhat = [&](int64_t p, int64_t c) { return (get<T>(x, p, c) - m) * inv; };
      double s1 = 0, s2 = 0, count = 0;
      each([&](int64_t p, int64_t c) {
        s1 += get<T>(gamma, 0, c) * g(p, c);
        s2 += get<T>(gamma, 0, c) * g(p, c) * xhat(p, c);
        sum_g.data<double>()[c] += g(p, c);
        sum_gxhat.data<double>()[c] += g(p, c) * xhat(p, c);
        count += 1;
      });
      each([&](int64_t p, int64_t c) {
        set<T>(dx, p, c, inv * (get<T>(gamma, 0, c) * g(p, c) - s1 / count - xhat(p, c) * s2 / count));
      });
    });
    dgamma.copy_from(sum_gxhat);
    dbeta.copy_from(sum_g);
  });
}

}  // namespace atrous::kernels
