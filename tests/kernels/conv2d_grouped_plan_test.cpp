// Plans of grouped convolutions whose groups share vectors: by value for layers of ResNeXt, and for random
// geometries that every output and every row of a gradient belongs to exactly one task.
#include <fmt/core.h>

#include <catch2/catch.hpp>

#include "kernels/conv2d/conv2d_impl.h"
#include "kernels/conv2d/grouped.h"
#include "tests/kernels/conv2d_plans.h"

using namespace atrous;
using namespace atrous::kernels;

namespace {

Conv2dProblem grouped(int64_t n, int64_t size, int64_t channels, int64_t groups, int64_t stride = 1) {
  Conv2dProblem p = problem(n, size, size, channels, channels, 3, stride, 1);
  p.groups = groups;
  return p;
}
PixelStrides dense(const Conv2dProblem& p) {
  return {p.c, p.c / p.groups, p.k};
}
GroupedCorrelationPlan forward(const Conv2dProblem& p, int64_t lanes = 16) {
  return plan_grouped_correlation(forward_shape(p, dense(p), false), p.groups, lanes);
}
GroupedCorrelationPlan backward_input(const Conv2dProblem& p, int64_t lanes = 16) {
  return plan_grouped_correlation(backward_input_shape(p, dense(p)), p.groups, lanes);
}
// "blocks * groups of a block; parts * blocks of a task; parts * rows of a task".
std::string str(const GroupBlocks& b, const GroupSplit& s) {
  return fmt::format("{}*{}; {}*{}; {}*{}", b.blocks, b.together, s.block_parts, s.blocks, s.row_parts,
                     s.rows);
}
template <class Plan>
std::string str(const Plan& plan) {
  return str(plan.blocks, plan.split);
}
std::string str(const std::vector<JoinedTaps>& runs) {
  std::string all;
  for (const JoinedTaps& r : runs) all += fmt::format("({},{}) {}+{} ", r.h, r.w, r.first, r.count);
  return all;
}

}  // namespace

TEST_CASE("groups share vectors", "[conv2d]") {
  CHECK(str(forward(grouped(8, 56, 128, 32))) == "8*4; 2*4; 2*28");
  CHECK(str(forward(grouped(8, 56, 128, 32), 8)) == "16*2; 4*4; 1*56");
  CHECK(str(forward(grouped(8, 56, 256, 32, 2))) == "16*2; 4*4; 1*28");
  CHECK(str(forward(grouped(1, 14, 512, 32))) == "32*1; 8*4; 4*4");
  CHECK(str(forward(grouped(1, 4, 44, 11))) == "3*4; 1*3; 1*4");
  // Three rows of 514 pixels and 8 blocks would not fit into the cache.
  CHECK(str(forward(grouped(1, 512, 128, 32))) == "8*4; 4*2; 8*64");
  CHECK(str(backward_input(grouped(8, 56, 256, 32, 2))) == "16*2; 4*4; 1*28");
  CHECK(str(plan_grouped_weight(grouped(8, 56, 128, 32), 16)) == "8*4; 2*4; 16*28");
  CHECK(str(plan_grouped_weight(grouped(1, 14, 512, 32), 16)) == "32*1; 8*4; 2*10");
  CHECK(plan_grouped_weight(grouped(1, 14, 512, 32), 16).rows_together == 5);
  CHECK(plan_grouped_weight(grouped(8, 56, 128, 32), 16).rows_together == 2);
  CHECK(group_blocks(7, 5, 3, 16).together == 3);
  CHECK(group_blocks(2, 4, 4, 16).together == 2);
  CHECK(group_blocks(7, 5, 3, 16).groups_of(2) == 1);
  CHECK(group_blocks(4, 2, 3, 8).index(8) ==
        std::vector<int32_t>{0, 0, 0, 2, 2, 2, 0, 0, 1, 1, 1, 3, 3, 3, 0, 0});
}

TEST_CASE("copied pixels are an odd number of vectors apart", "[conv2d]") {
  CHECK(copied_pixel_stride(64, 16) == 80);
  CHECK(copied_pixel_stride(48, 16) == 48);
  CHECK(copied_pixel_stride(41, 16) == 48);
  CHECK(copied_pixel_stride(4, 8) == 8);
}

TEST_CASE("neighbouring taps are joined, at most three of them", "[conv2d]") {
  const Conv2dProblem p = grouped(1, 14, 32, 8);
  CHECK(str(forward(p).runs[0]) == "(-1,-1) 0+3 (0,-1) 3+3 (1,-1) 6+3 ");
  Conv2dProblem wide = p;
  wide.r = 1, wide.s = 5;
  CHECK(str(forward(wide).runs[0]) == "(-1,-1) 0+3 (-1,2) 3+2 ");
  Conv2dProblem strided = wide;
  strided.stride_w = 3;
  CHECK(forward(strided).runs[0].size() == 5);
  Conv2dProblem atrous = p;
  atrous.dilation_h = atrous.dilation_w = 2;
  CHECK(forward(atrous).runs[0].size() == 9);
  const GroupedCorrelationPlan phases = backward_input(grouped(1, 14, 32, 8, 2));
  REQUIRE(phases.runs.size() == 4);
  CHECK(str(phases.runs[0]) == "(0,0) 0+1 ");
  CHECK(str(phases.runs[3]) == "(0,0) 5+2 (1,0) 7+2 ");
}

TEST_CASE("every output and every row of a grouped convolution has one task", "[conv2d]") {
  for (Conv2dProblem p : random_problems(200)) {
    p.groups = 1 + p.h % 5 * 9;
    p.c = p.c % 16 * p.groups + p.groups;
    p.k = p.k % 16 * p.groups + p.groups;
    INFO(p.str());
    for (const GroupedCorrelationPlan& plan : {forward(p), backward_input(p)}) {
      const GroupSplit& s = plan.split;
      CHECK(((s.block_parts - 1) * s.blocks < plan.blocks.blocks &&
             s.block_parts * s.blocks >= plan.blocks.blocks));
      CHECK(((s.row_parts - 1) * s.rows < plan.rows && s.row_parts * s.rows >= plan.rows));
      CHECK(plan.blocks.blocks * plan.blocks.together >= p.groups);
      CHECK((plan.blocks.blocks - 1) * plan.blocks.together < p.groups);
      size_t taps = 0;
      for (const auto& runs : plan.runs) {
        for (const JoinedTaps& r : runs) {
          REQUIRE(r.first == static_cast<int64_t>(taps));
          taps += static_cast<size_t>(r.count);
        }
      }
      CHECK(taps == plan.taps.size());
    }
    const GroupedWeightPlan plan = plan_grouped_weight(p, 16);
    const GroupSplit& s = plan.split;
    CHECK(((s.block_parts - 1) * s.blocks < plan.blocks.blocks &&
           s.block_parts * s.blocks >= plan.blocks.blocks));
    CHECK(((s.row_parts - 1) * s.rows < p.n * p.p() && s.row_parts * s.rows >= p.n * p.p()));
  }
}

TEST_CASE("what groups in vectors refuse is said", "[conv2d]") {
  CHECK(conv2d_can_group_avx512(grouped(1, 8, 512, 32)) == nullptr);
  CHECK(std::string(conv2d_can_group_avx512(grouped(1, 8, 1024, 32))) == "more than 16 channels in a group");
  CHECK(std::string(conv2d_can_group_avx2(grouped(1, 8, 512, 32))) == "more than 8 channels in a group");
  CHECK(std::string(conv2d_can_group_avx512(grouped(1, 8, 16, 1))) == "one group");
}
