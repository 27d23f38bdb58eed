#include "train/schedule.h"

#include <catch2/catch.hpp>
#include <cmath>

using namespace atrous::train;

TEST_CASE("schedules at hand-computed points") {
  ScheduleOptions o;
  CHECK(learning_rate(o, 0.1, 7, 10) == 0.1);

  o.name = ScheduleKind::poly;
  o.power = 0.9;
  CHECK(learning_rate(o, 0.1, 0, 10) == 0.1);
  CHECK(learning_rate(o, 0.1, 5, 10) == Approx(0.1 * std::pow(0.5, 0.9)));
  CHECK(learning_rate(o, 0.1, 10, 10) == 0);
  CHECK(learning_rate(o, 0.1, 11, 10) == 0);  // past the end: no NaN from a negative base
  o.min_lr = 0.01;
  CHECK(learning_rate(o, 0.1, 10, 10) == Approx(0.01));

  o.name = ScheduleKind::cosine;
  CHECK(learning_rate(o, 0.1, 5, 10) == Approx(0.055));
  CHECK(learning_rate(o, 0.1, 10, 10) == Approx(0.01));

  o.name = ScheduleKind::exponential;
  CHECK(learning_rate(o, 1, 0, 10) == 1);
  CHECK(learning_rate(o, 1, 5, 10) == Approx(0.1));
  CHECK(learning_rate(o, 1, 10, 10) == Approx(0.01));

  o.name = ScheduleKind::step;
  o.milestones = {3, 6};
  o.gamma = 0.5;
  CHECK(learning_rate(o, 1, 2, 10) == 1);
  CHECK(learning_rate(o, 1, 3, 10) == 0.5);
  CHECK(learning_rate(o, 1, 9, 10) == 0.25);

  o = ScheduleOptions{};
  o.warmup_steps = 4;
  o.warmup_factor = 0.2;
  CHECK(learning_rate(o, 1, 0, 10) == Approx(0.2));
  CHECK(learning_rate(o, 1, 2, 10) == Approx(0.6));
  CHECK(learning_rate(o, 1, 4, 10) == 1);
}
