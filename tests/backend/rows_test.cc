// Element-wise kernels, norms, embeddings, rotary positions, losses, optimiser, copies: every table against
// the formula in double, at every tail.
#include <limits>

#include "tests/backend/support.h"
#include "tests/tolerance.h"

namespace qw::test {
namespace {

const int64_t kSizes[] = {0, 1, 2, 3, 4, 7, 8, 15, 16, 17, 31, 33, 64, 100, 1000};

class PerIsaRows : public testing::TestWithParam<std::string> {};

void expect_near(const Values& got, const Values& want, double tolerance, const char* what) {
  ASSERT_EQ(got.size(), want.size());
  for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], tolerance) << what << " at " << i;
}

Values map(const Values& a, const Values& b, double (*f)(double, double)) {
  Values out(a.size());
  for (size_t i = 0; i < a.size(); ++i) out[i] = f(a[i], b[i]);
  return out;
}

TEST_P(PerIsaRows, Arithmetic) {
  Bench b(GetParam(), 2);
  for (const int64_t n : kSizes) {
    const Values a = normals(1, n), c = normals(2, n);
    const Tensor ta = b.real(a, {n}), tc = b.real(c, {n}), out = b.empty({n});
    const double tol = rounding_tolerance(b.real(), 2, 10);
    b->add(out, ta, tc);
    expect_near(b.get(out), map(a, c, [](double x, double y) { return x + y; }), tol, "add");
    b->scale(out, ta, -1.5);
    expect_near(b.get(out), map(a, c, [](double x, double) { return -1.5 * x; }), tol, "scale");
    b->axpy(out, 0.25, tc);
    expect_near(b.get(out), map(a, c, [](double x, double y) { return -1.5 * x + 0.25 * y; }), tol, "axpy");
    b->fill(out, 3.0);
    expect_near(b.get(out), Values(a.size(), 3.0), 0, "fill");
  }
}

TEST_P(PerIsaRows, StridedOperands) {
  Bench b(GetParam(), 2);
  const Values a = normals(1, 6 * 40), c = normals(2, 6 * 17);
  const Tensor out = b.empty({6, 17});
  b->add(out, b.real(a, {6, 40}).slice(1, 3, 17), b.real(c, {6, 17}));
  const Values got = b.get(out);
  for (size_t i = 0; i < got.size(); ++i)
    ASSERT_NEAR(got[i], a[i / 17 * 40 + 3 + i % 17] + c[i], rounding_tolerance(b.real(), 1, 10));
  // [2, 3, 17] with the first two dimensions swapped
  const Tensor swapped = b.real(c, {2, 3, 17}).transpose(0, 1), norm_out = b.empty({3, 2, 17});
  const Tensor w = b.real(Values(17, 1.0), {17});
  b->rms_norm(norm_out, swapped, w, 0.0);
  const Values rows = b.get(norm_out);
  for (size_t t = 0; t < 3; ++t)
    for (size_t s = 0; s < 2; ++s) {
      const double* x = &c[(s * 3 + t) * 17];
      for (size_t d = 0; d < 17; ++d)
        ASSERT_NEAR(rows[(t * 2 + s) * 17 + d], x[d] / (norm(x, 17) / std::sqrt(17.0)),
                    rounding_tolerance(b.real(), 8, 4));
    }
}

// The vector exp within 2 ulp, seen through silu: g / (1 + e^-g) over the whole range.
TEST_P(PerIsaRows, SiluOverTheWholeRange) {
  Bench b(GetParam());
  Values gate;
  for (double x = -100; x <= 100; x += 0.0137) gate.push_back(static_cast<double>(static_cast<float>(x)));
  for (const double x : {-1e30, -88.0, -87.3, -0.0, 0.0, 1e-30, 88.7, 89.0, 1e30})
    gate.push_back(static_cast<double>(static_cast<float>(x)));
  const auto n = static_cast<int64_t>(gate.size());
  const Tensor out = b.empty({n});
  b->silu_mul(out, b.real(gate, {n}), b.real(Values(gate.size(), 1.0), {n}));
  const Values got = b.get(out);
  for (size_t i = 0; i < got.size(); ++i) {
    const double g = gate[i], want = g / (1 + std::exp(-g));
    ASSERT_NEAR(got[i], want, rounding_tolerance(b.real(), 4, std::abs(want)) + 1e-35) << g;
  }
}

TEST_P(PerIsaRows, SiluMulAndBackward) {
  Bench b(GetParam(), 2);
  for (const int64_t n : kSizes) {
    const Values g = normals(1, n, 3), u = normals(2, n), d = normals(3, n);
    const Tensor tg = b.real(g, {n}), tu = b.real(u, {n}), out = b.empty({n}), dg = b.empty({n}),
                 du = b.empty({n});
    b->silu_mul(out, tg, tu);
    b->silu_mul_backward(dg, du, tg, tu, b.real(d, {n}));
    const Values y = b.get(out), yg = b.get(dg), yu = b.get(du);
    for (size_t i = 0; i < y.size(); ++i) {
      const double s = 1 / (1 + std::exp(-g[i])), tol = rounding_tolerance(b.real(), 8, 40);
      ASSERT_NEAR(y[i], g[i] * s * u[i], tol);
      ASSERT_NEAR(yg[i], d[i] * u[i] * s * (1 + g[i] * (1 - s)), tol);
      ASSERT_NEAR(yu[i], d[i] * g[i] * s, tol);
    }
  }
}

void check_norm(Bench& b, int64_t rows, int64_t d) {
  SCOPED_TRACE(fmt::format("rows {} d {}", rows, d));
  const double eps = 1e-5;
  const Values x = normals(1, rows * d), w = normals(2, d), dy = normals(3, rows * d), start = normals(4, d);
  const Tensor tx = b.real(x, {rows, d}), tw = b.real(w, {d}), out = b.empty({rows, d}),
               dx = b.empty({rows, d});
  const Tensor dw = b.real(start, {d}), tdy = b.real(dy, {rows, d});
  b->rms_norm(out, tx, tw, eps);
  b->rms_norm_backward(dx, dw, tx, tw, eps, tdy);
  const Values y = b.get(out), gx = b.get(dx);
  Values want_dw = start;
  for (int64_t t = 0; t < rows; ++t) {
    const double* p = &x[static_cast<size_t>(t * d)];
    const double* q = &dy[static_cast<size_t>(t * d)];
    const double s = 1 / std::sqrt(norm(p, d) * norm(p, d) / static_cast<double>(d) + eps);
    double along = 0;
    for (int64_t i = 0; i < d; ++i) along += w[static_cast<size_t>(i)] * q[i] * p[i];
    for (int64_t i = 0; i < d; ++i) {
      const auto j = static_cast<size_t>(i), at = static_cast<size_t>(t * d + i);
      const double tol = sum_tolerance(b.real(), d, 4) * (1 + s * s * s) * (1 + std::abs(p[i]) * norm(q, d));
      ASSERT_NEAR(y[at], p[i] * s * w[j], tol);
      ASSERT_NEAR(gx[at], s * w[j] * q[i] - s * s * s * p[i] * along / static_cast<double>(d), tol);
      want_dw[j] += q[i] * p[i] * s;
    }
  }
  expect_near(b.get(dw), want_dw, sum_tolerance(b.real(), d + rows, 40), "dw");
  b->rms_norm_backward(dx, {}, tx, tw, eps, tdy);  // a frozen weight
  EXPECT_EQ(b.get(dx), gx);
}

TEST_P(PerIsaRows, RmsNormAndBackward) {
  Bench b(GetParam(), 2);
  for (const int64_t d : kSizes)
    if (d > 0)
      for (const int64_t rows : {0, 1, 5}) check_norm(b, rows, d);
}

TEST_P(PerIsaRows, EmbeddingDecodesExactly) {
  Bench b(GetParam(), 2);
  const std::vector<int32_t> ids{4, 0, 4, 6};
  for (const QuantFormat format : kAllFormats)
    for (const int64_t d : {32, 96, 31, 7}) {
      if (!traits(format).is_float && d % 32 != 0) continue;
      const TestWeight w = make_weight(b, format, 7, d, 3, 1);
      const Tensor out = b.empty({4, d});
      b->embedding(out, b.ints(ids), w.weight);
      const Values got = b.get(out);
      for (size_t i = 0; i < got.size(); ++i) {
        double want =
            w.values[static_cast<size_t>(ids[i / static_cast<size_t>(d)] * d) + i % static_cast<size_t>(d)];
        if (b.real() == DType::f32) want = static_cast<double>(static_cast<float>(want));
        ASSERT_EQ(got[i], want) << traits(format).name << " " << i;
      }
    }
}

TEST_P(PerIsaRows, RowsOutAndBack) {
  Bench b(GetParam(), 3);
  for (const int64_t d : {1, 17, 200}) {
    const Values x = normals(1, 9 * d), dy = normals(2, 4 * d), start = normals(3, 9 * d);
    const std::vector<int32_t> rows{8, 2, 2, 0};
    const Tensor out = b.empty({4, d}), dx = b.real(start, {9, d}), dw = b.real(start, {9, d});
    b->gather_rows(out, b.real(x, {9, d}), b.ints(rows));
    b->scatter_add_rows(dx, b.ints(rows), b.real(dy, {4, d}));
    b->embedding_backward(dw, b.ints(rows), b.real(dy, {4, d}));
    Values want = start;
    const Values got = b.get(out);
    for (size_t r = 0; r < 4; ++r)
      for (size_t i = 0; i < static_cast<size_t>(d); ++i) {
        const size_t from = static_cast<size_t>(rows[r]) * static_cast<size_t>(d) + i,
                     at = r * static_cast<size_t>(d) + i;
        ASSERT_EQ(got[at], x[from]);
        want[from] += dy[at];
      }
    expect_near(b.get(dx), want, rounding_tolerance(b.real(), 2, 10), "scatter_add_rows");
    EXPECT_EQ(b.get(dw), b.get(dx));
  }
}

TEST_P(PerIsaRows, RopeTurnsAndTurnsBack) {
  Bench b(GetParam(), 2);
  for (const auto& [hd, rot] : {std::pair{64, 64}, {80, 20}, {2, 2}, {6, 4}}) {
    const int64_t half = rot / 2;
    const std::vector<int32_t> positions{0, 1, 77, 4095, 131071};
    Values freq;
    for (int64_t i = 0; i < half; ++i)
      freq.push_back(static_cast<double>(
          static_cast<float>(std::pow(1e4, -static_cast<double>(i) / static_cast<double>(half)))));
    const Tensor table = b.empty({5, half, 2}), out = b.empty({5, 3, hd}), back = b.empty({5, 3, hd});
    b->rope_table(table, b.ints(positions), b.real(freq, {half}), 1.25);
    const Values x = normals(1, 5 * 3 * hd);
    const Tensor tx = b.real(x, {5, 3, hd});
    b->rope(out, tx, table, false);
    b->rope(back, out, table, true);
    const Values t = b.get(table), y = b.get(out), z = b.get(back);
    for (size_t p = 0; p < 5; ++p)
      for (size_t h = 0; h < 3; ++h)
        for (size_t i = 0; i < static_cast<size_t>(hd); ++i) {
          const size_t row = (p * 3 + h) * static_cast<size_t>(hd), j = i % static_cast<size_t>(half);
          const bool turned = i < static_cast<size_t>(rot), first = i < static_cast<size_t>(half);
          const double angle =
              static_cast<double>(static_cast<float>(positions[p]) * static_cast<float>(freq[j]));
          const double c = 1.25 * std::cos(angle), s = 1.25 * std::sin(angle);
          const double a = x[row + j], d = x[row + j + static_cast<size_t>(half)];
          const double want = !turned ? x[row + i] : first ? a * c - d * s : d * c + a * s;
          ASSERT_NEAR(y[row + i], want, rounding_tolerance(b.real(), 4, 10)) << positions[p] << " " << i;
          ASSERT_NEAR(z[row + i], x[row + i] * (turned ? 1.25 * 1.25 : 1.0),
                      rounding_tolerance(b.real(), 8, 10));
          if (!turned || first) continue;
          ASSERT_NEAR(t[(p * static_cast<size_t>(half) + j) * 2 + 1], s, rounding_tolerance(b.real(), 2, 2));
        }
  }
}

TEST_P(PerIsaRows, CrossEntropyAndBackward) {
  Bench b(GetParam(), 2);
  const std::vector<int32_t> targets{0, -1, -100, 0};
  for (const int64_t v : kSizes) {
    if (v == 0) continue;
    auto goal = targets;
    goal[3] = static_cast<int32_t>(v - 1);
    Values x = normals(1, 4 * v, 3);
    for (double& e : x) e += 200;  // e^200 alone would overflow
    const Values dl = normals(2, 4);
    const Tensor loss = b.empty({4}), dx = b.empty({4, v}), tx = b.real(x, {4, v});
    b->cross_entropy(loss, tx, b.ints(goal));
    b->cross_entropy_backward(dx, tx, b.ints(goal), b.real(dl, {4}));
    const Values got = b.get(loss), gx = b.get(dx);
    for (size_t t = 0; t < 4; ++t) {
      double sum = 0;
      const auto at = [&](int64_t i) {
        return static_cast<double>(
                   static_cast<float>(x[t * static_cast<size_t>(v) + static_cast<size_t>(i)])) -
               200;
      };
      for (int64_t i = 0; i < v; ++i) sum += std::exp(at(i));
      const double want = goal[t] < 0 ? 0 : std::log(sum) - at(goal[t]);
      const double tol = b.real() == DType::f64 ? 1e-4 : rounding_tolerance(b.real(), 8, 20);
      ASSERT_NEAR(got[t], want, tol);
      for (int64_t i = 0; i < v; ++i) {
        const double p = goal[t] < 0 ? 0 : dl[t] * (std::exp(at(i)) / sum - (i == goal[t] ? 1 : 0));
        ASSERT_NEAR(gx[t * static_cast<size_t>(v) + static_cast<size_t>(i)], p, tol);
      }
    }
  }
}

TEST_P(PerIsaRows, SumsHaveTheSameBitsOnAnyThreads) {
  for (const int64_t n : {1, 4095, 4097, 100000}) {
    const Values x = normals(1, n);
    long double wide_sum = 0, wide_squares = 0;
    for (const long double v : x) {
      wide_sum += v;
      wide_squares += v * v;
    }
    const auto sum = static_cast<double>(wide_sum), squares = static_cast<double>(wide_squares);
    Values first;
    for (const int threads : {1, 2, 3}) {
      Bench b(GetParam(), threads);
      const Tensor s = b.empty({1}), q = b.empty({1}), tx = b.real(x, {n});
      b->sum(s, tx);
      b->sum_squares(q, tx);
      const Values got{b.get(s)[0], b.get(q)[0]};
      EXPECT_NEAR(got[0], sum,
                  sum_tolerance(DType::f64, n, squares) + rounding_tolerance(b.real(), 1, std::abs(sum)));
      EXPECT_NEAR(got[1], squares,
                  sum_tolerance(DType::f64, n, squares) + rounding_tolerance(b.real(), 1, squares));
      if (first.empty()) first = got;
      EXPECT_EQ(got, first);
    }
  }
}

TEST_P(PerIsaRows, AdamWTakesTheStepsOfItsFormula) {
  Bench b(GetParam(), 2);
  for (const int64_t n : kSizes) {
    Values p = normals(1, n), m(p.size(), 0.0), v(p.size(), 0.0);
    const Tensor tp = b.real(p, {n}), tm = b.real(m, {n}), tv = b.real(v, {n});
    for (int64_t step = 1; step <= 3; ++step) {
      const Values g = normals(10 + static_cast<uint64_t>(step), n);
      b->adamw(tp, b.real(g, {n}), tm, tv,
               {.lr = 0.01,
                .beta1 = 0.9,
                .beta2 = 0.99,
                .eps = 1e-8,
                .weight_decay = 0.1,
                .step = step,
                .grad_scale = 0.5});
      for (size_t i = 0; i < p.size(); ++i) {
        const double grad = 0.5 * g[i], t = static_cast<double>(step);
        p[i] *= 1 - 0.01 * 0.1;
        m[i] += 0.1 * (grad - m[i]);
        v[i] = 0.99 * v[i] + 0.01 * grad * grad;
        p[i] -= 0.01 / (1 - std::pow(0.9, t)) * m[i] / (std::sqrt(v[i] / (1 - std::pow(0.99, t))) + 1e-8);
      }
    }
    expect_near(b.get(tp), p, rounding_tolerance(b.real(), 30, 4), "param");
    expect_near(b.get(tv), v, rounding_tolerance(b.real(), 30, 1), "v");
  }
}

TEST_P(PerIsaRows, CopiesConvertWithOneRounding) {
  Bench b(GetParam(), 2);
  // Ties, the edges of f16 and bf16, subnormals, overflow.
  Values x{0.0,   -0.0,   1.0,    -1.5,       65504,      65519,
           65520, -70000, 6.1e-5, 5.96e-8,    2.9e-8,     2.98023223876953125e-08,
           1e-10, 2049.0, 2051.0, 1.00390625, 1.01171875, 3.3e38,
           1e-40};
  for (const double v : normals(5, 5000)) x.push_back(v);
  const auto n = static_cast<int64_t>(x.size());
  const Tensor wide = b.real(x, {n}), half = b.empty({n}, DType::f16), brain = b.empty({n}, DType::bf16);
  const Tensor back = b.empty({n}), back2 = b.empty({n});
  b->copy(half, wide);
  b->copy(brain, wide);
  b->copy(back, half);
  b->copy(back2, brain);
  std::vector<uint16_t> h(x.size()), w(x.size());
  b->download(h.data(), half);
  b->download(w.data(), brain);
  const Values hv = b.get(back), wv = b.get(back2);
  for (size_t i = 0; i < x.size(); ++i) {
    const double v = b.real() == DType::f32 ? static_cast<double>(static_cast<float>(x[i])) : x[i];
    ASSERT_EQ(h[i], std::abs(v) >= 65520 ? (v < 0 ? 0xfc00 : 0x7c00) : f16_bits(v)) << v;
    if (b.real() == DType::f32) {
      ASSERT_EQ(w[i], bf16_bits(v)) << v;
    }
    if (h[i] < 0x7c00) {
      ASSERT_EQ(hv[i], f16_value(h[i]));
    }
    ASSERT_EQ(wv[i], bf16_value(w[i]));
  }
}

TEST_P(PerIsaRows, CopiesAnyStrides) {
  Bench b(GetParam(), 2);
  const Values x = normals(1, 5 * 7 * 3);
  const Tensor t = b.real(x, {5, 7, 3}), swapped = b.empty({3, 7, 5}), half = b.empty({7, 5, 3}, DType::f16);
  b->copy(swapped, t.transpose(0, 2));
  b->copy(half, t.transpose(0, 1));
  const Tensor whole = b.real(Values(5 * 7 * 3, 0.0), {5, 7, 3});
  b->copy(whole.transpose(0, 1).slice(1, 1, 4), half.slice(1, 1, 4));
  const Values s = b.get(swapped), back = b.get(whole);
  for (size_t i = 0; i < 5; ++i)
    for (size_t j = 0; j < 7; ++j)
      for (size_t k = 0; k < 3; ++k) {
        const double v = x[(i * 7 + j) * 3 + k];
        ASSERT_EQ(s[(k * 7 + j) * 5 + i], v);
        ASSERT_EQ(back[(i * 7 + j) * 3 + k], i == 0 ? 0.0 : f16_value(f16_bits(v)));
      }
}

INSTANTIATE_TEST_SUITE_P(per_isa, PerIsaRows, testing::ValuesIn(tables_and_f64()),
                         [](const auto& p) { return p.param; });

}  // namespace
}  // namespace qw::test
