// The implementations behind mean_field.h; arguments are checked already.
#pragma once

#include "kernels/gpu/declare.h"
#include "kernels/mean_field/mean_field.h"

namespace atrous::kernels::mean_field_impl {

// q and the compatibilities are contiguous.
using UpdateFn = void(const MeanFieldProblem&, const Tensor& log_unary,
                      const std::vector<MeanFieldTerm>& terms, const Tensor& q);
// first_bad i32 [1]: the first pixel whose values are not probabilities; the number of pixels if all are.
using UnaryFn = void(const MeanFieldProblem&, const Tensor& probabilities, const Tensor& log_unary,
                     const Tensor& first_bad);
UpdateFn update_ref, update_portable, update_avx2, update_avx512;
UnaryFn unary_ref, unary_portable, unary_avx2, unary_avx512;
ATROUS_DECLARE_ON_GPU(UpdateFn update_naive, update_warps; UnaryFn unary_naive;)
inline constexpr int64_t most_classes_of_warps = 128;

// Arguments of the per-instruction-set files; strides are floats between rows.
enum class Costs { factor, per_class, matrix };
struct TermRun {
  const float* v;  // filtered values of points, or of vertices
  int64_t v_stride;
  const int32_t* vertex;  // null: filtered
  const float* weight;
  int corners;
  Costs costs;
  // One; padded with zeros like a row; or one such row for each column of the matrix. With the factor of the
  // slice in them.
  const float* compatibility;
};
struct UpdateRun {
  const float* log_unary;
  int64_t stride;
  const TermRun* terms;
  int count;
  float* q;
  int channels;
  int padded;            // channels rounded up to a multiple of 16
  const float* padding;  // a row that is 0, and -infinity behind the channels
};
struct Runs {
  // The points [begin, end). scratch: two rows of `padded`.
  void (*update)(const UpdateRun&, int64_t begin, int64_t end, float* scratch);
  // The first of `count` rows that is not a probability distribution, or count.
  int64_t (*first_bad)(const float* rows, int64_t stride, int channels, int64_t count);
};
extern const Runs runs_portable, runs_avx2, runs_avx512;

}  // namespace atrous::kernels::mean_field_impl
