#include "apps/bench_plan.h"

#include <gtest/gtest.h>

namespace qw::apps {
namespace {

std::vector<std::string> names(const BenchOptions& o) {
  std::vector<std::string> out;
  for (const BenchTest& t : bench_tests(o)) out.push_back(t.name());
  return out;
}

TEST(BenchPlan, NamesOfTheContract) {
  using Names = std::vector<std::string>;
  EXPECT_EQ(names({}), (Names{"pp256", "tg64"}));
  EXPECT_EQ(names({.prompts = {256}, .generates = {}, .depths = {}, .streams = {}}), Names{"pp256"});
  EXPECT_EQ(names({.prompts = {}, .generates = {16}, .depths = {4096}, .streams = {}}), Names{"tg16@d4096"});
  EXPECT_EQ(names({.prompts = {0}, .generates = {32}, .depths = {}, .streams = {1, 16}}),
            (Names{"tg32", "tg32x16"}));
  EXPECT_EQ(names({.prompts = {0}, .generates = {}, .depths = {}, .streams = {}}), Names{});
}

TEST(BenchPlan, Lists) {
  EXPECT_EQ(parse_counts("256,512", "-p", 0, 1000), (std::vector<int>{256, 512}));
  EXPECT_EQ(parse_counts("7", "-p", 0, 1000), std::vector<int>{7});
  for (const char* bad : {"", ",", "1,", "1,,2", "a", "-1", "1001", "1 2"})
    EXPECT_EQ(parse_counts(bad, "-p", 0, 1000).error().code(), "cli.bad_list") << bad;
}

// A model of 2 layers of 1 KV head of 8, weights of 100 parameters each in layers and head.
TEST(BenchPlan, WorkOfAStep) {
  const ModelSizes sizes{.parameters = 200,
                         .bytes = 800,
                         .layer_bytes = 400,
                         .layer_macs = 100,
                         .head_bytes = 400,
                         .head_macs = 100};
  const CacheSpec paged{CacheSpec::Kind::paged, 1, 8, 0, 0}, window{CacheSpec::Kind::window, 1, 8, 4, 0};
  const std::vector<LayerCache> cache{{paged}, {window}};
  const BenchTest one{.prompt = 0, .generate = 1, .depth = 9, .streams = 1};
  const StepWork step = step_work(sizes, cache, one, 1, 9, DType::f16);
  EXPECT_EQ(step.bytes, 800 + 10 * 2 * 8 * 2 + 4 * 2 * 8 * 2);
  EXPECT_EQ(step.ops, 2 * 200);
  const BenchTest three{.prompt = 0, .generate = 1, .depth = 9, .streams = 3};
  const StepWork wide = step_work(sizes, cache, three, 1, 9, DType::f16);
  EXPECT_EQ(wide.ops, 3 * step.ops);
  EXPECT_EQ(wide.bytes, 800 + 3 * (step.bytes - 800));  // weights are read once
}

}  // namespace
}  // namespace qw::apps
