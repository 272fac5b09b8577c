// What only training needs: divergence and dropout.
#include <cmath>
#include <functional>

#include "ops/linear.h"
#include "tests/ops/op_bench.h"

namespace qw::test {
namespace {

constexpr int64_t kRows = 3, kVocab = 11;

struct Divergence : testing::TestWithParam<DivergenceArgs> {};

// The definition, term by term.
double divergence_of(const double* s_logits, const double* t_logits, int64_t n, const DivergenceArgs& a) {
  const auto soft = [&](const double* x) {
    std::vector<double> p(static_cast<size_t>(n));
    double sum = 0;
    for (size_t i = 0; i < p.size(); ++i) sum += p[i] = std::exp(x[i] / a.temperature);
    for (double& v : p) v /= sum;
    return p;
  };
  const auto kl = [](const std::vector<double>& p, const std::vector<double>& q) {
    double sum = 0;
    for (size_t i = 0; i < p.size(); ++i) sum += p[i] * std::log(p[i] / q[i]);
    return sum;
  };
  const std::vector<double> s = soft(s_logits), t = soft(t_logits);
  if (a.beta == 0) return kl(t, s);
  if (a.beta == 1) return kl(s, t);
  std::vector<double> m(s.size());
  for (size_t i = 0; i < m.size(); ++i) m[i] = a.beta * t[i] + (1 - a.beta) * s[i];
  return a.beta * kl(t, m) + (1 - a.beta) * kl(s, m);
}

TEST_P(Divergence, LossAndGradientAreThoseOfTheDefinition) {
  OpBench bench = OpBench::f64();
  std::vector<double> logits = random_values(kRows * kVocab, 1, 2.0);
  const std::vector<double> teacher = random_values(kRows * kVocab, 2, 2.0), weight{0.5, 0.0, 2.0};
  const Tensor loss = bench.arena.alloc({kRows}, DType::f64),
               d = bench.arena.alloc({kRows, kVocab}, DType::f64);
  const Tensor other = bench.make({kRows, kVocab}, teacher);
  bench.backend->divergence(loss, d, bench.make({kRows, kVocab}, logits), other, bench.make({kRows}, weight),
                            GetParam());
  const std::vector<double> got = bench.read(loss), gradient = bench.read(d);
  for (size_t r = 0; r < kRows; ++r) {
    const auto of_row = [&] {
      return divergence_of(&logits[r * kVocab], &teacher[r * kVocab], kVocab, GetParam());
    };
    EXPECT_NEAR(got[r], of_row(), 1e-13);
    for (size_t i = r * kVocab; i < (r + 1) * kVocab; ++i) {
      const double keep = logits[i], h = 1e-6;
      logits[i] = keep + h;
      const double up = of_row();
      logits[i] = keep - h;
      const double down = of_row();
      logits[i] = keep;
      EXPECT_NEAR(gradient[i], weight[r] * (up - down) / (2 * h), 1e-8) << r << " " << i;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Betas, Divergence,
                         testing::Values(DivergenceArgs{0, 1}, DivergenceArgs{0, 3}, DivergenceArgs{1, 1},
                                         DivergenceArgs{1, 0.7}, DivergenceArgs{0.3, 2}));

TEST(Divergence, PaddingOfTheLargerVocabularyIsLeftOut) {
  OpBench bench = OpBench::f64();
  const std::vector<double> wide = random_values(13, 1), narrow = random_values(kVocab, 2);
  const Tensor loss = bench.arena.alloc({1}, DType::f64), d = bench.arena.alloc({1, 13}, DType::f64);
  bench.backend->divergence(loss, d, bench.make({1, 13}, wide), bench.make({1, kVocab}, narrow),
                            bench.make({1}, {1.0}), {});
  EXPECT_NEAR(bench.read(loss)[0], divergence_of(wide.data(), narrow.data(), kVocab, {}), 1e-13);
  EXPECT_EQ(bench.read(d)[11], 0.0);
  EXPECT_EQ(bench.read(d)[12], 0.0);
}

TEST(Dropout, KeepsAShareScalesItAndRepeats) {
  OpBench bench = OpBench::f64();
  constexpr int64_t n = 40001;
  const Tensor x = bench.make({n}, std::vector<double>(n, 2.0)), y = bench.arena.alloc({n}, DType::f64),
               z = bench.arena.alloc({n}, DType::f64);
  bench.backend->dropout(y, x, 0.25, 99);
  bench.backend->dropout(z, x, 0.25, 99);
  const std::vector<double> got = bench.read(y);
  EXPECT_EQ(got, bench.read(z));
  int64_t kept = 0;
  for (const double v : got) {
    ASSERT_TRUE(v == 0.0 || std::abs(v - 2.0 / 0.75) < 1e-15);
    kept += v != 0.0;
  }
  EXPECT_NEAR(static_cast<double>(kept) / n, 0.75,
              5 * std::sqrt(0.25 * 0.75 / n));  // five standard deviations
  bench.backend->dropout(z, x, 0.25, 100);
  EXPECT_NE(got, bench.read(z));
  bench.backend->dropout(z, x, 0.0, 100);
  EXPECT_EQ(bench.read(z), bench.read(x));
}

// The central difference of f by v[i], which is put back.
double slope(std::vector<double>& v, size_t i, const std::function<double()>& f) {
  const double keep = v[i];
  v[i] = keep + 1e-5;
  const double up = f();
  v[i] = keep - 1e-5;
  const double down = f();
  v[i] = keep;
  return (up - down) / 2e-5;
}

// out = W x + scale · B A drop(x), and every gradient of it, against the same calls one by one.
TEST(Dropout, AdaptersLearnBehindIt) {
  OpBench bench = OpBench::f64();
  Weight w = bench.weight("w", {4, 5}, random_values(20, 1));
  auto set = std::make_shared<AdapterSet>();
  set->add("w", {bench.weight("a", {2, 5}, random_values(10, 2)),
                 bench.weight("b", {4, 2}, random_values(8, 3)), 0.5});
  const Lora& lora = *set->find("w");
  const AdapterMap map{{0, 3, set}};
  Gradients gradients(*bench.backend);
  Tape tape(gradients);
  Ctx cx{*bench.backend, bench.arena, &tape};
  cx.adapters = &map;
  cx.adapter_dropout.p = 0.4;
  cx.adapter_dropout.key = 5;
  Tensor x = bench.make({3, 5}, random_values(15, 4));
  tape.watch(x);
  const Tensor out = ops::linear(cx, x, w);
  const Tensor r = bench.make({3, 4}, random_values(12, 6));
  tape.backward(cx, out, r);

  // A tape of its own, so that the same dropout is drawn.
  const auto objective = [&](const std::vector<double>& values) {
    Ctx again = cx;
    Gradients none(*bench.backend);
    Tape throwaway(none);
    again.tape = &throwaway;
    Tensor moved = bench.make({3, 5}, values);
    throwaway.watch(moved);
    const std::vector<double> y = bench.read(ops::linear(again, moved, w)), weights = bench.read(r);
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += y[i] * weights[i];
    return sum;
  };
  std::vector<double> values = bench.read(x);
  const std::vector<double> dx = bench.read(tape.grad(x));
  for (size_t i = 0; i < values.size(); ++i)
    EXPECT_NEAR(dx[i], slope(values, i, [&] { return objective(values); }), 1e-8);
  for (const Weight* learnt : {&lora.a, &lora.b}) {
    std::vector<double> v = bench.read(learnt->data);
    const std::vector<double> dv = bench.read(gradients.of(*learnt));
    const auto with_v = [&] {
      bench.set(learnt->data, v);
      return objective(values);
    };
    for (size_t i = 0; i < v.size(); ++i) EXPECT_NEAR(dv[i], slope(v, i, with_v), 1e-8) << learnt->name;
    bench.set(learnt->data, v);
  }
}

}  // namespace
}  // namespace qw::test
