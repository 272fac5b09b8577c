// Every op: its gradient against central differences in f64, its values in small cases, and what it refuses.
#include "ops/add.h"
#include "ops/attention.h"
#include "ops/cross_entropy.h"
#include "ops/embedding.h"
#include "ops/gather_rows.h"
#include "ops/linear.h"
#include "ops/rms_norm.h"
#include "ops/rope.h"
#include "ops/silu_mul.h"
#include "tests/ops/op_bench.h"

namespace qw {
namespace {

using test::check_gradients;
using test::OpBench;
using test::random_values;

TEST(Gradient, Add) {
  OpBench b = OpBench::f64();
  check_gradients(b, {{3, 5}, {3, 5}}, {},
                  [](Ctx& cx, const auto& in) { return ops::add(cx, in[0], in[1]); });
}

TEST(Gradient, AddOfOneTensorToItselfCountsTwice) {
  OpBench b = OpBench::f64();
  check_gradients(b, {{2, 3}}, {}, [](Ctx& cx, const auto& in) {
    const Tensor y = ops::add(cx, in[0], in[0]);
    return ops::add(cx, y, in[0]);
  });
}

TEST(Gradient, LinearWithBias) {
  OpBench b = OpBench::f64();
  Weight w = b.weight("w", {4, 7}, random_values(28, 1));
  Weight bias = b.weight("bias", {4}, random_values(4, 2));
  for (const int64_t rows : {1, 3, 6})
    check_gradients(b, {{rows, 7}}, {&w, &bias},
                    [&](Ctx& cx, const auto& in) { return ops::linear(cx, in[0], w, &bias); });
}

TEST(Gradient, SharedWeightSumsBothUses) {
  OpBench b = OpBench::f64();
  Weight w = b.weight("w", {5, 5}, random_values(25, 1));
  check_gradients(b, {{2, 5}}, {&w},
                  [&](Ctx& cx, const auto& in) { return ops::linear(cx, ops::linear(cx, in[0], w), w); });
}

TEST(Gradient, RmsNorm) {
  OpBench b = OpBench::f64();
  Weight w = b.weight("w", {6}, random_values(6, 3));
  check_gradients(b, {{4, 6}}, {&w},
                  [&](Ctx& cx, const auto& in) { return ops::rms_norm(cx, in[0], w, 1e-6); });
  check_gradients(b, {{2, 3, 6}}, {&w},
                  [&](Ctx& cx, const auto& in) { return ops::rms_norm(cx, in[0], w, 1e-2); });
}

TEST(Gradient, SiluMul) {
  OpBench b = OpBench::f64();
  check_gradients(
      b, {{3, 9}, {3, 9}}, {}, [](Ctx& cx, const auto& in) { return ops::silu_mul(cx, in[0], in[1]); }, 3.0);
}

TEST(Gradient, Embedding) {
  OpBench b = OpBench::f64();
  Weight w = b.weight("w", {5, 3}, random_values(15, 4));
  check_gradients(b, {}, {&w}, [&](Ctx& cx, const auto&) {
    return ops::embedding(cx, cx.arena.upload(std::vector<int32_t>{4, 1, 4, 0}),
                          w);  // 4 twice: gradients add
  });
}

TEST(Gradient, GatherRows) {
  OpBench b = OpBench::f64();
  check_gradients(b, {{5, 3}}, {}, [](Ctx& cx, const auto& in) {
    return ops::gather_rows(cx, in[0], cx.arena.upload(std::vector<int32_t>{0, 3, 3}));
  });
}

TEST(Gradient, RopeWholeAndPartial) {
  OpBench b = OpBench::f64();
  const ops::RopeSpec spec{{1.0F, 0.1F, 0.01F}, 1.3};
  for (const int64_t head_dim : {6, 10})
    check_gradients(b, {{4, 2, head_dim}}, {}, [&](Ctx& cx, const auto& in) {
      const Tensor table = ops::rope_table(cx, cx.arena.upload(std::vector<int32_t>{0, 1, 2, 9}), spec);
      const Tensor a = ops::rope(cx, in[0], table);
      // written over: what came of a product, which does not need its result
      return ops::add_over(cx, a, ops::rope_over(cx, ops::add(cx, in[0], in[0]), table));
    });
}

TEST(Gradient, AttentionRaggedGroupedWindowed) {
  OpBench b = OpBench::f64();
  const Batch batch =
      dense_batch({{1, 2, 3}, {4}, std::vector<int32_t>(37, 5)});  // the last one crosses a block of 32 keys
  for (const int window : {0, 2, 33})
    check_gradients(b, {{41, 4, 3}, {41, 2, 3}, {41, 2, 3}}, {}, [&](Ctx& cx, const auto& in) {
      return ops::attention(cx, in[0], in[1], in[2], ops::prepare_attention(cx, batch.plan),
                            {0, 0.7, window});
    });
}

TEST(Gradient, CrossEntropyIgnoresNegativeTargets) {
  OpBench b = OpBench::f64();
  check_gradients(
      b, {{4, 6}}, {},
      [](Ctx& cx, const auto& in) {
        return ops::cross_entropy(cx, in[0], {5, -1, 0, 2}, 1.0 / 3);
      },
      2.0);
}

// The loss op takes its own gradient as 1: the check above seeds it with a random number, so it must be told
// apart.
TEST(Values, CrossEntropyOfUniformLogitsIsLogV) {
  OpBench b = OpBench::f64();
  Ctx cx{*b.backend, b.arena};
  const Tensor loss = ops::cross_entropy(cx, b.make({2, 8}, std::vector<double>(16, 3.0)), {1, 7}, 0.5);
  EXPECT_NEAR(b.read(loss)[0], std::log(8.0), 1e-12);
}

TEST(Values, AttentionOfOneKeyIsItsValue) {
  OpBench b = OpBench::f64();
  Ctx cx{*b.backend, b.arena};
  const Batch batch = dense_batch({{1}, {2}});
  const std::vector<double> v = random_values(4, 5);
  const Tensor out =
      ops::attention(cx, b.make({2, 2, 2}, random_values(8, 6)), b.make({2, 1, 2}, random_values(4, 7)),
                     b.make({2, 1, 2}, v), ops::prepare_attention(cx, batch.plan), {0, 1.0, 0});
  EXPECT_EQ(b.read(out), (std::vector<double>{v[0], v[1], v[0], v[1], v[2], v[3], v[2], v[3]}));
}

TEST(Refusal, StridedViewsOfRecordedTensors) {
  OpBench b = OpBench::f64();
  Gradients g(*b.backend);
  Tape tape(g);
  Ctx cx{*b.backend, b.arena, &tape};
  Tensor x = b.make({4, 2}, random_values(8, 1));
  tape.watch(x);
  EXPECT_DEATH(ops::add(cx, x.slice(0, 0, 2), x.slice(0, 2, 2)), "of a recorded tensor");
}

TEST(Refusal, ShapesThatDisagreeNameOpArgumentAndDimension) {
  OpBench b = OpBench::f64();
  Ctx cx{*b.backend, b.arena};
  Weight w = b.weight("model.w", {4, 7}, random_values(28, 1));
  EXPECT_DEATH(ops::linear(cx, b.make({2, 6}, random_values(12, 1)), w),
               "linear: dimension K of model.w is 7, expected 6");
}

}  // namespace
}  // namespace qw
