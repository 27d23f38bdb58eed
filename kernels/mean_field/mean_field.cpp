#include "kernels/mean_field/mean_field.h"

#include <cmath>

#include "kernels/common/arguments.h"
#include "kernels/common/entry.h"
#include "kernels/common/pool2d.h"
#include "kernels/lattice_filter/lattice_filter.h"
#include "kernels/mean_field/mean_field_impl.h"

namespace atrous::kernels {
namespace mean_field_impl {
namespace {

constexpr auto can_warps = [](const MeanFieldProblem& p) -> const char* {
  return p.channels > most_classes_of_warps ? "more than 128 classes" : f32_only(p);
};

constexpr Entry<MeanFieldProblem, UpdateFn> update{
    "mean_field.update",
    {
        ATROUS_ON_GPU("warps", can_warps, update_warps),
        ATROUS_ON_GPU("naive", f32_only, update_naive),
        {"avx512", Device::cpu, f32_only, update_avx512, {.needs = &needs_avx512}},
        {"avx2", Device::cpu, f32_only, update_avx2, {.needs = &needs_avx2}},
        {"portable", Device::cpu, f32_only, update_portable},
        {"ref", Device::cpu, always, update_ref},
    }};
constexpr Entry<MeanFieldProblem, UnaryFn> unary{
    "mean_field.unary",
    {
        ATROUS_ON_GPU("naive", f32_only, unary_naive),
        {"avx512", Device::cpu, f32_only, unary_avx512, {.needs = &needs_avx512}},
        {"avx2", Device::cpu, f32_only, unary_avx2, {.needs = &needs_avx2}},
        {"portable", Device::cpu, f32_only, unary_portable},
        {"ref", Device::cpu, always, unary_ref},
    }};

MeanFieldProblem checked_rows(const char* where, const char* name, const Tensor& t) {
  ATROUS_CHECK(
      t.defined() && t.rank() >= 2 && t.numel() > 0 && (t.dtype() == DType::f32 || t.dtype() == DType::f64),
      ErrorKind::usage,
      "[{}] {} must be rows of classes, one per pixel, in f32. Got {}. An image without pixels has nothing "
      "to refine.",
      where, name, t.defined() ? t.describe() : "nothing");
  return {narrow<int32_t>(t.pixels(), where), t.channels(), "", t.dtype()};
}

// A letter for the kind of compatibility.
char checked_compatibility(const Tensor& t, const MeanFieldProblem& p) {
  const int64_t c = p.channels;
  ATROUS_CHECK(
      t.defined() && t.dtype() == p.dtype &&
          (t.shape() == Shape{1} || t.shape() == Shape{c} || t.shape() == Shape({c, c})),
      ErrorKind::usage,
      "[mean_field] a compatibility must be [1], [{}] or [{}, {}] in {}: a factor, one per class or a "
      "matrix. Got {}.",
      c, c, c, name_of(p.dtype), t.defined() ? t.describe() : "nothing");
  return t.rank() == 2 ? 'm' : t.dim(0) == c && c > 1 ? 'd' : 's';
}

// A term with contiguous compatibility; its letters are added to the problem.
MeanFieldTerm checked(const MeanFieldTerm& term, MeanFieldProblem& p) {
  const auto fits = [&](const Tensor& t, int64_t rows) {
    return t.defined() && t.rank() >= 2 && t.dtype() == p.dtype && t.channels() == p.channels &&
           t.pixels() == rows;
  };
  const Lattice& lattice = term.lattice;
  const bool sliced = !term.filtered.defined();
  if (sliced) {
    ATROUS_CHECK(lattice.weight.defined() && lattice.points == p.points &&
                     lattice.weight.dtype() == p.dtype && fits(term.vertex_values, lattice.vertices),
                 ErrorKind::usage,
                 "[mean_field] a kernel needs filtered values, or a lattice around the {} pixels with values "
                 "of {} classes at its vertices, in {}. Got a lattice of {} points and {} vertices, and {}.",
                 p.points, p.channels, name_of(p.dtype), lattice.points, lattice.vertices,
                 term.vertex_values.defined() ? term.vertex_values.describe() : "nothing");
  } else {
    ATROUS_CHECK(fits(term.filtered, p.points), ErrorKind::usage,
                 "[mean_field] filtered values must be like the unary, {} rows of {} classes in {}. Got {}.",
                 p.points, p.channels, name_of(p.dtype), term.filtered.describe());
  }
  if (!p.kernels.empty()) p.kernels += ' ';
  p.kernels += {sliced ? 'l' : 'f', checked_compatibility(term.compatibility, p)};
  MeanFieldTerm result = term;
  result.compatibility = term.compatibility.contiguous_copy_if_needed();
  return result;
}

}  // namespace
}  // namespace mean_field_impl

std::string MeanFieldProblem::str() const {
  return fmt::format("n{} c{}{}{} {}", points, channels, kernels.empty() ? "" : " ", kernels, name_of(dtype));
}

Tensor mean_field_update(const Tensor& log_unary, const std::vector<MeanFieldTerm>& terms, Tensor out) {
  using namespace mean_field_impl;
  MeanFieldProblem problem = checked_rows("mean_field", "the unary", log_unary);
  ATROUS_CHECK(terms.size() <= mean_field_most_terms, ErrorKind::usage,
               "[mean_field] takes up to {} kernels. Got {}.", mean_field_most_terms, terms.size());
  std::vector<MeanFieldTerm> good;
  for (const MeanFieldTerm& term : terms) good.push_back(checked(term, problem));
  const Tensor q = pool_target("mean_field", std::move(out), {problem.points, problem.channels}, log_unary);
  ATROUS_CHECK(q.contiguous(), ErrorKind::usage, "[mean_field] the output must be contiguous. Got {}.",
               q.describe());
  check_disjoint("mean_field", q, log_unary);
  update(problem, log_unary, good, writes(q));
  return q;
}

Tensor mean_field_unary(const Tensor& probabilities) {
  using namespace mean_field_impl;
  const char* where = "mean_field_unary";
  const MeanFieldProblem problem = checked_rows(where, "probabilities", probabilities);
  ATROUS_CHECK(problem.channels >= 2, ErrorKind::usage,
               "[{}] there is nothing to decide with one class. Got probabilities {}. Give those of the "
               "background as well: 1 - p.",
               where, probabilities.describe());
  const Device device = probabilities.device();
  const Tensor y = Tensor::empty({problem.points, problem.channels}, problem.dtype, device);
  const Tensor first_bad = Tensor::empty({1}, DType::i32, device);
  unary(problem, probabilities, writes(y), writes(first_bad));
  const auto bad = static_cast<int64_t>(first_bad.to(Device::cpu).item());
  if (bad == problem.points) return y;
  const Tensor row = probabilities.contiguous_copy_if_needed()
                         .reshape({problem.points, problem.channels})
                         .narrow_batch(bad, 1)
                         .to(Device::cpu)
                         .to(DType::f64);
  double sum = 0, least = row.data<double>()[0];
  for (int64_t c = 0; c < problem.channels; ++c) {
    sum += row.data<double>()[c];
    if (std::isnan(row.data<double>()[c]) || row.data<double>()[c] < least) least = row.data<double>()[c];
  }
  fail(
      ErrorKind::data,
      "[{}] the probabilities of a pixel must not be negative and must sum to 1 within {}. Got a sum of {} "
      "and a least value of {} at pixel {} of {}. Logits become probabilities by a softmax over the classes.",
      where, probability_sum_tolerance, sum, least, bad, problem.points);
}

EntryList mean_field_entries() {
  return {&mean_field_impl::update, &mean_field_impl::unary};
}

}  // namespace atrous::kernels
