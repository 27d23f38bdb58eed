// Matrix products and convolutions against an independent truth: Eigen's products in double precision, the
// convolution as a product with the columns of all windows (im2col).
//
// Bound: a sum of k products in any order is off by at most about k eps times the sum of their absolute
// values. f64 runs the reference, f32 what dispatch chooses, Winograd's transforms included.
#include <Eigen/Core>
#include <catch2/catch.hpp>
#include <limits>

#include "core/random.h"
#include "kernels/conv2d/conv2d.h"
#include "kernels/gemm/gemm.h"

using namespace atrous;
using namespace atrous::kernels;

namespace {

using Matrix = Eigen::Matrix<double, Eigen::Dynamic, Eigen::Dynamic, Eigen::RowMajor>;

Tensor random_tensor(const Shape& shape, uint64_t seed, DType dtype) {
  const Tensor t = Tensor::empty(shape);
  Rng rng(seed);
  for (int64_t i = 0; i < t.numel(); ++i) t.data<float>()[i] = static_cast<float>(rng.normal());
  return t.to(dtype);
}

// Rows: all axes but the last.
Matrix matrix_of(const Tensor& t) {
  const Tensor dense = t.to(DType::f64).contiguous_copy_if_needed();
  const int64_t columns = t.dim(t.rank() - 1);
  return Eigen::Map<const Matrix>(dense.data<double>(), columns == 0 ? 0 : t.numel() / columns, columns);
}

// `magnitude`: the same sums of absolute values.
void check_near(const Tensor& got, const Matrix& truth, const Matrix& magnitude, int64_t products) {
  const double eps = got.dtype() == DType::f64 ? std::numeric_limits<double>::epsilon()
                                               : double{std::numeric_limits<float>::epsilon()};
  const Matrix values = matrix_of(got);
  REQUIRE(values.rows() == truth.rows());
  REQUIRE(values.cols() == truth.cols());
  const Matrix bound = (static_cast<double>(products) + 2) * eps * magnitude;
  CHECK(((values - truth).cwiseAbs().array() <= bound.array()).all());
}

struct Windows {  // [n p q, r s c / groups] of one group
  Conv2dProblem p;
  int64_t group;

  // visit(row, column, pixel of the input, its channel) for every tap inside the input.
  template <class Visit>
  void each(const Visit& visit) const {
    const int64_t channels = p.c / p.groups;
    for (int64_t row = 0; row < p.n * p.p() * p.q(); ++row) {
      const int64_t q = row % p.q(), at = row / p.q() % p.p(), image = row / (p.p() * p.q());
      for (int64_t column = 0; column < p.r * p.s * channels; ++column) {
        const int64_t c = column % channels, s = column / channels % p.s, r = column / (channels * p.s);
        const int64_t y = at * p.stride_h + r * p.dilation_h - p.pad_h;
        const int64_t x = q * p.stride_w + s * p.dilation_w - p.pad_w;
        if (y < 0 || y >= p.h || x < 0 || x >= p.w) continue;
        visit(row, column, (image * p.h + y) * p.w + x, group * channels + c);
      }
    }
  }
  Matrix columns_of(const Matrix& input) const {
    Matrix columns = Matrix::Zero(p.n * p.p() * p.q(), p.r * p.s * p.c / p.groups);
    each([&](auto row, auto column, auto pixel, auto c) { columns(row, column) = input(pixel, c); });
    return columns;
  }
  void add_to(Matrix& input, const Matrix& columns) const {
    each([&](auto row, auto column, auto pixel, auto c) { input(pixel, c) += columns(row, column); });
  }
};

struct Truth {
  Matrix y, dx, dw;
};

// w and dw: [k, r s c / groups].
Truth convolution(const Conv2dProblem& p, const Matrix& x, const Matrix& w, const Matrix& dy) {
  Truth t{Matrix(dy.rows(), p.k), Matrix::Zero(x.rows(), p.c), Matrix(w.rows(), w.cols())};
  const int64_t per_group = p.k / p.groups;
  for (int64_t g = 0; g < p.groups; ++g) {
    const Windows windows{p, g};
    const Matrix columns = windows.columns_of(x);
    const Matrix filter = w.middleRows(g * per_group, per_group);
    const Matrix gradient = dy.middleCols(g * per_group, per_group);
    t.y.middleCols(g * per_group, per_group) = columns * filter.transpose();
    t.dw.middleRows(g * per_group, per_group) = gradient.transpose() * columns;
    windows.add_to(t.dx, gradient * filter);
  }
  return t;
}

Matrix filter_matrix(const Tensor& w) {
  return matrix_of(w.reshape({w.dim(0), w.numel() / w.dim(0)}));
}

void check_convolution(const Shape& input, const Shape& filter, const Conv2dOptions& o, DType dtype) {
  const Conv2dProblem p = Conv2dProblem::make("test", input, filter, o, dtype);
  INFO(p.str());
  const Tensor x = random_tensor(input, 1, dtype), w = random_tensor(filter, 2, dtype),
               dy = random_tensor(p.output_shape(), 3, dtype), bias = random_tensor({p.k}, 4, dtype);
  const Truth t = convolution(p, matrix_of(x), filter_matrix(w), matrix_of(dy));
  const Truth size =
      convolution(p, matrix_of(x).cwiseAbs(), filter_matrix(w).cwiseAbs(), matrix_of(dy).cwiseAbs());
  const int64_t taps = p.r * p.s;
  check_near(conv2d(x, w, o), t.y, size.y, taps * p.c / p.groups);
  Conv2dFusion with_bias;
  with_bias.bias = bias;
  check_near(conv2d(x, w, o, with_bias), t.y.rowwise() + matrix_of(bias).row(0),
             size.y.rowwise() + matrix_of(bias).cwiseAbs().row(0), taps * p.c / p.groups + 1);
  check_near(conv2d_backward_input(dy, w, o, input), t.dx, size.dx, taps * p.k / p.groups);
  const Tensor dw = conv2d_backward_weight(dy, x, o, filter);
  check_near(dw.reshape({p.k, w.numel() / p.k}), t.dw, size.dw, p.n * p.p() * p.q());
  check_near(conv2d_backward_bias(dy).reshape({1, p.k}), matrix_of(dy).colwise().sum(),
             matrix_of(dy).cwiseAbs().colwise().sum(), p.n * p.p() * p.q());
}

}  // namespace

TEST_CASE("gemm is Eigen's product in every form") {
  const DType dtype = GENERATE(DType::f64, DType::f32);
  const auto [m, n, k] = GENERATE(table<int64_t, int64_t, int64_t>(
      {{1, 1, 1}, {3, 5, 7}, {1, 40, 64}, {64, 1, 30}, {6 * 49, 33, 20}, {70, 100, 150}}));
  CAPTURE(name_of(dtype), m, n, k);
  for (const bool strided : {false, true}) {
    CAPTURE(strided);
    const auto operand = [&, dtype = dtype](int64_t rows, int64_t columns, uint64_t seed) {
      const Tensor whole = random_tensor({rows, columns + (strided ? 8 : 0)}, seed, dtype);
      return strided ? whole.narrow_channels(8, columns) : whole;
    };
    const Tensor bias = random_tensor({n}, 3, dtype);
    const auto check = [&, m = m, n = n, k = k](GemmForm form, bool a_t, bool b_t, const Tensor& added) {
      const Tensor a = a_t ? operand(k, m, 1) : operand(m, k, 1),
                   b = b_t ? operand(n, k, 2) : operand(k, n, 2);
      Matrix left = matrix_of(a), right = matrix_of(b);
      if (a_t) left = left.transpose().eval();
      if (b_t) right = right.transpose().eval();
      Matrix truth = left * right, size = left.cwiseAbs() * right.cwiseAbs();
      if (added.defined()) {
        truth.rowwise() += matrix_of(added).row(0);
        size.rowwise() += matrix_of(added).cwiseAbs().row(0);
      }
      check_near(gemm(a, b, form, added), truth, size, k + 1);
    };
    check(GemmForm::nt, false, true, {});
    check(GemmForm::nt, false, true, bias);
    check(GemmForm::nn, false, false, {});
    check(GemmForm::nn, false, false, bias);
    check(GemmForm::tn, true, false, {});
  }
}

TEST_CASE("conv2d and its gradients are Eigen's products with the columns of all windows") {
  struct Row {
    Shape input, filter;
    Conv2dOptions options;
  };
  const Row rows[] = {
      {{2, 5, 7, 3}, {4, 3, 3, 3}, {}},
      {{2, 5, 7, 3}, {4, 3, 3, 3}, {.pad = {1, 1}}},
      {{1, 9, 8, 6}, {5, 1, 1, 6}, {}},
      {{1, 9, 8, 6}, {5, 1, 1, 6}, {.stride = {2, 2}}},
      {{1, 23, 30, 3}, {8, 7, 7, 3}, {.stride = {2, 2}, .pad = {3, 3}}},
      {{2, 12, 9, 4}, {6, 3, 5, 4}, {.stride = {2, 1}, .pad = {1, 4}, .dilation = {1, 2}}},
      {{1, 13, 17, 8}, {8, 3, 3, 8}, {.pad = {6, 6}, .dilation = {6, 6}}},
      {{1, 8, 8, 4}, {4, 2, 2, 4}, {.stride = {3, 3}}},  // rows that no window reads
      {{2, 9, 10, 12}, {8, 3, 3, 3}, {.stride = {1, 2}, .pad = {1, 1}, .groups = 4}},
      {{1, 11, 10, 16}, {16, 3, 3, 1}, {.pad = {1, 1}, .groups = 16}},  // depthwise
      {{1, 11, 10, 5}, {10, 3, 3, 1}, {.stride = {2, 2}, .pad = {2, 2}, .dilation = {2, 2}, .groups = 5}},
      {{1, 40, 40, 64}, {64, 3, 3, 64}, {.pad = {1, 1}}},  // f32: Winograd's transforms
  };
  for (const Row& row : rows) {
    check_convolution(row.input, row.filter, row.options, DType::f64);
    check_convolution(row.input, row.filter, row.options, DType::f32);
  }
}
