#include "core/text.h"

#include <catch2/catch.hpp>

using namespace atrous;

TEST_CASE("The nearest word forgives typing slips and capitals, not other words") {
  const std::vector<std::string> names{"sgd", "adam", "adamw", "rmsprop"};
  CHECK(nearest_word("adamW", names) == "adamw");
  CHECK(nearest_word("rmsporp", names) == "rmsprop");
  CHECK(nearest_word("something", names).empty());
}
