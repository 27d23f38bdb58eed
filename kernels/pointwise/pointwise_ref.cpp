// The reference of pointwise ops: one element after the other, in double.
#include "kernels/pointwise/pointwise_impl.h"

namespace atrous::kernels {
namespace {

template <class T>
double get(const Tensor& t, int64_t p, int64_t c) {
  return t.defined() ? static_cast<double>(t.data<T>()[p * t.pixel_stride() + c]) : 0.0;
}

// out[p, c] = f(p, c), where f reads through the getter it is given: f(get, p, c).
template <class F>
void fill(const Tensor& out, F&& f) {
  auto run = [&](auto tag) {
    using T = decltype(tag);
    for (int64_t p = 0; p < out.pixels(); ++p) {
      for (int64_t c = 0; c < out.channels(); ++c) {
        out.data<T>()[p * out.pixel_stride() + c] =
            static_cast<T>(f([](const Tensor& t, int64_t q, int64_t k) { return get<T>(t, q, k); }, p, c));
      }
    }
  };
  out.dtype() == DType::f64 ? run(double{}) : run(float{});
}

}  // namespace

void PointwiseRef::unary_forward(const UnaryProblem& problem, const Tensor& x, const Tensor& y) {
  with_functor(problem.op, [&](auto op) {
    fill(y, [&](auto read, int64_t p, int64_t c) { return op.value(read(x, p, c), problem.a, problem.b); });
  });
}

void PointwiseRef::unary_backward(const UnaryProblem& problem, const Tensor& kept, const Tensor& dy,
                                  const Tensor& dx) {
  with_functor(problem.op, [&](auto op) {
    fill(dx, [&](auto read, int64_t p, int64_t c) {
      return op.gradient(read(kept, p, c), read(dy, p, c), problem.a, problem.b);
    });
  });
}

void PointwiseRef::binary_forward(const BinaryProblem& problem, const Tensor& x, const Tensor& z,
                                  const Tensor& y) {
  with_functor(problem.op, [&](auto op) {
    fill(y, [&](auto read, int64_t p, int64_t c) { return op.value(read(x, p, c), read(z, p, c)); });
  });
}

void PointwiseRef::binary_backward(const BinaryProblem& problem, const Tensor& x, const Tensor& z,
                                   const Tensor& dy, const Tensor& dx, const Tensor& dz) {
  with_functor(problem.op, [&](auto op) {
    if (dx.defined()) {
      fill(dx, [&](auto read, int64_t p, int64_t c) {
        return op.dx(read(x, p, c), read(z, p, c), read(dy, p, c));
      });
    }
    if (dz.defined()) {
      fill(dz, [&](auto read, int64_t p, int64_t c) {
        return op.dz(read(x, p, c), read(z, p, c), read(dy, p, c));
      });
    }
  });
}

void PointwiseRef::broadcast_forward(const BinaryProblem& problem, const Tensor& x, const Tensor& z,
                                     const Tensor& y) {
  const int64_t pixels_per_vector = z.pixels() ? x.pixels() / z.pixels() : 0;
  with_functor(problem.op, [&](auto op) {
    fill(y, [&](auto read, int64_t p, int64_t c) {
      const double other = problem.per_pixel() ? read(z, p, 0) : read(z, p / pixels_per_vector, c);
      return op.value(read(x, p, c), other);
    });
  });
}

void PointwiseRef::broadcast_vector(const BinaryProblem& problem, const Tensor& x, const Tensor& dy,
                                    const Tensor& dz) {
  const int64_t pixels_per_vector = dz.pixels() ? dy.pixels() / dz.pixels() : 0;
  fill(dz, [&](auto read, int64_t v, int64_t channel) {
    const auto term = [&](int64_t p, int64_t c) {
      return read(dy, p, c) * (problem.op == Binary::mul ? read(x, p, c) : 1.0);
    };
    double sum = 0;
    if (problem.per_pixel()) {
      for (int64_t c = 0; c < dy.channels(); ++c) sum += term(v, c);
    } else {
      for (int64_t p = v * pixels_per_vector; p < (v + 1) * pixels_per_vector; ++p) sum += term(p, channel);
    }
    return sum;
  });
}

}  // namespace atrous::kernels
