#include "engine/options.h"

#include <gtest/gtest.h>

#include "backend/cpu/cpu_backend.h"
#include "tests/engine/tiny_models.h"

namespace qw {
namespace {

TEST(MemoryPlan, CountsWhatAStepAllocates) {
  auto backend = make_cpu_backend({.threads = 1, .isa = {}});
  ASSERT_TRUE(backend.has_value());
  std::mt19937 rng(2);
  const auto model = test::tiny_model(test::tiny_config("qwen3", rng), **backend, 1);
  const EngineOptions options{
      .ctx_tokens = 100, .kv_dtype = DType::f32, .max_batch_tokens = 40, .max_seqs = 1};
  const auto plan = plan_memory(*model, DType::f32, options);
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->limits.n_pages, 4);
  EXPECT_EQ(plan->kv_bytes, 4 * KvPool::page_bytes(model->cache_spec(), DType::f32));
  EXPECT_EQ(plan->state_bytes, 0U);
  // The same step for real: 40 tokens that end at position 99.
  auto pool = KvPool::create(**backend, model->cache_spec(), {.n_pages = 4, .dtype = DType::f32});
  ASSERT_TRUE(pool.has_value());
  Batch b;
  for (int i = 0; i < 40; ++i) {
    b.ids.push_back(i);
    b.positions.push_back(60 + i);
  }
  b.logit_rows = {39};
  b.plan.cu_q = {0, 40};
  b.plan.kv_len = {100};
  b.plan.tables.assign((*pool)->groups().size(), {{0, 1, 2, 3}, 4});
  b.plan.pool = pool->get();
  Arena arena(**backend);
  Ctx cx{**backend, arena};
  model->forward(cx, b);
  EXPECT_EQ(plan->activation_bytes, arena.peak_bytes());
}

// Prompts shorter than the budget of a step: several fill it.
TEST(MemoryPlan, CountsAStepOfManyShortPrompts) {
  auto backend = make_cpu_backend({.threads = 1, .isa = {}});
  ASSERT_TRUE(backend.has_value());
  std::mt19937 rng(2);
  const auto model = test::tiny_model(test::tiny_config("qwen3", rng), **backend, 1);
  const EngineOptions options{
      .ctx_tokens = 16, .kv_dtype = DType::f32, .max_batch_tokens = 41, .max_seqs = 4};
  const auto plan = plan_memory(*model, DType::f32, options);
  ASSERT_TRUE(plan.has_value());
  auto pool = KvPool::create(**backend, model->cache_spec(), {.n_pages = 4, .dtype = DType::f32});
  ASSERT_TRUE(pool.has_value());
  Batch b;
  b.plan.cu_q = {0};
  for (const int rows : {16, 16, 8, 1}) {
    for (int i = 0; i < rows; ++i) {
      b.ids.push_back(i);
      b.positions.push_back(16 - rows + i);
    }
    b.plan.cu_q.push_back(b.n_rows());
    b.plan.kv_len.push_back(16);
    b.logit_rows.push_back(b.n_rows() - 1);
  }
  b.plan.tables.assign((*pool)->groups().size(), {{0, 1, 2, 3}, 1});
  b.plan.pool = pool->get();
  Arena arena(**backend);
  Ctx cx{**backend, arena};
  model->forward(cx, b);
  EXPECT_EQ(b.n_rows(), 41);
  EXPECT_GE(plan->activation_bytes, arena.peak_bytes());
}

TEST(MemoryPlan, CountsAnAdapter) {
  auto backend = make_cpu_backend({.threads = 1, .isa = {}});
  ASSERT_TRUE(backend.has_value());
  std::mt19937 rng(2);
  const auto model = test::tiny_model(test::tiny_config("qwen3", rng), **backend, 1);
  const auto plain = plan_memory(*model, DType::f32, {});
  const auto adapted = plan_memory(*model, DType::f32, {.adapter_rank = 3});
  WeightList list;
  model->visit(list);
  size_t bytes = 0;  // of A [3, K] and B [N, 3] of every matrix
  for (const Weight* w : list.weights())
    if (w->shape.rank() == 2) bytes += static_cast<size_t>(4 * 3 * (w->rows() + w->cols()));
  EXPECT_EQ(adapted->weight_bytes, plain->weight_bytes + bytes);
  EXPECT_GT(adapted->activation_bytes, plain->activation_bytes);
}

TEST(MemoryPlan, ADeeperModelNeedsNoMoreActivations) {
  auto backend = make_cpu_backend({.threads = 1, .isa = {}});
  ASSERT_TRUE(backend.has_value());
  std::mt19937 rng(2);
  Json config = test::tiny_config("llama", rng);
  size_t bytes[2];
  for (int i = 0; i < 2; ++i) {
    config["num_hidden_layers"] = 2 + 6 * i;
    const auto model = test::tiny_model(config, **backend, 1);
    const auto plan = plan_memory(*model, DType::f32, {});
    ASSERT_TRUE(plan.has_value());
    bytes[i] = plan->activation_bytes;
  }
  EXPECT_EQ(bytes[0], bytes[1]);
}

TEST(MemoryPlan, CountsWeightsAndStates) {
  auto backend = make_cpu_backend({.threads = 1, .isa = {}});
  ASSERT_TRUE(backend.has_value());
  test::ToyHybrid model(**backend, 1);
  const auto plan = plan_memory(model, DType::f32, {.max_seqs = 3, .n_snapshots = 5});
  ASSERT_TRUE(plan.has_value());
  EXPECT_EQ(plan->weight_bytes, 4U * (61 * 32 + 32 + 3 * 32 * 32));
  EXPECT_EQ(plan->state_bytes, 8U * 32 * 4);
  EXPECT_EQ(plan->limits.n_pages, 3 * 512 / 32);
}

}  // namespace
}  // namespace qw
