#include "nn/scratch.h"

#include "ops/add.h"
#include "ops/linear.h"
#include "ops/silu_mul.h"
#include "tests/ops/op_bench.h"

namespace qw::nn {
namespace {

using test::OpBench;
using test::random_values;

struct Stack {
  OpBench bench = OpBench::f64();
  std::vector<Weight> weights;
  Stack() {
    for (uint64_t i = 0; i < 3; ++i)
      weights.push_back(bench.weight("w" + std::to_string(i), {6, 6}, random_values(36, i + 1, 0.5)));
  }
  Tensor run(Ctx& cx, Tensor x) {
    for (Weight& w : weights)
      x = with_scratch(cx, x, [&w](Ctx& c, const Tensor& in) {
        const Tensor y = ops::linear(c, in, w);
        return ops::add(c, in, ops::silu_mul(c, y, in));
      });
    return x;
  }
};

TEST(Scratch, GradientsOfALayerWithItsOwnTape) {
  Stack s;
  test::check_gradients(s.bench, {{4, 6}}, {&s.weights[0], &s.weights[1], &s.weights[2]},
                        [&](Ctx& cx, const std::vector<Tensor>& in) {
                          Ctx plain = cx;
                          // with_scratch writes over its input in inference; the checked input stays
                          const Tensor x = cx.tape != nullptr ? in[0] : plain.alloc(in[0].shape());
                          if (cx.tape == nullptr) cx.backend.copy(x, in[0]);
                          return s.run(cx, x);
                        });
}

TEST(Scratch, RecomputationGivesTheSameBitsInLessMemory) {
  std::vector<std::vector<double>> got[2];
  size_t peak[2] = {};
  for (const bool recompute : {false, true}) {
    Stack s;
    Gradients gradients(*s.bench.backend);
    Tape tape(gradients);
    Ctx cx{*s.bench.backend, s.bench.arena, &tape};
    cx.recompute = recompute;
    Tensor x = s.bench.make({64, 6}, random_values(384, 9));
    tape.watch(x);
    const Tensor y = s.run(cx, x);
    tape.backward(cx, y, s.bench.make({64, 6}, random_values(384, 10)));
    auto& out = got[recompute ? 1 : 0];
    out.push_back(s.bench.read(y));
    out.push_back(s.bench.read(tape.grad(x)));
    for (const Weight& w : s.weights) out.push_back(s.bench.read(gradients.of(w)));
    peak[recompute ? 1 : 0] = s.bench.arena.peak_bytes();
  }
  EXPECT_EQ(got[0], got[1]);
  EXPECT_LT(peak[1], peak[0]);
}

TEST(Scratch, AFrozenLayerIsAConstant) {
  for (const bool recompute : {false, true}) {
    Stack s;
    for (Weight& w : s.weights) w.trainable = false;
    Gradients gradients(*s.bench.backend);
    Tape tape(gradients);
    Ctx cx{*s.bench.backend, s.bench.arena, &tape};
    cx.recompute = recompute;
    EXPECT_FALSE(Tape::wants(s.run(cx, s.bench.make({2, 6}, random_values(12, 9)))));
    EXPECT_TRUE(gradients.all().empty());
  }
}

}  // namespace
}  // namespace qw::nn
