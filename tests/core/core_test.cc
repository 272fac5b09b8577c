// Tensors, arena, tape, KV pool and batches: what holds whatever the device.
#include <gtest/gtest.h>

#include <numeric>
#include <set>

#include "backend/cpu/cpu_backend.h"
#include "core/arena.h"
#include "core/kv_pool.h"
#include "core/tape.h"

namespace qw {
namespace {

struct CoreTest : testing::Test {
  std::unique_ptr<Backend> backend = make_cpu_backend({}).value();
  Arena arena{*backend};

  Tensor count_up(const Shape& shape) {
    std::vector<float> v(static_cast<size_t>(shape.elements()));
    std::iota(v.begin(), v.end(), 0.0F);
    const Tensor t = arena.alloc(shape, DType::f32);
    backend->upload(t, v.data());
    return t;
  }
  std::vector<float> read(const Tensor& t) {
    const Tensor dense = arena.alloc(t.shape(), DType::f32);
    backend->copy(dense, t);
    std::vector<float> v(static_cast<size_t>(t.elements()));
    backend->download(v.data(), dense);
    return v;
  }
};

TEST_F(CoreTest, ViewsShareMemoryWithTheRightStrides) {
  const Tensor t = count_up({2, 3, 4});
  EXPECT_TRUE(t.contiguous());
  EXPECT_EQ(read(t.slice(1, 1, 1)), (std::vector<float>{4, 5, 6, 7, 16, 17, 18, 19}));
  EXPECT_FALSE(t.slice(1, 1, 1).contiguous());
  EXPECT_EQ(read(t.view({6, 4}).slice(0, 5, 1)), (std::vector<float>{20, 21, 22, 23}));
  EXPECT_EQ(read(t.transpose(0, 2).slice(0, 1, 1)), (std::vector<float>{1, 13, 5, 17, 9, 21}));
  EXPECT_EQ(read(count_up({1}).expand(3)), (std::vector<float>{0, 0, 0}));
  EXPECT_EQ(t.shape().str(), "[2, 3, 4]");
  EXPECT_DEATH((void)t.slice(0, 1, 2), "slice");
  EXPECT_DEATH((void)t.slice(1, 0, 1).view({2, 4}), "view of a strided tensor");
}

TEST_F(CoreTest, ArenaSettlesOnOneBlockWithFixedAddresses) {
  const auto step = [&] {
    std::set<const void*> addresses;
    for (int i = 1; i <= 8; ++i) addresses.insert(arena.alloc({i * 100000}, DType::f32).device_ptr());
    return addresses;
  };
  step();
  arena.reset();
  const auto second = step();
  const size_t reserved = arena.reserved_bytes();
  arena.reset();
  EXPECT_EQ(step(), second);
  EXPECT_EQ(arena.reserved_bytes(), reserved);
  for (const void* p : second) EXPECT_EQ(reinterpret_cast<uintptr_t>(p) % 64, 0u);
}

TEST_F(CoreTest, ArenaGivesBackToAMark) {
  const Tensor kept = count_up({100});
  const Arena::Mark mark = arena.mark();
  std::set<const void*> first, second;
  for (int i = 1; i <= 8; ++i)
    first.insert(arena.alloc({i * 100000}, DType::f32).device_ptr());  // many blocks
  const size_t used = arena.used_bytes(), reserved = arena.reserved_bytes();
  arena.rewind(mark);
  EXPECT_LT(arena.used_bytes(), 1024u);
  EXPECT_EQ(arena.peak_bytes(), used);
  for (int i = 1; i <= 8; ++i) second.insert(arena.alloc({i * 100000}, DType::f32).device_ptr());
  EXPECT_EQ(first, second);
  EXPECT_EQ(arena.reserved_bytes(), reserved);
  EXPECT_EQ(read(kept)[99], 99.0F);
}

TEST_F(CoreTest, TapeSumsGradientsThroughViews) {
  Gradients gradients(*backend);
  Tape tape(gradients);
  Ctx cx{*backend, arena, &tape};
  Tensor x = count_up({2, 2});
  tape.watch(x);
  const Tensor view = x.view({4});
  tape.accumulate(cx, view, count_up({4}));
  tape.accumulate(cx, x, count_up({2, 2}));
  tape.accumulate(cx, x, count_up({2, 2}));
  EXPECT_EQ(read(tape.grad(x)), (std::vector<float>{0, 3, 6, 9}));
}

TEST_F(CoreTest, GradientsOfFrozenWeightsAreUndefined) {
  Gradients gradients(*backend);
  Weight w;
  w.name = "w";
  w.shape = {3};
  EXPECT_FALSE(gradients.of(w).defined());
  w.trainable = true;
  EXPECT_EQ(read(gradients.of(w)), (std::vector<float>{0, 0, 0}));
  EXPECT_EQ(gradients.all().size(), 1u);
}

TEST_F(CoreTest, KvPoolGroupsLayersOfEqualSpec) {
  const CacheSpec full{CacheSpec::Kind::paged, 2, 4, 0, 0};
  const CacheSpec window{CacheSpec::Kind::window, 2, 4, 8, 0};
  const CacheSpec state{CacheSpec::Kind::recurrent, 0, 0, 0, 6};
  const std::vector<LayerCache> layers{{full}, {window}, {state}, {full}};
  auto pool = KvPool::create(*backend, layers, {3, 2, DType::f32}).value();
  ASSERT_EQ(pool->groups().size(), 2u);
  EXPECT_EQ(pool->groups()[0].layers, (std::vector<int>{0, 3}));
  EXPECT_EQ(pool->group_of(1), 1);
  EXPECT_TRUE(pool->has_recurrent());
  EXPECT_EQ(pool->k(0).shape(), (Shape{3, 2, 4, 32}));
  EXPECT_EQ(pool->v(3).shape(), (Shape{3, 2, 32, 4}));
  EXPECT_EQ(KvPool::page_bytes(layers, DType::f16), 3u * 2 * (2 * 4 * 32) * 2);
  EXPECT_EQ(KvPool::slot_bytes(layers, DType::f32), 24u);

  backend->copy(pool->state(2).slice(0, 1, 1), count_up({1, 6}));
  pool->copy_slot(0, 1);
  pool->clear_slot(1);
  EXPECT_EQ(read(pool->state(2)), (std::vector<float>{0, 1, 2, 3, 4, 5, 0, 0, 0, 0, 0, 0}));
}

TEST_F(CoreTest, APoolThatDoesNotFitIsAnErrorWithTheBytes) {
  const std::vector<LayerCache> layers{{CacheSpec{CacheSpec::Kind::paged, 128, 128, 0, 0}}};
  const auto pool = KvPool::create(*backend, layers, {1 << 30, 0, DType::f32});
  ASSERT_FALSE(pool);
  EXPECT_EQ(pool.error().code(), "memory.exhausted");
}

TEST(Batch, DenseBatchKeepsDocumentsApart) {
  const Batch b = dense_batch({{5, 6}, {7}});
  EXPECT_EQ(b.ids, (std::vector<int32_t>{5, 6, 7}));
  EXPECT_EQ(b.positions, (std::vector<int32_t>{0, 1, 0}));
  EXPECT_EQ(b.plan.cu_q, (std::vector<int32_t>{0, 2, 3}));
  EXPECT_EQ(b.plan.kv_len, (std::vector<int32_t>{2, 1}));
  EXPECT_EQ(b.logit_rows, (std::vector<int32_t>{0, 1, 2}));
}

}  // namespace
}  // namespace qw
