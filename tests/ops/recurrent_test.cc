// The ops of recurrent layers: gradients in f64, the chunked form against the step form, and what the design
// demands of a state: no document sees another, and neither cuts, company nor threads show in the bits.
#include <bit>

#include "ops/concat_columns.h"
#include "ops/gated_delta.h"
#include "ops/sigmoid.h"
#include "ops/take_columns.h"
#include "tests/ops/op_bench.h"
#include "tests/tolerance.h"

namespace qw {
namespace {

using test::check_gradients;
using test::OpBench;
using test::random_values;

Batch documents(const std::vector<int>& lengths) {
  std::vector<std::vector<int32_t>> docs;
  for (const int n : lengths) docs.emplace_back(static_cast<size_t>(n), 0);
  return dense_batch(docs);
}

TEST(Gradient, Sigmoid) {
  OpBench b = OpBench::f64();
  check_gradients(
      b, {{3, 5}}, {}, [](Ctx& cx, const auto& in) { return ops::sigmoid(cx, in[0]); }, 3.0);
}

TEST(Gradient, SigmoidMul) {
  OpBench b = OpBench::f64();
  check_gradients(
      b, {{3, 5}, {3, 5}}, {}, [](Ctx& cx, const auto& in) { return ops::sigmoid_mul(cx, in[0], in[1]); },
      2.0);
}

TEST(Gradient, TakeColumnsOfOneAndOfSeveralRanges) {
  OpBench b = OpBench::f64();
  check_gradients(b, {{3, 12}}, {}, [](Ctx& cx, const auto& in) {
    return ops::take_columns(cx, in[0], 2, {{1, 3}});
  });
  check_gradients(b, {{3, 12}}, {}, [](Ctx& cx, const auto& in) {
    return ops::take_columns(cx, in[0], 2, {{4, 2}, {0, 1}});
  });
}

TEST(Gradient, ConcatColumns) {
  OpBench b = OpBench::f64();
  check_gradients(b, {{3, 2}, {3, 5}}, {},
                  [](Ctx& cx, const auto& in) { return ops::concat_columns(cx, in[0], in[1]); });
}

TEST(Values, TakeColumnsPutsRangesOfAllHeadsTogether) {
  OpBench b = OpBench::f64();
  Ctx cx{*b.backend, b.arena};
  const Tensor x = b.make({1, 6}, {0, 1, 2, 10, 11, 12});
  EXPECT_EQ(b.read(ops::take_columns(cx, x, 2, {{2, 1}, {0, 2}})),
            (std::vector<double>{2, 12, 0, 1, 10, 11}));
}

TEST(Gradient, CausalConvOfPackedDocuments) {
  OpBench b = OpBench::f64();
  const Batch batch = documents({1, 2, 7});
  Weight w = b.weight("conv", {5, 1, 4}, random_values(20, 1));
  check_gradients(b, {{10, 5}}, {&w},
                  [&](Ctx& cx, const auto& in) { return ops::causal_conv(cx, in[0], w, batch.plan, 0); });
}

TEST(Gradient, DeltaDecay) {
  OpBench b = OpBench::f64();
  Weight a_log = b.weight("A_log", {3}, random_values(3, 1));
  Weight dt_bias = b.weight("dt_bias", {3}, random_values(3, 2));
  check_gradients(
      b, {{6, 3}}, {&a_log, &dt_bias},
      [&](Ctx& cx, const auto& in) { return ops::delta_decay(cx, in[0], a_log, dt_bias); }, 2.0);
}

// g ≤ 0 and 0 < beta < 1, as a layer has them.
Tensor delta_of(Ctx& cx, const std::vector<Tensor>& in, const ops::DeltaShape& shape, const AttnPlan& plan) {
  const Tensor beta = ops::sigmoid(cx, in[2]);
  return ops::gated_delta(cx, in[0], in[1], beta, shape, plan, 0);
}

TEST(Gradient, GatedDeltaOfPackedDocumentsAcrossChunks) {
  OpBench b = OpBench::f64();
  const ops::DeltaShape shape{1, 2, 3, 5, 4};
  const Batch batch = documents({1, 66, 2});
  Weight a_log = b.weight("A_log", {2}, {-1, -3});
  Weight dt_bias = b.weight("dt_bias", {2}, random_values(2, 2));
  check_gradients(b, {{69, shape.channels()}, {69, 2}, {69, 2}}, {}, [&](Ctx& cx, const auto& in) {
    const Tensor g = ops::delta_decay(cx, in[1], a_log, dt_bias);
    return delta_of(cx, {in[0], g, in[2]}, shape, batch.plan);
  });
}

// A pool of one recurrent layer, on f32 backends of every instruction set.
struct Bench : OpBench {
  static constexpr int kSlots = 8;
  Bench(std::string_view isa, int threads, const ops::DeltaShape& s)
      : OpBench(make_cpu_backend({.threads = threads, .isa = std::string(isa)}).value()), shape(s) {
    const CacheSpec state{CacheSpec::Kind::recurrent, 0, 0, 0, shape.state_floats()};
    pool = KvPool::create(*backend, {{state}}, {.n_slots = kSlots}).value();
    for (int i = 0; i < kSlots; ++i) pool->clear_slot(i);
    conv = weight("conv", {shape.channels(), 1, shape.taps},
                  random_values(shape.channels() * shape.taps, 11, 0.5));
  }
  // Rows [begin, end) of a made-up text through convolution and delta rule.
  std::vector<double> run(const std::vector<std::pair<int, int>>& parts, const AttnPlan& plan) {
    std::vector<double> x, g, beta;
    for (const auto& [begin, end] : parts)
      for (int t = begin; t < end; ++t) {
        const auto row = random_values(shape.channels(), 1000 + static_cast<uint64_t>(t));
        x.insert(x.end(), row.begin(), row.end());
        for (const double v : random_values(shape.v_heads, 5000 + static_cast<uint64_t>(t))) {
          g.push_back(-0.3 * v * v);
          beta.push_back(v);
        }
      }
    const auto rows = static_cast<int64_t>(g.size()) / shape.v_heads;
    Ctx cx{*backend, arena};
    const Tensor mixed = ops::causal_conv(cx, make({rows, shape.channels()}, x), conv, plan, 0);
    return read(delta_of(cx, {mixed, make({rows, shape.v_heads}, g), make({rows, shape.v_heads}, beta)},
                         shape, plan));
  }
  AttnPlan paged(const std::vector<int>& rows, const std::vector<int32_t>& slots) const {
    AttnPlan plan;
    plan.cu_q.push_back(0);
    for (const int n : rows) {
      plan.cu_q.push_back(plan.cu_q.back() + n);
      plan.kv_len.push_back(n);
    }
    plan.state_slots = slots;
    plan.pool = pool.get();
    return plan;
  }
  std::vector<double> state(int slot) { return read(pool->state(0).slice(0, slot, 1)); }

  ops::DeltaShape shape;
  std::unique_ptr<KvPool> pool;
  Weight conv;
};

void append(std::vector<double>& to, const std::vector<double>& more) {
  to.insert(to.end(), more.begin(), more.end());
}

TEST(Gradient, GatedDeltaOfSeveralKeyHeads) {
  OpBench b = OpBench::f64();
  const ops::DeltaShape shape{2, 4, 3, 2, 4};
  const Batch batch = documents({4, 3});
  Weight a_log = b.weight("A_log", {4}, {-1, -2, -3, 0});
  Weight dt_bias = b.weight("dt_bias", {4}, random_values(4, 2));
  check_gradients(b, {{7, shape.channels()}, {7, 4}, {7, 4}}, {}, [&](Ctx& cx, const auto& in) {
    const Tensor g = ops::delta_decay(cx, in[1], a_log, dt_bias);
    return delta_of(cx, {in[0], g, in[2]}, shape, batch.plan);
  });
}

class Recurrent : public testing::TestWithParam<std::string> {
 protected:
  // Odd tails in every vector width, and as many key as value heads.
  std::vector<ops::DeltaShape> shapes() const {
    return {{2, 4, 16, 24, 4}, {3, 3, 7, 70, 2}, {1, 2, 32, 130, 3}};
  }
};

TEST_P(Recurrent, ChunksAgreeWithSteps) {
  for (const ops::DeltaShape& s : shapes()) {
    Bench b(GetParam(), 2, s);
    const std::vector<double> step = b.run({{0, 150}}, b.paged({150}, {0}));
    const std::vector<double> chunked = b.run({{0, 150}}, documents({150}).plan);
    double magnitude = 0;
    for (const double v : step) magnitude = std::max(magnitude, std::abs(v));
    ASSERT_GT(magnitude, 0.1);
    EXPECT_NE(step, chunked);  // another rounding: it is another form
    // Each output is a sum over the keys and over the rows before it, with a few roundings a row.
    const double tolerance = test::sum_tolerance(DType::f32, int64_t{4} * s.k_dim * 150, magnitude);
    ASSERT_EQ(step.size(), chunked.size());
    for (size_t i = 0; i < step.size(); ++i) ASSERT_NEAR(step[i], chunked[i], tolerance) << i;
  }
}

TEST_P(Recurrent, CutsCompanyAndThreadsDoNotShow) {
  for (const ops::DeltaShape& s : shapes()) {
    Bench one(GetParam(), 1, s), two(GetParam(), 2, s);
    const std::vector<double> whole = one.run({{0, 90}}, one.paged({90}, {3}));
    EXPECT_EQ(whole, two.run({{0, 90}}, two.paged({90}, {3})));
    EXPECT_EQ(one.state(3), two.state(3));
    for (const int slot : {0, 1, 3}) two.pool->clear_slot(slot);
    std::vector<double> cut = two.run({{0, 1}}, two.paged({1}, {3}));
    append(cut, two.run({{1, 3}}, two.paged({2}, {3})));
    // With two others before and behind it.
    const std::vector<double> third =
        two.run({{200, 205}, {3, 90}, {300, 301}}, two.paged({5, 87, 1}, {0, 3, 1}));
    const size_t row = static_cast<size_t>(s.v_heads) * static_cast<size_t>(s.v_dim);
    append(cut, {third.begin() + static_cast<ptrdiff_t>(5 * row), third.end() - static_cast<ptrdiff_t>(row)});
    EXPECT_EQ(whole, cut);
    EXPECT_EQ(one.state(3), two.state(3));
  }
}

TEST_P(Recurrent, SavedStatesAreThoseAfterTheirRows) {
  for (const ops::DeltaShape& s : shapes()) {
    Bench b(GetParam(), 2, s);
    AttnPlan plan = b.paged({4, 20}, {0, 1});
    plan.state_saves = {{3, 2}, {4, 3}, {5, 4}, {23, 5}};  // the last is the sequence's own
    b.run({{100, 104}, {0, 20}}, plan);
    EXPECT_EQ(b.state(2), b.state(0));
    EXPECT_EQ(b.state(5), b.state(1));
    for (const int rows : {1, 2}) {
      b.pool->clear_slot(6);
      b.run({{0, rows}}, b.paged({rows}, {6}));
      EXPECT_EQ(b.state(2 + rows), b.state(6)) << rows;
      b.run({{rows, 20}}, b.paged({20 - rows}, {2 + rows}));
      EXPECT_EQ(b.state(2 + rows), b.state(1)) << rows;
    }
  }
}

TEST_P(Recurrent, PackedDocumentsDoNotLeak) {
  for (const ops::DeltaShape& s : shapes()) {
    Bench b(GetParam(), 2, s);
    std::vector<double> alone = b.run({{0, 3}}, documents({3}).plan);
    append(alone, b.run({{50, 130}}, documents({80}).plan));
    append(alone, b.run({{3, 5}}, documents({2}).plan));
    EXPECT_EQ(alone, b.run({{0, 3}, {50, 130}, {3, 5}}, documents({3, 80, 2}).plan));
  }
}

std::vector<std::string> isas() {
  std::vector<std::string> out;
  for (const std::string_view isa : supported_isas()) out.emplace_back(isa);
  return out;
}
INSTANTIATE_TEST_SUITE_P(Isa, Recurrent, testing::ValuesIn(isas()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace qw
