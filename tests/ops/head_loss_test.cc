#include "ops/head_loss.h"

#include "ops/cross_entropy.h"
#include "ops/linear.h"
#include "tests/ops/op_bench.h"

namespace qw::ops {
namespace {

using test::OpBench;
using test::random_values;

constexpr int64_t kRows = 150, kDim = 5, kVocab = 65537;  // three chunks of 64 rows

struct Case {
  OpBench bench = OpBench::f64();
  Weight head = bench.weight("head", {kVocab, kDim}, random_values(kVocab* kDim, 1, 0.3));
  std::vector<double> x = random_values(kRows * kDim, 2);
  std::vector<int32_t> targets;
  Case() {
    for (int32_t t = 0; t < kRows; ++t) targets.push_back(t % 7 == 0 ? -1 : (t * 911) % 65537);
  }
};

TEST(HeadLoss, ChunksEqualTheWholeProduct) {
  ASSERT_LT(head_chunk_rows(kVocab), kRows);
  Case c;
  Gradients whole(*c.bench.backend), chunked(*c.bench.backend);
  const double weight = 1.0 / 128;
  Tape a(whole);
  Ctx cx{*c.bench.backend, c.bench.arena, &a};
  Tensor x = c.bench.make({kRows, kDim}, c.x);
  a.watch(x);
  const Tensor loss = cross_entropy(cx, linear(cx, x, c.head), c.targets, weight);
  a.backward(cx, loss);
  const std::vector<double> dx = c.bench.read(a.grad(x));

  Tape b(chunked);
  cx.tape = &b;
  Tensor y = c.bench.make({kRows, kDim}, c.x);
  b.watch(y);
  const std::vector<float> weights(c.targets.size(), static_cast<float>(weight));
  const std::vector<double> rows = head_loss(cx, y, c.head, cross_entropy_rows(c.targets, weights));
  double sum = 0;
  for (const double r : rows) sum += r * weight;
  EXPECT_NEAR(sum, c.bench.read(loss)[0], 1e-12);
  const std::vector<double> dy = c.bench.read(b.grad(y));
  for (size_t i = 0; i < dx.size(); ++i) ASSERT_NEAR(dy[i], dx[i], 1e-13);
  const std::vector<double> dw = c.bench.read(whole.of(c.head)), dv = c.bench.read(chunked.of(c.head));
  for (size_t i = 0; i < dw.size(); ++i) ASSERT_NEAR(dv[i], dw[i], 1e-13);
}

TEST(HeadLoss, LossesAloneWithoutATape) {
  Case c;
  Ctx cx{*c.bench.backend, c.bench.arena};
  const std::vector<float> weights(c.targets.size(), 1.0f);
  const std::vector<double> rows =
      head_loss(cx, c.bench.make({kRows, kDim}, c.x), c.head, cross_entropy_rows(c.targets, weights));
  ASSERT_EQ(rows.size(), static_cast<size_t>(kRows));
  EXPECT_EQ(rows[0], 0.0);
  EXPECT_GT(rows[1], 5.0);  // near log(65537) = 11.1 for a random head
}

}  // namespace
}  // namespace qw::ops
