// Pointwise ops in f32: one vectorised loop per functor, over rows of channels, or over everything if it is
// dense.
#include <algorithm>
#include <initializer_list>
#include <vector>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/common/channel_ops.h"
#include "kernels/pointwise/pointwise_impl.h"

namespace atrous::kernels {
namespace {

constexpr int64_t elements_per_task = 1 << 15;

// A rectangle of one tensor: rows of `width` elements, `stride` apart.
struct Rows {
  float* data;
  int64_t stride;
};

template <class Op>
ATROUS_MULTIVERSION void unary_rows(Rows x, Rows y, int64_t rows, int64_t width, float a, float b) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* px = x.data + i * x.stride;
    float* py = y.data + i * y.stride;
#pragma GCC ivdep
    for (int64_t j = 0; j < width; ++j) py[j] = Op::value(px[j], a, b);
  }
}

template <class Op>
ATROUS_MULTIVERSION void unary_gradient_rows(Rows kept, Rows dy, Rows dx, int64_t rows, int64_t width,
                                             float a, float b) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* pg = dy.data + i * dy.stride;
    const float* pk = Op::keeps == pointwise::Keeps::nothing ? pg : kept.data + i * kept.stride;
    float* px = dx.data + i * dx.stride;
#pragma GCC ivdep
    for (int64_t j = 0; j < width; ++j) px[j] = Op::gradient(pk[j], pg[j], a, b);
  }
}

template <class Op>
ATROUS_MULTIVERSION void binary_rows(Rows x, Rows z, Rows y, int64_t rows, int64_t width) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* px = x.data + i * x.stride;
    const float* pz = z.data + i * z.stride;
    float* py = y.data + i * y.stride;
#pragma GCC ivdep
    for (int64_t j = 0; j < width; ++j) py[j] = Op::value(px[j], pz[j]);
  }
}

template <class Op, bool Left>
ATROUS_MULTIVERSION void binary_gradient_rows(Rows x, Rows z, Rows dy, Rows out, int64_t rows,
                                              int64_t width) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* px = x.data + i * x.stride;
    const float* pz = z.data + i * z.stride;
    const float* pg = dy.data + i * dy.stride;
    float* po = out.data + i * out.stride;
#pragma GCC ivdep
    for (int64_t j = 0; j < width; ++j)
      po[j] = Left ? Op::dx(px[j], pz[j], pg[j]) : Op::dz(px[j], pz[j], pg[j]);
  }
}

// z has one value per row.
template <class Op>
ATROUS_MULTIVERSION void per_pixel_rows(Rows x, Rows z, Rows y, int64_t rows, int64_t width) {
  for (int64_t i = 0; i < rows; ++i) {
    const float* px = x.data + i * x.stride;
    const float factor = z.data[i * z.stride];
    float* py = y.data + i * y.stride;
#pragma GCC ivdep
    for (int64_t j = 0; j < width; ++j) py[j] = Op::value(px[j], factor);
  }
}

// sums[i] = sum of dy (* x) along row i. 16 running sums: a loop over one must not be vectorised, since that
// would change the order.
template <bool Product>
ATROUS_MULTIVERSION void sums_of_rows(Rows x, Rows dy, Rows sums, int64_t rows, int64_t width) {
  constexpr int lanes = 16;
  for (int64_t i = 0; i < rows; ++i) {
    const float* pg = dy.data + i * dy.stride;
    const float* px = Product ? x.data + i * x.stride : pg;
    float running[lanes] = {};
    int64_t j = 0;
    for (; j + lanes <= width; j += lanes) {
      for (int l = 0; l < lanes; ++l) running[l] += Product ? pg[j + l] * px[j + l] : pg[j + l];
    }
    double sum = 0;
    for (; j < width; ++j) sum += Product ? pg[j] * px[j] : pg[j];
    for (const float r : running) sum += r;
    sums.data[i * sums.stride] = static_cast<float>(sum);
  }
}

// Splits tensors of equal shape over the threads: f(view, rows, width), where view(t) is the part of t to
// work on. With `by_pixel`, rows are pixels even if everything is dense, and a tensor may have one channel.
template <class F>
void for_each_rows(std::initializer_list<const Tensor*> tensors, F&& f, bool by_pixel = false) {
  const Tensor& first = **tensors.begin();
  const int64_t channels = first.channels();
  const bool dense = !by_pixel && std::all_of(tensors.begin(), tensors.end(), [](const Tensor* t) {
    return !t->defined() || t->contiguous();
  });
  const int64_t count = dense ? first.numel() : first.pixels();
  const int64_t grain =
      dense ? elements_per_task : std::max<int64_t>(1, elements_per_task / std::max<int64_t>(1, channels));
  parallel_for(count, grain, [&](int64_t begin, int64_t end) {
    auto view = [&](const Tensor& t) {
      return t.defined() ? Rows{t.data<float>() + begin * (dense ? 1 : t.pixel_stride()), t.pixel_stride()}
                         : Rows{nullptr, 0};
    };
    dense ? f(view, int64_t{1}, end - begin) : f(view, end - begin, channels);
  });
}

}  // namespace

void PointwiseCpu::unary_forward(const UnaryProblem& problem, const Tensor& x, const Tensor& y) {
  const auto a = static_cast<float>(problem.a), b = static_cast<float>(problem.b);
  with_functor(problem.op, [&](auto op) {
    for_each_rows({&x, &y}, [&](auto view, int64_t rows, int64_t width) {
      unary_rows<decltype(op)>(view(x), view(y), rows, width, a, b);
    });
  });
}

void PointwiseCpu::unary_backward(const UnaryProblem& problem, const Tensor& kept, const Tensor& dy,
                                  const Tensor& dx) {
  const auto a = static_cast<float>(problem.a), b = static_cast<float>(problem.b);
  with_functor(problem.op, [&](auto op) {
    for_each_rows({&dy, &kept, &dx}, [&](auto view, int64_t rows, int64_t width) {
      unary_gradient_rows<decltype(op)>(view(kept), view(dy), view(dx), rows, width, a, b);
    });
  });
}

void PointwiseCpu::binary_forward(const BinaryProblem& problem, const Tensor& x, const Tensor& z,
                                  const Tensor& y) {
  with_functor(problem.op, [&](auto op) {
    for_each_rows({&x, &z, &y}, [&](auto view, int64_t rows, int64_t width) {
      binary_rows<decltype(op)>(view(x), view(z), view(y), rows, width);
    });
  });
}

void PointwiseCpu::binary_backward(const BinaryProblem& problem, const Tensor& x, const Tensor& z,
                                   const Tensor& dy, const Tensor& dx, const Tensor& dz) {
  with_functor(problem.op, [&](auto op) {
    using Op = decltype(op);
    for_each_rows({&dy, &x, &z, &dx, &dz}, [&](auto view, int64_t rows, int64_t width) {
      if (dx.defined()) binary_gradient_rows<Op, true>(view(x), view(z), view(dy), view(dx), rows, width);
      if (dz.defined()) binary_gradient_rows<Op, false>(view(x), view(z), view(dy), view(dz), rows, width);
    });
  });
}

void PointwiseCpu::broadcast_forward(const BinaryProblem& problem, const Tensor& x, const Tensor& z,
                                     const Tensor& y) {
  if (problem.per_pixel()) {
    const auto run = [&](auto op) {
      for_each_rows(
          {&x, &z, &y},
          [&](auto view, int64_t rows, int64_t width) {
            per_pixel_rows<decltype(op)>(view(x), view(z), view(y), rows, width);
          },
          true);
    };
    return problem.op == Binary::mul ? run(pointwise::mul{}) : run(pointwise::add{});
  }
  const Tensor vectors = z.contiguous_copy_if_needed();
  const std::vector<float> constant(static_cast<size_t>(z.numel()), problem.op == Binary::mul ? 0.0f : 1.0f);
  const float* scale = problem.op == Binary::mul ? vectors.data<float>() : constant.data();
  const float* shift = problem.op == Binary::mul ? constant.data() : vectors.data<float>();
  channel_affine(x, z.pixels(), nullptr, scale, shift, Tensor(), Activation::none, y);
}

void PointwiseCpu::broadcast_vector(const BinaryProblem& problem, const Tensor& x, const Tensor& dy,
                                    const Tensor& dz) {
  const auto size = static_cast<size_t>(dz.numel());
  const bool product = problem.op == Binary::mul;
  if (problem.per_pixel()) {
    return for_each_rows(
        {&dy, &x, &dz},
        [&](auto view, int64_t rows, int64_t width) {
          (product ? sums_of_rows<true> : sums_of_rows<false>)(view(x), view(dy), view(dz), rows, width);
        },
        true);
  }
  std::vector<double> plain(size), weighted(product ? size : 0);
  channel_gradient_sums(dy, {}, product ? x : Tensor(), dz.pixels(), nullptr, plain.data(), weighted.data(),
                        Tensor());
  const std::vector<double>& sums = product ? weighted : plain;
  for (int64_t p = 0; p < dz.pixels(); ++p) {
    for (int64_t c = 0; c < dz.channels(); ++c) {
      dz.data<float>()[p * dz.pixel_stride() + c] =
          static_cast<float>(sums[static_cast<size_t>(p * dz.channels() + c)]);
    }
  }
}

}  // namespace atrous::kernels
