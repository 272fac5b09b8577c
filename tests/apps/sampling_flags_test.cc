#include "apps/sampling_flags.h"

#include <gtest/gtest.h>

namespace qw::apps {
namespace {

SamplingParams resolve(const SamplingFlags& flags, const GenerationDefaults& defaults) {
  const auto p = resolve_sampling(flags, defaults);
  EXPECT_TRUE(p.has_value());
  return p.value_or(SamplingParams());
}

TEST(SamplingFlags, BuiltInDefaults) {
  const SamplingParams p = resolve({}, {});
  EXPECT_EQ(p.temperature, 0.7);
  EXPECT_EQ(p.top_p, 0.8);
  EXPECT_EQ(p.top_k, 20);
  EXPECT_EQ(p.min_p, 0);
  EXPECT_EQ(p.repetition_penalty, 1);
  EXPECT_NE(p.seed, resolve({}, {}).seed);  // equal once in 2^32
}

TEST(SamplingFlags, FlagThenCheckpoint) {
  GenerationDefaults d;
  d.do_sample = true;
  d.temperature = 0.6;
  d.top_k = 50;
  d.repetition_penalty = 1.1;
  SamplingFlags f;
  f.top_k = 7;
  f.seed = 3;
  const SamplingParams p = resolve(f, d);
  EXPECT_EQ(p.temperature, 0.6);
  EXPECT_EQ(p.top_k, 7);
  EXPECT_EQ(p.top_p, 0.8);
  EXPECT_EQ(p.repetition_penalty, 1.1);
  EXPECT_EQ(p.seed, 3U);
}

TEST(SamplingFlags, GreedyTakesNothingFromTheCheckpoint) {
  GenerationDefaults d;
  d.temperature = 0.6;
  d.repetition_penalty = 1.1;
  d.presence_penalty = 1.5;
  SamplingFlags by_flag, by_temperature, by_checkpoint;
  by_flag.greedy = true;
  by_flag.frequency_penalty = 0.25;
  by_temperature.temperature = 0;
  for (const SamplingFlags& f : {by_flag, by_temperature}) {
    const SamplingParams p = resolve(f, d);
    EXPECT_EQ(p.temperature, 0);
    EXPECT_EQ(p.repetition_penalty, 1);
    EXPECT_EQ(p.presence_penalty, 0);
    EXPECT_EQ(p.frequency_penalty, f.frequency_penalty.value_or(0));
  }
  d.do_sample = false;
  EXPECT_EQ(resolve(by_checkpoint, d).temperature, 0);
  EXPECT_EQ(resolve(by_checkpoint, d).repetition_penalty, 1);
  by_checkpoint.temperature = 0.5;
  EXPECT_EQ(resolve(by_checkpoint, d).temperature, 0.5);
}

TEST(SamplingFlags, OptionsAreChecked) {
  const auto code = [](std::vector<std::string> args) -> std::string {
    SamplingFlags f;
    CommandLine line("run");
    f.add_to(line);
    if (const Status s = line.parse(args); !s) return s.error().code();
    const auto p = resolve_sampling(f, {});
    return p ? "" : p.error().code();
  };
  EXPECT_EQ(code({"--top-p", "0"}), "cli.bad_number");
  EXPECT_EQ(code({"--top-p", "1.01"}), "cli.bad_number");
  EXPECT_EQ(code({"--temperature", "-1"}), "cli.bad_number");
  EXPECT_EQ(code({"--repetition-penalty", "0"}), "cli.bad_number");
  EXPECT_EQ(code({"--logit-bias", "7"}), "cli.bad_bias");
  EXPECT_EQ(code({"--logit-bias", "-7=1"}), "cli.bad_integer");
  EXPECT_EQ(code({"--logit-bias", "7=-5.5", "--logit-bias", "8=1"}), "");
  EXPECT_EQ(code({"--greedy", "--temperature", "1"}), "cli.greedy_conflict");
  EXPECT_EQ(code({"--greedy", "--temperature", "0", "--seed", "18446744073709551615"}), "cli.bad_integer");
}

}  // namespace
}  // namespace qw::apps
