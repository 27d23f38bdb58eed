// Splits the pixels into runs for the vector kernels and brings compatibilities into their layout.
#include <algorithm>
#include <atomic>
#include <limits>

#include "core/cpu.h"
#include "core/parallel.h"
#include "kernels/lattice_filter/lattice_filter.h"
#include "kernels/mean_field/mean_field_lanes.h"

namespace atrous::kernels::mean_field_impl {

const Runs runs_portable = runs<4>;

namespace {

int64_t pixels_per_run(const MeanFieldProblem& p) {
  return std::max<int64_t>(16, (1 << 15) / p.channels);
}

int padded_channels(const MeanFieldProblem& p) {
  return static_cast<int>((p.channels + 15) / 16 * 16);
}

// TermRun::compatibility.
Tensor laid_out(const Tensor& costs, float factor, int64_t channels, int64_t padded) {
  const float* from = costs.data<float>();
  if (costs.numel() == 1) return Tensor::full({1}, factor * from[0]);
  const int64_t columns = costs.rank() == 2 ? channels : 1;
  const Tensor rows = Tensor::zeros({columns, padded});
  for (int64_t j = 0; j < columns; ++j) {
    for (int64_t i = 0; i < channels; ++i)
      rows.data<float>()[j * padded + i] = factor * from[i * columns + j];
  }
  return rows;
}

TermRun term_run(const MeanFieldTerm& t, const Tensor& costs) {
  TermRun run{};
  const Tensor& v = t.filtered.defined() ? t.filtered : t.vertex_values;
  run.v = v.data<float>();
  run.v_stride = v.pixel_stride();
  if (!t.filtered.defined()) {
    run.vertex = t.lattice.vertex.data<int32_t>();
    run.weight = t.lattice.weight.data<float>();
    run.corners = static_cast<int>(t.lattice.dims) + 1;
  }
  run.costs = t.compatibility.rank() == 2    ? Costs::matrix
              : t.compatibility.numel() == 1 ? Costs::factor
                                             : Costs::per_class;
  run.compatibility = costs.data<float>();
  return run;
}

void update_with(const Runs& with, const MeanFieldProblem& p, const Tensor& log_unary,
                 const std::vector<MeanFieldTerm>& terms, const Tensor& q) {
  const int padded = padded_channels(p);
  std::vector<Tensor> costs;
  std::vector<TermRun> runs;
  for (const MeanFieldTerm& t : terms) {
    const double alpha = t.filtered.defined() ? 1 : lattice_alpha(t.lattice.dims);
    costs.push_back(laid_out(t.compatibility, static_cast<float>(alpha), p.channels, padded));
    runs.push_back(term_run(t, costs.back()));
  }
  const Tensor padding = Tensor::full({padded}, -std::numeric_limits<double>::infinity());
  std::fill_n(padding.data<float>(), p.channels, 0.0f);
  const UpdateRun run{
      log_unary.data<float>(), log_unary.pixel_stride(),     runs.data(), static_cast<int>(runs.size()),
      q.data<float>(),         static_cast<int>(p.channels), padded,      padding.data<float>()};
  parallel_for(p.points, pixels_per_run(p), [&](int64_t begin, int64_t end) {
    const Tensor scratch = Tensor::empty({2, padded});
    with.update(run, begin, end, scratch.data<float>());
  });
}

ATROUS_MULTIVERSION void log_row(int64_t n, const float* __restrict from, float* __restrict to) {
  constexpr float least = static_cast<float>(least_probability);
  for (int64_t i = 0; i < n; ++i) to[i] = log_approx(from[i] > least ? from[i] : least);
}

void unary_with(const Runs& with, const MeanFieldProblem& p, const Tensor& probabilities,
                const Tensor& log_unary, const Tensor& first_bad) {
  std::atomic<int64_t> bad = p.points;
  parallel_for(p.points, pixels_per_run(p), [&](int64_t begin, int64_t end) {
    const int64_t stride = probabilities.pixel_stride(), count = end - begin;
    const float* from = probabilities.data<float>() + begin * stride;
    float* to = log_unary.data<float>() + begin * p.channels;
    const int64_t at = with.first_bad(from, stride, static_cast<int>(p.channels), count);
    if (at < count) {
      int64_t known = bad.load();
      while (begin + at < known && !bad.compare_exchange_weak(known, begin + at)) {
      }
    }
    if (stride == p.channels) return log_row(count * p.channels, from, to);
    for (int64_t i = 0; i < count; ++i) log_row(p.channels, from + i * stride, to + i * p.channels);
  });
  first_bad.data<int32_t>()[0] = static_cast<int32_t>(bad.load());
}

}  // namespace

void update_portable(const MeanFieldProblem& p, const Tensor& log_unary,
                     const std::vector<MeanFieldTerm>& terms, const Tensor& q) {
  update_with(runs_portable, p, log_unary, terms, q);
}
void update_avx2(const MeanFieldProblem& p, const Tensor& log_unary, const std::vector<MeanFieldTerm>& terms,
                 const Tensor& q) {
  update_with(runs_avx2, p, log_unary, terms, q);
}
void update_avx512(const MeanFieldProblem& p, const Tensor& log_unary,
                   const std::vector<MeanFieldTerm>& terms, const Tensor& q) {
  update_with(runs_avx512, p, log_unary, terms, q);
}

void unary_portable(const MeanFieldProblem& p, const Tensor& probabilities, const Tensor& log_unary,
                    const Tensor& first_bad) {
  unary_with(runs_portable, p, probabilities, log_unary, first_bad);
}
void unary_avx2(const MeanFieldProblem& p, const Tensor& probabilities, const Tensor& log_unary,
                const Tensor& first_bad) {
  unary_with(runs_avx2, p, probabilities, log_unary, first_bad);
}
void unary_avx512(const MeanFieldProblem& p, const Tensor& probabilities, const Tensor& log_unary,
                  const Tensor& first_bad) {
  unary_with(runs_avx512, p, probabilities, log_unary, first_bad);
}

}  // namespace atrous::kernels::mean_field_impl
