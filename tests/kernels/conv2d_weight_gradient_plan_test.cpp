// Plans of the gradients of the filter on CPUs: by value for layers of known networks, and for
// random geometries that every pixel and every element of the filter belongs to exactly one task.
#include <catch2/catch.hpp>

#include "kernels/common/ceil_div.h"
#include "kernels/conv2d/bf16_weight_gradient.h"
#include "kernels/conv2d/weight_gradient.h"
#include "tests/kernels/conv2d_plans.h"

using namespace atrous;
using namespace atrous::kernels;

namespace {

WeightGradientPlan plan_of(const Conv2dProblem& p, const TileKernels& kernels = lanes16) {
  return plan_weight_gradient(p, p.c, p.k, kernels);
}
Bf16WeightGradientPlan bf16_plan_of(const Conv2dProblem& p) {
  return plan_bf16_weight_gradient(p, p.c, p.k);
}

std::vector<int64_t> numbers(const GradientTasks& t) {
  return {t.c_block, t.k_block, t.splits};
}

void add(const Strip& s, Visits& pixels) {
  for (int64_t p = s.p_begin; p < s.p_end; ++p) {
    for (int64_t q = s.q_begin; q < s.q_end; ++q) pixels.add({s.image, p, q});
  }
}

// Blocks of channels cover all pairs, once for each split.
void check_blocks(const GradientTasks& tasks) {
  Visits pairs({tasks.splits, tasks.c, tasks.k});
  for (int64_t i = 0; i < tasks.count(); ++i) {
    const GradientTasks::Task t = tasks.at(i);
    for (int64_t c = 0; c < t.c_count; ++c) {
      for (int64_t k = 0; k < t.k_count; ++k) pairs.add({t.split, t.c_first + c, t.k_first + k});
    }
  }
  CHECK(pairs.each_once());
}

// Output columns that a tile leaves out read padding alone, and those it takes none.
void check_inside_image(const WeightGradientPlan& plan, const ColumnTile& tile, const Strip& s) {
  if (plan.fold) return;
  const auto [begin, end] = plan.inside_image(tile, s);
  for (int64_t q = s.q_begin; q < s.q_end; ++q) {
    const int64_t column = q * plan.p.stride_w + tile.x_column - plan.p.pad_w;
    REQUIRE((column >= 0 && column < plan.p.w) == (q >= begin && q < end));
  }
}

void check_plan(const WeightGradientPlan& plan) {
  check_blocks(plan.tasks);
  Visits pixels({plan.p.n, plan.rows, plan.columns});
  for (int64_t split = 0; split < plan.tasks.splits; ++split) {
    const int64_t end = plan.first_segment(split + 1);
    for (int64_t segment = plan.first_segment(split); segment < end;) {
      const Strip s = plan.strip(segment, end);
      REQUIRE(s.p_end > s.p_begin);
      REQUIRE(s.p_end - s.p_begin <= plan.tallest_strip());
      add(s, pixels);
      for (const ColumnTile& tile : plan.tiles(plan.tasks.at(0))) check_inside_image(plan, tile, s);
      segment += s.p_end - s.p_begin;
    }
  }
  CHECK(pixels.each_once());

  const int64_t row = plan.p.s * plan.p.c;
  Visits elements({plan.p.k, plan.p.r * row});
  for (int64_t i = 0; i < plan.tasks.blocks(); ++i) {
    const GradientTasks::Task task = plan.tasks.at(i);
    REQUIRE(task.split == 0);
    for (const ColumnTile& tile : plan.tiles(task)) {
      for (int64_t j = 0; j < tile.channels; ++j) {
        if (plan.k_in_lanes) {
          for (int64_t sc = 0; sc < row; ++sc) elements.add({tile.dw_column + j, tile.r * row + sc});
        } else {
          for (int64_t k = 0; k < task.k_count; ++k) elements.add({task.k_first + k, tile.dw_column + j});
        }
      }
    }
  }
  CHECK(elements.each_once());
}

void check_plan(const Bf16WeightGradientPlan& plan) {
  check_blocks(plan.tasks);
  Visits pixels({plan.p.n, plan.rows, plan.columns});
  for (int64_t split = 0; split < plan.tasks.splits; ++split) {
    for (int64_t i = plan.first_strip(split); i < plan.first_strip(split + 1); ++i) {
      const Strip s = plan.strip(i);
      REQUIRE(s.p_end - s.p_begin <= plan.strip_rows);
      REQUIRE(s.q_end - s.q_begin <= plan.steps * 32);
      add(s, pixels);
    }
  }
  CHECK(pixels.each_once());
  // Every tap finds its remainder, and its columns lie in the copy.
  for (int64_t s = 0; s < plan.p.s; ++s) {
    const int64_t offset = s * plan.p.dilation_w;
    CHECK(std::count(plan.remainders.begin(), plan.remainders.end(), offset % plan.p.stride_w) == 1);
    CHECK(offset / plan.p.stride_w + plan.steps * 32 <= plan.x_columns);
  }
}

}  // namespace

TEST_CASE("few channels change the vectors of a filter gradient", "[conv2d]") {
  // 9 of 16 lanes of a filter row of RGB: lanes hold output channels.
  const WeightGradientPlan rgb = plan_of(problem(1, 64, 64, 3, 64, 3, 1, 1));
  CHECK((rgb.fold && rgb.k_in_lanes));
  CHECK(rgb.tiles(rgb.tasks.at(0)).size() == 2 * 3);  // panels of 32, filter rows
  CHECK_FALSE(rgb.copy_dy);
  CHECK(plan_of(problem(1, 64, 64, 3, 60, 3, 1, 1)).copy_dy);  // the last vector would read past a pixel
  // Of 16 channels a filter row has three vectors.
  const WeightGradientPlan unet = plan_of(problem(1, 64, 64, 16, 16, 3, 1, 1));
  CHECK((unet.fold && !unet.k_in_lanes));
  CHECK(unet.tiles(unet.tasks.at(0)).size() == 2 * 3);  // 32 and 16 of 48 columns
  // Filters with gaps have no rows to fold.
  CHECK_FALSE(plan_of(problem(1, 64, 64, 16, 16, 3, 1, 2, 2)).fold);
}

TEST_CASE("filter gradients copy maps that tiles read often, with a skew", "[conv2d]") {
  const WeightGradientPlan deep = plan_of(problem(1, 64, 64, 128, 128, 3, 1, 1));
  CHECK((!deep.fold && !deep.direct && deep.copy_dy));
  CHECK(std::vector{deep.x_stride, deep.dy_stride} == std::vector<int64_t>{64 + 16, 128 + 16});
  // A 1x1 filter reads maps of up to 256 channels where they are.
  const WeightGradientPlan pointwise = plan_of(problem(1, 64, 64, 128, 256, 1));
  CHECK((pointwise.direct && pointwise.copy_dy));
  CHECK(std::vector{pointwise.x_stride, pointwise.dy_stride} == std::vector<int64_t>{128, 256 + 16});
  CHECK_FALSE(plan_of(problem(1, 64, 64, 512, 256, 1)).direct);
  CHECK(plan_of(problem(1, 64, 64, 512, 16, 1)).direct);  // too few tiles for a copy of x
}

TEST_CASE("blocks, splits and strips of filter gradients", "[conv2d]") {
  CHECK(numbers(plan_of(problem(1, 64, 64, 128, 128, 3, 1, 1)).tasks) == std::vector<int64_t>{64, 128, 8});
  CHECK(numbers(plan_of(problem(1, 64, 64, 64, 64, 1)).tasks) == std::vector<int64_t>{64, 64, 16});
  CHECK(numbers(plan_of(problem(1, 8, 8, 512, 512, 3, 1, 1)).tasks) == std::vector<int64_t>{64, 128, 1});
  const WeightGradientPlan rows = plan_of(problem(1, 64, 64, 128, 128, 3, 1, 1));
  const Strip three = rows.strip(0, 64);
  CHECK(std::vector{three.p_begin, three.p_end, three.q_begin, three.q_end} ==
        std::vector<int64_t>{0, 3, 0, 64});
  CHECK(rows.strip(0, 2).p_end == 2);     // up to the end of a split
  CHECK(rows.strip(62, 80).p_end == 64);  // and of an image
  const WeightGradientPlan pieces = plan_of(problem(1, 4, 600, 16, 16, 3, 1, 1));
  CHECK(std::vector{pieces.segment, pieces.segments_per_row, pieces.segments} ==
        std::vector<int64_t>{200, 3, 12});
  const Strip last = pieces.strip(5, 12);
  CHECK(std::vector{last.p_begin, last.p_end, last.q_begin, last.q_end} ==
        std::vector<int64_t>{1, 2, 400, 600});
}

TEST_CASE("filter gradients of bf16 sort columns by their remainder", "[conv2d]") {
  const Bf16WeightGradientPlan strided = bf16_plan_of(problem(1, 64, 64, 64, 128, 3, 2, 1));
  CHECK(strided.remainders == std::vector<int64_t>{0, 1});
  CHECK(std::vector{strided.segment, strided.segments, strided.steps, strided.x_columns} ==
        std::vector<int64_t>{32, 1, 1, 64});
  CHECK(strided.rows_read(2) == std::vector<int64_t>{0, 1, 2, 3, 4});
  // The taps of rate 2 and stride 2 meet even columns alone.
  CHECK(bf16_plan_of(problem(1, 64, 64, 64, 128, 3, 2, 2, 2)).remainders == std::vector<int64_t>{0});
}

TEST_CASE("tasks of filter gradients cover every pixel and every element once", "[conv2d]") {
  for (const Conv2dProblem& p : random_problems(150)) {
    INFO(p.str());
    check_plan(plan_of(p, lanes16));
    check_plan(plan_of(p, lanes8));
    check_plan(bf16_plan_of(p));
  }
}
