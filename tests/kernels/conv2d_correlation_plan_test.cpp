// Plans of correlations on the CPU: by value for layers of known networks, and for random
// geometries that every output belongs to exactly one task.
#include <fmt/core.h>

#include <catch2/catch.hpp>

#include "kernels/conv2d/bf16_correlation.h"
#include "kernels/conv2d/bf16_weight_gradient.h"
#include "kernels/conv2d/correlation.h"
#include "kernels/conv2d/weight_gradient.h"
#include "tests/kernels/conv2d_plans.h"

using namespace atrous;
using namespace atrous::kernels;

namespace {

PixelStrides dense(const Conv2dProblem& p) {
  return {p.c, p.c, p.k};
}
CorrelationShape forward(const Conv2dProblem& p, bool has_prologue = false) {
  return forward_shape(p, dense(p), has_prologue);
}
CorrelationShape backward_input(const Conv2dProblem& p) {
  return backward_input_shape(p, dense(p));
}

std::string str(const TapRun& r) {
  return fmt::format("({},{})+{} taps {} steps {}+{}", r.h, r.w, r.count, r.first, r.first_step, r.steps);
}
std::vector<std::string> str(const std::vector<TapRun>& runs) {
  std::vector<std::string> all;
  for (const TapRun& r : runs) all.push_back(str(r));
  return all;
}
std::vector<std::string> str(const std::vector<Tap>& taps) {
  std::vector<std::string> all;
  for (const Tap& t : taps) all.push_back(fmt::format("({},{}) #{}", t.h, t.w, t.index));
  return all;
}
using Strings = std::vector<std::string>;

// Taps of all phases are in exactly one run, and steps of the runs follow each other.
void check_runs(const CorrelationShape& shape, const std::vector<std::vector<TapRun>>& runs, int64_t width,
                int64_t unit, bool phases_apart) {
  REQUIRE(runs.size() == shape.phases.size());
  int64_t step = 0;
  for (size_t i = 0; i < runs.size(); ++i) {
    if (phases_apart) step = 0;
    int64_t first = 0;
    for (const TapRun& r : runs[i]) {
      REQUIRE(r.first == first);
      REQUIRE(r.first_step == step);
      REQUIRE(r.steps == (r.count * width + unit - 1) / unit);
      for (int64_t t = 0; t < r.count; ++t) {
        const Tap& tap = shape.phases[i].taps[static_cast<size_t>(first + t)];
        REQUIRE((tap.h == r.h && tap.w == r.w + t));
      }
      first += r.count;
      step += r.steps;
    }
    REQUIRE(first == static_cast<int64_t>(shape.phases[i].taps.size()));
  }
}

void check_plan(const CorrelationPlan& plan) {
  Visits outputs({plan.shape.images, plan.rows, plan.columns, static_cast<int64_t>(plan.panels.size())});
  const auto panel_index = [&](const Panel* panel) { return panel - plan.panels.data(); };
  for (int64_t task = 0; task < plan.tasks(); ++task) {
    const auto b = plan.block(task / plan.split.groups);
    const int64_t group = task % plan.split.groups;
    for (int64_t image = b.image; image < b.image_end; ++image) {
      for (int64_t p = b.p; p < b.p_end; ++p) {
        for (int64_t q = b.q; q < b.q_end; ++q) {
          for (auto k = panel_index(plan.first_panel(group)); k < panel_index(plan.first_panel(group + 1));
               ++k)
            outputs.add({image, p, q, k});
        }
      }
    }
  }
  CHECK(outputs.each_once());
  check_runs(plan.shape, plan.runs, plan.shape.c, 1, false);
  CHECK(plan.cuts.front() == 0);
  CHECK(plan.cuts.back() == plan.columns);
  // Between cuts of a direct plan a tap reads either inside the image or nothing but padding.
  for (size_t i = 1; i < plan.cuts.size(); ++i) {
    const int64_t first = plan.cuts[i - 1], last = plan.cuts[i] - 1;
    REQUIRE(first <= last);
    if (!plan.direct) continue;
    for (const Tap& t : plan.taps) {
      const int64_t step = plan.shape.step_w, left = first * step + t.w, right = last * step + t.w;
      REQUIRE(((left >= 0 && right < plan.shape.w) || right < 0 || left >= plan.shape.w));
    }
  }
}

void check_plan(const Bf16CorrelationPlan& plan) {
  Visits outputs({plan.shape.images, plan.rows, plan.columns, plan.panels});
  for (int64_t task = 0; task < plan.spatial_tasks(); ++task) {
    const auto b = plan.block(task);
    for (int64_t group = 0; group < plan.panel_groups; ++group) {
      for (int64_t p = b.p_begin; p < b.p_end; ++p) {
        for (int64_t q = b.q_begin; q < b.q_end; ++q) {
          for (int64_t k = plan.first_panel(group); k < plan.first_panel(group + 1); ++k)
            outputs.add({b.image, p, q, k});
        }
      }
    }
  }
  CHECK(outputs.each_once());
  check_runs(plan.shape, plan.runs, plan.width, bf16_step, true);
}

}  // namespace

TEST_CASE("plans of 1x1 filters of stride 1 see one row of all images", "[conv2d]") {
  const Conv2dProblem p = problem(3, 7, 9, 40, 64, 1);
  for (const CorrelationShape& shape : {forward(p), backward_input(p)}) {
    const CorrelationPlan plan = plan_correlation(shape, lanes16);
    CHECK(plan.direct);
    CHECK(std::vector{plan.shape.images, plan.shape.h, plan.shape.w} == std::vector<int64_t>{1, 1, 189});
    CHECK(std::vector{plan.rows, plan.columns} == std::vector<int64_t>{1, 189});
    CHECK(plan.cuts == std::vector<int64_t>{0, 189});
    const Bf16CorrelationPlan bf16 = plan_bf16_correlation(shape);
    CHECK(std::vector{bf16.shape.images, bf16.shape.h, bf16.shape.w} == std::vector<int64_t>{1, 1, 189});
    CHECK(bf16.columns == 189);
  }
  const Conv2dProblem& f32 = plan_weight_gradient(p, 40, 64, lanes16).p;
  CHECK(std::vector{f32.n, f32.h, f32.w} == std::vector<int64_t>{1, 1, 189});
  const Conv2dProblem& bf16 = plan_bf16_weight_gradient(p, 40, 64).p;
  CHECK(std::vector{bf16.n, bf16.h, bf16.w} == std::vector<int64_t>{1, 1, 189});

  // A prologue needs copies, which are of rows; rounding applies it on the way.
  CHECK(plan_correlation(forward(p, true), lanes16).shape.images == 3);
  CHECK(plan_bf16_correlation(forward(p, true)).shape.images == 1);
  // Strides and padding leave rows, and so does an output with room between images.
  for (const Conv2dProblem& rows : {problem(3, 7, 9, 40, 64, 1, 2), problem(3, 7, 9, 40, 64, 1, 1, 2)}) {
    CHECK(plan_correlation(forward(rows), lanes16).shape.images == 3);
    CHECK(plan_bf16_correlation(backward_input(rows)).shape.images == 3);
    CHECK(plan_weight_gradient(rows, 40, 64, lanes16).p.n == 3);
    CHECK(plan_bf16_weight_gradient(rows, 40, 64).p.n == 3);
  }
  CorrelationShape apart = forward(p);
  apart.y_image += 64;
  CHECK(plan_correlation(apart, lanes16).shape.images == 3);
}

TEST_CASE("a padded 3x3 filter reads copies, one run for each of its rows", "[conv2d]") {
  const CorrelationPlan padded = plan_correlation(forward(problem(1, 64, 64, 64, 64, 3, 1, 1)), lanes16);
  CHECK_FALSE(padded.direct);
  CHECK(padded.steps == 576);
  CHECK(str(padded.runs[0]) == Strings{"(-1,-1)+3 taps 0 steps 0+192", "(0,-1)+3 taps 3 steps 192+192",
                                       "(1,-1)+3 taps 6 steps 384+192"});
  CHECK(padded.block(0).first_column == -1);

  const CorrelationPlan valid = plan_correlation(forward(problem(1, 64, 64, 64, 64, 3)), lanes16);
  CHECK(valid.direct);
  CHECK(str(valid.runs[0]) == Strings{"(0,0)+3 taps 0 steps 0+192", "(1,0)+3 taps 3 steps 192+192",
                                      "(2,0)+3 taps 6 steps 384+192"});
  // Of a slice of a wider map, the channels of neighbouring pixels do not touch.
  CorrelationShape slice = forward(problem(1, 64, 64, 64, 64, 3));
  slice.x_column = 100;
  CHECK(plan_correlation(slice, lanes16).runs[0].size() == 9);
}

TEST_CASE("large rates are cut where padding begins, and need no copies", "[conv2d]") {
  const CorrelationPlan plan = plan_correlation(forward(problem(1, 65, 65, 256, 256, 3, 1, 24, 24)), lanes16);
  CHECK(plan.direct);
  CHECK(plan.cuts == std::vector<int64_t>{0, 24, 41, 65});
  CHECK(plan.runs[0].size() == 9);
  // Pieces of two columns would make bad tiles.
  CHECK_FALSE(plan_correlation(forward(problem(1, 65, 65, 256, 256, 3, 1, 2, 2)), lanes16).direct);
  CHECK_FALSE(plan_correlation(forward(problem(1, 65, 65, 256, 256, 3, 1, 24, 24), true), lanes16).direct);
}

TEST_CASE("the input gradient of stride 2 has four phases", "[conv2d]") {
  const Conv2dProblem p = problem(1, 8, 8, 16, 32, 3, 2, 1);
  const CorrelationPlan plan = plan_correlation(backward_input(p), lanes16);
  REQUIRE(plan.shape.phases.size() == 4);
  const Strings taps[] = {{"(0,0) #4"},
                          {"(0,0) #5", "(0,1) #3"},
                          {"(0,0) #7", "(1,0) #1"},
                          {"(0,0) #8", "(0,1) #6", "(1,0) #2", "(1,1) #0"}};
  const int64_t offsets[] = {0, 16, 8 * 16, 9 * 16};
  for (size_t i = 0; i < 4; ++i) {
    const Phase& phase = plan.shape.phases[i];
    CHECK(str(phase.taps) == taps[i]);
    CHECK(std::vector{phase.rows, phase.columns, phase.offset} == std::vector<int64_t>{4, 4, offsets[i]});
  }
  CHECK(plan.shape.y_column == 2 * 16);
  CHECK(plan.shape.y_row == 2 * 8 * 16);
  CHECK(str(plan.runs[1]) == Strings{"(0,0)+2 taps 0 steps 32+64"});
  CHECK(str(plan.runs[3]) == Strings{"(0,0)+2 taps 0 steps 160+64", "(1,0)+2 taps 2 steps 224+64"});
  CHECK(plan.steps == 9 * 32);
  // Of odd extents, the last phases are shorter. A 1x1 filter leaves three of four without taps.
  const CorrelationShape odd = backward_input(problem(1, 7, 5, 16, 32, 1, 2));
  CHECK(std::vector{odd.phases[3].rows, odd.phases[3].columns} == std::vector<int64_t>{3, 2});
  CHECK(odd.phases[3].taps.empty());
  CHECK(plan_bf16_correlation(odd).steps(3) == 0);
  CHECK(plan_bf16_correlation(odd).steps(0) == 1);
}

TEST_CASE("layers with more weights than pixels are computed by panels", "[conv2d]") {
  const Conv2dProblem p = problem(1, 8, 8, 512, 512, 3, 1, 1);
  const CorrelationSplit forward_split = plan_correlation(forward(p), lanes16).split;
  CHECK(forward_split.by_panels);
  CHECK(forward_split.spatial_tasks == 1);
  CHECK(forward_split.groups == 16);
  CHECK(forward_split.block_panels == 1);
  CHECK(forward_split.block_steps == 2048);
  // Output channels are neighbours in the filter: two panels are packed together.
  const CorrelationSplit gradient = plan_correlation(backward_input(p), lanes16).split;
  CHECK(gradient.by_panels);
  CHECK(gradient.groups == 8);
  CHECK(gradient.block_panels == 2);
  CHECK(gradient.block_steps == 1024);
  CHECK_FALSE(plan_correlation(forward(problem(1, 64, 64, 512, 512, 3, 1, 1)), lanes16).split.by_panels);
}

TEST_CASE("tasks of a correlation are blocks of rows that fit the cache", "[conv2d]") {
  const CorrelationSplit unet =
      plan_correlation(forward(problem(1, 256, 256, 64, 64, 3, 1, 1)), lanes16).split;
  CHECK_FALSE(unet.by_panels);
  CHECK(std::vector{unet.rows, unet.row_blocks} == std::vector<int64_t>{8, 32});
  CHECK(std::vector{unet.columns, unet.column_blocks} == std::vector<int64_t>{256, 1});
  CHECK(std::vector{unet.groups, unet.spatial_tasks} == std::vector<int64_t>{1, 32});
  // One row of 4096 pixels: pieces of whole tiles.
  const CorrelationSplit pointwise = plan_correlation(forward(problem(1, 64, 64, 64, 64, 1)), lanes16).split;
  CHECK(std::vector{pointwise.rows, pointwise.row_blocks} == std::vector<int64_t>{1, 1});
  CHECK(std::vector{pointwise.columns, pointwise.column_blocks} == std::vector<int64_t>{140, 30});
}

TEST_CASE("few channels are folded into long reductions of bf16", "[conv2d]") {
  const Bf16CorrelationPlan rgb = plan_bf16_correlation(forward(problem(1, 64, 64, 3, 64, 3, 1, 1)));
  CHECK(std::vector{rgb.width, rgb.pixel_stride} == std::vector<int64_t>{4, 4});
  CHECK(str(rgb.runs[0]) ==
        Strings{"(-1,-1)+3 taps 0 steps 0+1", "(0,-1)+3 taps 3 steps 1+1", "(1,-1)+3 taps 6 steps 2+1"});
  const Bf16CorrelationPlan deep = plan_bf16_correlation(forward(problem(1, 64, 64, 64, 64, 3, 1, 1)));
  CHECK(std::vector{deep.width, deep.pixel_stride} == std::vector<int64_t>{64, 64});
  CHECK(deep.runs[0].size() == 9);
  CHECK(str(deep.runs[0][4]) == "(0,0)+1 taps 4 steps 8+2");
  CHECK(deep.heights == std::vector<int64_t>{-1, 0, 1});
  CHECK(deep.window(10) == 12);
  CHECK(deep.rows_read(4) == 6);
  // 16 cache lines between pixels would meet in few sets of the first-level cache.
  CHECK(plan_bf16_correlation(forward(problem(1, 64, 64, 256, 64, 3, 1, 1))).pixel_stride == 288);
  // A strided 1x1 filter copies only the columns that it reads.
  const Bf16CorrelationPlan strided = plan_bf16_correlation(forward(problem(1, 64, 64, 64, 64, 1, 2)));
  CHECK(strided.column_step == 2);
  CHECK(strided.window(10) == 10);
}

TEST_CASE("tasks of correlations cover every output once", "[conv2d]") {
  for (const Conv2dProblem& p : random_problems(150)) {
    INFO(p.str());
    for (const CorrelationShape& shape : {forward(p), forward(p, true), backward_input(p)}) {
      check_plan(plan_correlation(shape, lanes16));
      check_plan(plan_correlation(shape, lanes8));
      check_plan(plan_bf16_correlation(shape));
    }
  }
}
