// The reference of batch norm: plain loops, double arithmetic.
#include <algorithm>
#include <cmath>

#include "kernels/batch_norm/batch_norm_impl.h"

namespace atrous::kernels {
namespace {

// Element c of pixel p, as double.
template <class T>
double get(const Tensor& t, int64_t p, int64_t c) {
  return static_cast<double>(t.data<T>()[p * t.pixel_stride() + c]);
}
template <class T>
void set(const Tensor& t, int64_t p, int64_t c, double v) {
  t.data<T>()[p * t.pixel_stride() + c] = static_cast<T>(v);
}

template <class F>
void in_dtype(DType dtype, F&& f) {
  dtype == DType::f64 ? f(double{}) : f(float{});
}

// dy through the activation.
template <class T>
double gradient(const BatchNormProblem& problem, const Tensor& y, const Tensor& dy, int64_t p, int64_t c) {
  const double out = problem.activation == Activation::none ? 0 : get<T>(y, p, c);
  return activation_gradient(problem.activation, out, get<T>(dy, p, c));
}

}  // namespace

void BatchNormRef::statistics(const BatchNormProblem& problem, const Tensor& x, const Tensor& mean,
                              const Tensor& variance) {
  in_dtype(problem.dtype, [&](auto tag) {
    using T = decltype(tag);
    const auto count = static_cast<double>(x.pixels());
    for (int64_t c = 0; c < x.channels(); ++c) {
      double m = 0, v = 0;
      for (int64_t p = 0; p < x.pixels(); ++p) m += get<T>(x, p, c);
      m /= count;
      for (int64_t p = 0; p < x.pixels(); ++p) v += (get<T>(x, p, c) - m) * (get<T>(x, p, c) - m) / count;
      set<T>(mean, 0, c, m);
      set<T>(variance, 0, c, v);
    }
  });
}

void BatchNormRef::apply(const BatchNormProblem& problem, const Tensor& x, const Tensor& mean,
                         const Tensor& invstd, const Tensor& gamma, const Tensor& beta,
                         const Tensor& residual, const Tensor& y) {
  in_dtype(problem.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t p = 0; p < x.pixels(); ++p) {
      for (int64_t c = 0; c < x.channels(); ++c) {
        double v = (get<T>(x, p, c) - get<T>(mean, 0, c)) * get<T>(invstd, 0, c) * get<T>(gamma, 0, c) +
                   get<T>(beta, 0, c);
        if (problem.residual) v += get<T>(residual, p, c);
        set<T>(y, p, c, activate(problem.activation, v));
      }
    }
  });
}

void BatchNormRef::backward_sums(const BatchNormProblem& problem, const Tensor& x, const Tensor& y,
                                 const Tensor& dy, const Tensor& mean, const Tensor& invstd, const Tensor&,
                                 const Tensor&, const Tensor& dgamma, const Tensor& dbeta,
                                 const Tensor& dresidual) {
  in_dtype(problem.dtype, [&](auto tag) {
    using T = decltype(tag);
    for (int64_t c = 0; c < x.channels(); ++c) {
      double sum_g = 0, sum_gxhat = 0;
      for (int64_t p = 0; p < x.pixels(); ++p) {
        const double g = gradient<T>(problem, y, dy, p, c);
        sum_g += g;
        sum_gxhat += g * (get<T>(x, p, c) - get<T>(mean, 0, c)) * get<T>(invstd, 0, c);
        if (dresidual.defined()) set<T>(dresidual, p, c, g);
      }
      set<T>(dbeta, 0, c, sum_g);
      set<T>(dgamma, 0, c, sum_gxhat);
    }
  });
}

void BatchNormRef::backward_input(const BatchNormProblem& problem, const Tensor& x, const Tensor& y,
                                  const Tensor& dy, const Tensor& mean, const Tensor& invstd,
                                  const Tensor& gamma, const Tensor&, const Tensor& dgamma,
                                  const Tensor& dbeta, const Tensor& dx) {
  in_dtype(problem.dtype, [&](auto tag) {
    using T = decltype(tag);
    const auto count = static_cast<double>(dy.pixels());
    for (int64_t p = 0; p < dy.pixels(); ++p) {
      for (int64_t c = 0; c < dy.channels(); ++c) {
        double g = gradient<T>(problem, y, dy, p, c);
        if (dgamma.defined()) {
          const double xhat = (get<T>(x, p, c) - get<T>(mean, 0, c)) * get<T>(invstd, 0, c);
          g -= get<T>(dbeta, 0, c) / count + xhat * get<T>(dgamma, 0, c) / count;
        }
        set<T>(dx, p, c, get<T>(gamma, 0, c) * get<T>(invstd, 0, c) * g);
      }
    }
  });
}

// The [C] vectors, in any floating dtypes.

void BatchNormRef::statistics_from_sums(const BatchNormProblem&, const Tensor& sums, int64_t count,
                                        const Tensor& mean, const Tensor& variance) {
  const int64_t channels = mean.channels();
  const Tensor s = sums.to(DType::f64).contiguous_copy_if_needed();
  Tensor m = Tensor::empty({channels}, DType::f64), v = Tensor::empty({channels}, DType::f64);
  for (int64_t c = 0; c < channels; ++c) {
    const double first = s.data<double>()[c] / static_cast<double>(count);
    m.data<double>()[c] = first;
    v.data<double>()[c] =
        std::max(0.0, s.data<double>()[channels + c] / static_cast<double>(count) - first * first);
  }
  mean.copy_from(m);
  variance.copy_from(v);
}

void BatchNormRef::update_running(const BatchNormProblem&, const Tensor& mean, const Tensor& variance,
                                  double momentum, double unbias, const Tensor& running_mean,
                                  const Tensor& running_var) {
  auto blend = [&](const Tensor& running, const Tensor& batch, double factor) {
    const Tensor old_value = running.to(DType::f64), b = batch.to(DType::f64);
    Tensor next = Tensor::empty(batch.shape(), DType::f64);
    for (int64_t c = 0; c < batch.numel(); ++c) {
      next.data<double>()[c] =
          (1 - momentum) * old_value.data<double>()[c] + momentum * factor * b.data<double>()[c];
    }
    running.copy_from(next);
  };
  blend(running_mean, mean, 1.0);
  blend(running_var, variance, unbias);
}

void BatchNormRef::invstd(const BatchNormProblem&, const Tensor& variance, double eps, const Tensor& invstd) {
  const Tensor v = variance.to(DType::f64), result = Tensor::empty(variance.shape(), DType::f64);
  for (int64_t c = 0; c < v.numel(); ++c)
    result.data<double>()[c] = 1.0 / std::sqrt(v.data<double>()[c] + eps);
  invstd.copy_from(result);
}

void BatchNormRef::fold(const BatchNormProblem& problem, const Tensor& filter, const Tensor& bias,
                        const Tensor& gamma, const Tensor& beta, const Tensor& mean, const Tensor& variance,
                        double eps, const Tensor& weight, const Tensor& folded_bias) {
  in_dtype(problem.dtype, [&](auto tag) {
    using T = decltype(tag);
    const int64_t filters = filter.dim(0), per_filter = filter.numel() / std::max<int64_t>(1, filters);
    for (int64_t k = 0; k < filters; ++k) {
      const double scale = get<T>(gamma, 0, k) / std::sqrt(get<T>(variance, 0, k) + eps);
      const double b = bias.defined() ? get<T>(bias, 0, k) : 0.0;
      set<T>(folded_bias, 0, k, scale * b + get<T>(beta, 0, k) - scale * get<T>(mean, 0, k));
      for (int64_t i = k * per_filter; i < (k + 1) * per_filter; ++i)
        weight.data<T>()[i] = static_cast<T>(scale * static_cast<double>(filter.data<T>()[i]));
    }
  });
}

}  // namespace atrous::kernels
