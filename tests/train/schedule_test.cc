#include "train/schedule.h"

#include <gtest/gtest.h>

namespace qw::train {
namespace {

TEST(Schedule, WarmupReachesTheTopAtItsLastStep) {
  const Schedule s{.kind = "constant", .lr = 2.0, .min_lr = 0.0, .steps = 100, .warmup_steps = 4};
  EXPECT_DOUBLE_EQ(learning_rate(s, 1), 0.5);
  EXPECT_DOUBLE_EQ(learning_rate(s, 4), 2.0);
  EXPECT_DOUBLE_EQ(learning_rate(s, 100), 2.0);
}

TEST(Schedule, CosineGoesFromTheTopTowardsTheLeast) {
  const Schedule s{.kind = "cosine", .lr = 1.0, .min_lr = 0.2, .steps = 12, .warmup_steps = 2};
  EXPECT_DOUBLE_EQ(learning_rate(s, 3), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(s, 8), 0.6);  // half of the ten steps behind the warm-up
  EXPECT_GT(learning_rate(s, 12), 0.2);
  EXPECT_DOUBLE_EQ(learning_rate(s, 13), 0.2);
  for (int64_t step = 4; step <= 12; ++step) EXPECT_LT(learning_rate(s, step), learning_rate(s, step - 1));
}

TEST(Schedule, WsdIsConstantThenFallsToTheLeastAtTheEnd) {
  const Schedule s{
      .kind = "wsd", .lr = 1.0, .min_lr = 0.1, .steps = 100, .warmup_steps = 0, .decay_steps = 10};
  EXPECT_DOUBLE_EQ(learning_rate(s, 1), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(s, 90), 1.0);
  EXPECT_DOUBLE_EQ(learning_rate(s, 95), 0.55);
  EXPECT_DOUBLE_EQ(learning_rate(s, 100), 0.1);
  EXPECT_DOUBLE_EQ(learning_rate({.kind = "wsd", .lr = 1.0, .steps = 100}, 90), 0.5);  // a fifth of all
}

}  // namespace
}  // namespace qw::train
