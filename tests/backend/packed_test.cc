// Products over packed operands, of f32 and of operands rounded to bf16, by fma and by dot instructions:
// against sums in double over rounded operands; equal bits in any company, on any threads and by both ways.
#include "backend/cpu/cpu_features.h"
#include "tests/backend/support.h"
#include "tests/tolerance.h"

namespace qw::test {
namespace {

struct Way {
  std::string isa;
  Products products;
  bool dot;
};

std::string name_of(const Way& w) {
  return fmt::format("{}_{}", w.isa,
                     w.products == Products::f32_packed ? "f32"
                     : w.dot                            ? "bf16_dot"
                                                        : "bf16");
}
void PrintTo(const Way& w, std::ostream* os) {
  *os << name_of(w);
}

std::vector<Way> ways() {
  std::vector<Way> all;
  for (const std::string& isa : tables()) {
    all.push_back({isa, Products::f32_packed, false});
    all.push_back({isa, Products::bf16, false});
  }
  if (cpu::cpu_features().avx512_bf16) all.push_back({"avx512", Products::bf16, true});
  return all;
}

class PerIsaPacked : public testing::TestWithParam<Way> {
 protected:
  static Bench bench(int threads) {
    const Way& w = GetParam();
    return Bench(CpuOptions{.threads = threads, .isa = w.isa, .products = w.products, .bf16_dot = w.dot});
  }
  // What a product sees of a number.
  static double seen(double x) {
    return GetParam().products == Products::bf16 ? bf16_value(bf16_bits(x)) : x;
  }
  static Values seen(Values v) {
    for (double& x : v) x = seen(x);
    return v;
  }
};

double at(const Values& v, int64_t i) {
  return v[static_cast<size_t>(i)];
}

// Element (i, j) of a result against start + Σ_k a(i, k) b(k, j).
template <class A, class B>
void expect_product(const Values& got, int64_t m, int64_t n, int64_t k, const Values& start, A a, B b) {
  for (int64_t i = 0; i < m; ++i)
    for (int64_t j = 0; j < n; ++j) {
      double want = at(start, i * n + j), magnitude = std::abs(want);
      for (int64_t l = 0; l < k; ++l) {
        want += a(i, l) * b(l, j);
        magnitude += std::abs(a(i, l) * b(l, j));
      }
      ASSERT_NEAR(at(got, i * n + j), want, sum_tolerance(DType::f32, k, magnitude))
          << "row " << i << " column " << j << " of " << m << " × " << n << ", sums of " << k;
    }
}

struct Sizes {
  int64_t m, n, k;
};

TEST_P(PerIsaPacked, AgreesWithSumsInDouble) {
  Bench b = bench(2);
  const auto check = [&](QuantFormat format, Sizes s) {
    SCOPED_TRACE(fmt::format("{} m={} n={} k={}", traits(format).name, s.m, s.n, s.k));
    const TestWeight w = make_weight(b, format, s.n, s.k, 5, 1);
    const Values x = normals(1, s.m * (s.k + 3)), dout = normals(2, s.m * (s.n + 2)), bias = normals(3, s.n),
                 start = normals(4, s.n * s.k);
    const Tensor tx = b.real(x, {s.m, s.k + 3}).slice(1, 2, s.k);        // strided rows
    const Tensor tdout = b.real(dout, {s.m, s.n + 2}).slice(1, 1, s.n);  // strided rows
    const Tensor out = b.empty({s.m, s.n}), dx = b.empty({s.m, s.k}), dw = b.real(start, {s.n, s.k});
    b->linear(out, tx, w.weight, s.n % 2 == 0 ? b.real(bias, {s.n}) : Tensor());
    b->linear_dx(dx, tdout, w.weight);
    b->linear_dw(dw, tdout, tx);
    const Values sx = seen(x), sd = seen(dout), sw = seen(w.values);
    Values biases(static_cast<size_t>(s.m * s.n));
    for (size_t i = 0; s.n % 2 == 0 && i < biases.size(); ++i) biases[i] = bias[i % static_cast<size_t>(s.n)];
    const auto px = [&](int64_t t, int64_t i) { return at(sx, t * (s.k + 3) + 2 + i); };
    const auto pd = [&](int64_t t, int64_t r) { return at(sd, t * (s.n + 2) + 1 + r); };
    const auto pw = [&](int64_t r, int64_t i) { return at(sw, r * s.k + i); };
    expect_product(b.get(out), s.m, s.n, s.k, biases, px, [&](int64_t i, int64_t r) { return pw(r, i); });
    expect_product(b.get(dx), s.m, s.k, s.n, Values(static_cast<size_t>(s.m * s.k)), pd, pw);
    expect_product(
        b.get(dw), s.n, s.k, s.m, start, [&](int64_t r, int64_t t) { return pd(t, r); },
        [&](int64_t t, int64_t i) { return px(t, i); });
  };
  for (const QuantFormat format : kAllFormats)
    for (const int64_t m : {1, 5, 30}) check(format, {m, 70, 96});
  for (const QuantFormat format : kCodedFormats) check(format, {5, 70, 768});
  for (int64_t m = 1; m <= 26; ++m) check(QuantFormat::f32, {m, 33, 17});
  for (const int64_t n : {1, 15, 16, 31, 32, 47, 65}) check(QuantFormat::bf16, {13, n, 21});
  for (const int64_t k : {1, 2, 3, 16, 31, 65, 129}) check(QuantFormat::f32, {7, 9, k});
  check(QuantFormat::f32, {3, 7, 1300});  // blocks of depth, uneven
  check(QuantFormat::f32, {1100, 3, 5});
  check(QuantFormat::f16, {4, 1030, 35});
}

TEST_P(PerIsaPacked, MoreColumnsThanArePackedAtOnce) {
  Bench b = bench(2);
  constexpr int64_t kN = 4300, kK = 515;
  const TestWeight w = make_weight(b, QuantFormat::f32, kN, kK, 5);
  const Values x = normals(1, 2 * kK), dout = normals(2, 2 * kN);
  const Tensor out = b.empty({2, kN}), dx = b.empty({2, kK});
  b->linear(out, b.real(x, {2, kK}), w.weight, {});
  b->linear_dx(dx, b.real(dout, {2, kN}), w.weight);
  const Values sx = seen(x), sd = seen(dout), sw = seen(w.values);
  expect_product(
      b.get(out), 2, kN, kK, Values(2 * kN), [&](int64_t t, int64_t i) { return at(sx, t * kK + i); },
      [&](int64_t i, int64_t r) { return at(sw, r * kK + i); });
  expect_product(
      b.get(dx), 2, kK, kN, Values(2 * kK), [&](int64_t t, int64_t r) { return at(sd, t * kN + r); },
      [&](int64_t r, int64_t i) { return at(sw, r * kK + i); });
}

// linear, linear_dx and linear_dw of rows [first, first + rows) of 40, in this order.
Values products_of(Bench& b, QuantFormat format, Sizes s, int64_t first, int64_t rows) {
  const TestWeight w = make_weight(b, format, s.n, s.k, 9);
  const Tensor x = b.real(normals(4, s.m * s.k), {s.m, s.k}).slice(0, first, rows);
  const Tensor dout = b.real(normals(5, s.m * s.n), {s.m, s.n}).slice(0, first, rows);
  const Tensor out = b.empty({rows, s.n}), dx = b.empty({rows, s.k}),
               dw = b.real(normals(3, s.n * s.k), {s.n, s.k});
  b->linear(out, x, w.weight, {});
  b->linear_dx(dx, dout, w.weight);
  b->linear_dw(dw, dout, x);
  Values all = b.get(out);
  for (const Tensor& t : {dx, dw})
    for (const double v : b.get(t)) all.push_back(v);
  return all;
}

TEST_P(PerIsaPacked, SameBitsOnAnyThreadsAndInAnyCompany) {
  for (const QuantFormat format : {QuantFormat::f32, QuantFormat::q4_0}) {
    const Sizes s{40, 203, 544};
    Bench one = bench(1);
    const Values whole = products_of(one, format, s, 0, s.m);
    for (const int threads : {2, 3}) {
      Bench b = bench(threads);
      ASSERT_EQ(whole, products_of(b, format, s, 0, s.m));
      for (const int64_t rows : {1, 5, 13})
        for (const int64_t first : {0, 11}) {
          const Values part = products_of(b, format, s, first, rows);
          ASSERT_TRUE(std::equal(part.begin(), part.begin() + rows * s.n, whole.begin() + first * s.n));
          ASSERT_TRUE(std::equal(part.begin() + rows * s.n, part.begin() + rows * (s.n + s.k),
                                 whole.begin() + s.m * s.n + first * s.k));
        }
    }
  }
}

TEST_P(PerIsaPacked, OperandsAreRoundedToNearestEven) {
  Bench b = bench(1);
  Values x = normals(6, 400);
  for (const double v : {1.00390625, 1.01171875, -1.00390625, 0x1.fcp127, 0.0, -2.5, 65535.0}) x.push_back(v);
  const auto n = static_cast<int64_t>(x.size());
  Values one{1.0};
  Weight w;
  w.name = "one";
  w.shape = Shape{1, 1};
  w.data = b.real(one, {1, 1});
  const Tensor out = b.empty({n, 1});
  b->linear(out, b.real(x, {n, 1}), w, {});
  EXPECT_EQ(b.get(out), seen(x));
  const double inf = std::numeric_limits<double>::infinity();
  const Tensor odd = b.empty({3, 1});
  b->linear(odd, b.real({inf, -inf, std::nan("")}, {3, 1}), w, {});
  const Values y = b.get(odd);
  EXPECT_EQ(y[0], inf);
  EXPECT_EQ(y[1], -inf);
  EXPECT_TRUE(std::isnan(y[2]));
}

INSTANTIATE_TEST_SUITE_P(per_isa, PerIsaPacked, testing::ValuesIn(ways()),
                         [](const auto& p) { return name_of(p.param); });

TEST(PackedProducts, DotInstructionsAndFmaHaveTheSameBits) {
  if (!cpu::cpu_features().avx512_bf16) GTEST_SKIP() << "this machine has no bf16 dot";
  std::vector<Values> got;
  for (const bool dot : {false, true}) {
    Bench b(CpuOptions{.threads = 2, .isa = "avx512", .products = Products::bf16, .bf16_dot = dot});
    got.push_back(products_of(b, QuantFormat::f32, {61, 130, 545}, 0, 61));
  }
  EXPECT_EQ(got[0], got[1]);
}

}  // namespace
}  // namespace qw::test
