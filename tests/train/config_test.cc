#include "train/config.h"

#include <gtest/gtest.h>

namespace qw::train {
namespace {

const std::string kLeast = "model = \"m\"\nout = \"o\"\ndata = [\"d.jsonl\"]\n";

Error error_of(const std::string& toml) {
  const auto got = parse_config(toml, "c.toml");
  return got ? Error("none") : got.error();
}

TEST(TrainConfig, TheLeastThatItNeedsAndTheDefaultsOfTheContract) {
  const auto c = parse_config(kLeast, "c.toml");
  ASSERT_TRUE(c) << c.error().debug();
  EXPECT_EQ(c->task, "pretrain");
  EXPECT_EQ(c->method, "full");
  EXPECT_EQ(c->seq_len, 512);
  EXPECT_EQ(c->batch_size, 8);
  EXPECT_EQ(c->grad_accum, 1);
  EXPECT_EQ(c->epochs, 1.0);
  EXPECT_EQ(c->lr, 1e-4);
  EXPECT_EQ(c->schedule, "cosine");
  EXPECT_EQ(c->precision, "bf16");
  EXPECT_TRUE(c->packing && c->shuffle && c->append_eos);
}

TEST(TrainConfig, EveryKindOfValueIsRead) {
  const auto c = parse_config(kLeast + R"(
task = "distill"
teacher = "t"
method = "lora"
steps = 7
lr = 1
betas = [0.8, 0.99]
packing = false
eval_data = ["a.txt", "b.jsonl"]
[lora]
rank = 3
targets = ["q_proj"]
[distill]
beta = 0.5
)",
                              "c.toml");
  ASSERT_TRUE(c) << c.error().debug();
  EXPECT_EQ(c->steps, 7);
  EXPECT_EQ(c->lr, 1.0);
  EXPECT_EQ(c->betas, (std::array{0.8, 0.99}));
  EXPECT_FALSE(c->packing);
  EXPECT_EQ(c->eval_data, (std::vector<std::string>{"a.txt", "b.jsonl"}));
  EXPECT_EQ(c->lora.rank, 3);
  EXPECT_EQ(c->lora.targets, std::vector<std::string>{"q_proj"});
  EXPECT_EQ(c->distill.beta, 0.5);
}

TEST(TrainConfig, WhatItRefusesItNames) {
  const Error unknown = error_of(kLeast + "batchsize = 4\n");
  EXPECT_EQ(unknown.code(), "train.unknown_key");
  EXPECT_EQ(unknown.arg("nearest"), "batch_size");
  EXPECT_EQ(unknown.arg("line"), "4");
  EXPECT_EQ(error_of(kLeast + "[lora]\nrang = 4\n").arg("key"), "lora.rang");
  EXPECT_EQ(error_of(kLeast + "[loro]\nrank = 4\n").code(), "train.unknown_key");
  for (const char* line :
       {"batch_size = 0", "batch_size = \"8\"", "batch_size = 1.5", "seq_len = 1", "lr = -1", "lr = true",
        "lr = nan", "lr = inf", "schedule = \"step\"", "packing = 1", "betas = [0.9]", "betas = [0.9, 1.0]",
        "betas = [nan, 0.9]", "data = \"a\"", "data = [1]", "ema = 1.0", "epochs = 1e300",
        "grad_accum = 2000000000"})
    EXPECT_EQ(error_of("model = \"m\"\nout = \"o\"\n" + std::string(line) + "\n").code(), "train.key")
        << line;
  EXPECT_EQ(error_of(kLeast + "lora = 3\n").code(), "train.unknown_key");
  EXPECT_EQ(error_of("model = ").code(), "train.toml");
  EXPECT_EQ(error_of(kLeast + "batch_size = 2000000000\n").arg("key"), "batch_size");
  EXPECT_EQ(error_of(kLeast + "task = \"dpo\"\ninit = \"random\"\n").arg("key"), "init");
  EXPECT_EQ(error_of("out = \"o\"\ndata = [\"d\"]").arg("key"), "model");
  EXPECT_EQ(error_of(kLeast + "task = \"distill\"").arg("key"), "teacher");
  EXPECT_EQ(error_of(kLeast + "early_stop = 2").arg("key"), "early_stop");
  EXPECT_EQ(error_of(kLeast + "eval_every = 2").arg("key"), "eval_every");
  EXPECT_EQ(error_of(kLeast + "min_lr = 1.0").arg("key"), "min_lr");
}

TEST(TrainConfig, KeysThatDoNothingAreNamedButAtTheirDefault) {
  const std::string lora = "method = \"lora\"\n", more = lora + "adapter = \"a\"\n";
  const auto unread = [](const std::string& toml) {
    std::vector<std::string> keys;
    for (const Error& e : unread_keys(parse_config(kLeast + toml + "\n", "c.toml").value()))
      keys.emplace_back(e.arg("key"));
    return keys;
  };
  using Keys = std::vector<std::string>;
  EXPECT_EQ(unread("teacher = \"t\""), Keys{"teacher"});
  EXPECT_EQ(unread("[lora]\nrank = 4\ndropout = 0.1"), (Keys{"lora.rank", "lora.dropout"}));
  EXPECT_EQ(unread("[dpo]\nbeta = 0.2"), Keys{"dpo.beta"});
  EXPECT_EQ(unread("[distill]\non_policy = true"), Keys{"distill.on_policy"});
  EXPECT_EQ(unread(lora + "save_dtype = \"f16\""), Keys{"save_dtype"});
  EXPECT_EQ(
      unread(more + "[lora]\nrank = 4\nalpha = 4\nrslora = true\ntargets = [\"q_proj\"]\ndropout = 0.1"),
      (Keys{"lora.rank", "lora.alpha", "lora.targets", "lora.rslora"}));
  for (const char* toml : {"save_dtype = \"f16\"", "task = \"dpo\"\n[dpo]\nbeta = 0.2",
                           "task = \"distill\"\nteacher = \"t\"\n[distill]\non_policy = true",
                           "[lora]\nrank = 16\n[dpo]\nbeta = 0.1", "method = \"lora\"\n[lora]\nrank = 4"})
    EXPECT_EQ(unread(toml), Keys()) << toml;
}

TEST(TrainConfig, AResumedRunMayDifferInSomeKeysOnly) {
  TrainConfig a, b;
  b.out = "elsewhere";
  b.steps = 100;
  b.threads = 1;
  EXPECT_EQ(first_difference(config_json(a), config_json(b)), "");
  b.seq_len = 64;
  EXPECT_EQ(first_difference(config_json(a), config_json(b)), "seq_len");
  b = a;
  b.lora.alpha = 3;
  EXPECT_EQ(first_difference(config_json(a), config_json(b)), "lora");
}

}  // namespace
}  // namespace qw::train
