// linear and its gradients: every table, format, tail and alignment against sums in double; equal bits
// whatever the company, the threads and the cut.
#include "tests/backend/support.h"
#include "tests/tolerance.h"

namespace qw::test {
namespace {

class PerIsaLinear : public testing::TestWithParam<std::string> {};

void check_linear(Bench& b, QuantFormat format, int64_t m, int64_t n, int64_t k, bool with_bias) {
  SCOPED_TRACE(fmt::format("{} m={} n={} k={}", traits(format).name, m, n, k));
  // An odd offset: GGUF tensors start at multiples of 32 bytes, safetensors anywhere.
  const TestWeight w = make_weight(b, format, n, k, 5, 1);
  const Values x = normals(1, m * (k + 3)), bias = normals(2, n);
  const Tensor tx = b.real(x, {m, k + 3}).slice(1, 2, k);  // strided rows
  const Tensor out = b.empty({m, n});
  b->linear(out, tx, w.weight, with_bias ? b.real(bias, {n}) : Tensor());
  const Values y = b.get(out);
  for (int64_t t = 0; t < m; ++t)
    for (int64_t r = 0; r < n; ++r) {
      const double* px = &x[static_cast<size_t>(t * (k + 3) + 2)];
      const double* pw = &w.values[static_cast<size_t>(r * k)];
      double want = with_bias ? bias[static_cast<size_t>(r)] : 0.0;
      for (int64_t i = 0; i < k; ++i) want += px[i] * pw[i];
      const double magnitude = norm(px, k) * norm(pw, k) + std::abs(want);
      ASSERT_NEAR(y[static_cast<size_t>(t * n + r)], want, sum_tolerance(b.real(), k, magnitude))
          << "row " << t << " column " << r;
    }
}

TEST_P(PerIsaLinear, AgreesWithSumsInDouble) {
  Bench b(GetParam(), 2);
  for (const QuantFormat format : kAllFormats) {
    const bool blocks = !traits(format).is_float;
    for (const int64_t m : {0, 1, 2, 3, 4, 5, 6, 7, 13})
      for (const int64_t n : {1, 3, 4, 9, 50})
        for (const int64_t k : {32, 96}) check_linear(b, format, m, n, k, (m + n) % 2 == 0);
    if (blocks) continue;
    for (const int64_t m : {1, 3, 7})
      for (const int64_t k : {1, 2, 7, 15, 16, 17, 31, 33, 47, 63, 100})
        check_linear(b, format, m, 6, k, false);
  }
  for (const QuantFormat format : kCodedFormats)
    for (const int64_t m : {1, 2, 3, 7})
      for (const int64_t n : {1, 9, 50})
        for (const int64_t k : {256, 768}) check_linear(b, format, m, n, k, (m + n) % 2 == 0);
}

Values linear_rows(const std::string& isa, int threads, QuantFormat format, int64_t first, int64_t rows,
                   int64_t k = 96) {
  Bench b(isa, threads);
  const TestWeight w = make_weight(b, format, 203, k, 9);
  const Values x = normals(4, 40 * k);
  const Tensor out = b.empty({rows, 203});
  b->linear(out, b.real(x, {40, k}).slice(0, first, rows), w.weight, {});
  return b.get(out);
}

void check_company(const std::string& isa, QuantFormat format, int64_t k) {
  const Values whole = linear_rows(isa, 1, format, 0, 40, k);
  for (const int threads : {2, 3}) ASSERT_EQ(whole, linear_rows(isa, threads, format, 0, 40, k));
  for (const int64_t rows : {1, 2, 3, 4, 5, 7})
    for (const int64_t first : {0, 11}) {
      const Values part = linear_rows(isa, 2, format, first, rows, k);
      ASSERT_TRUE(std::equal(part.begin(), part.end(), whole.begin() + first * 203))
          << traits(format).name << " rows " << rows;
    }
}

TEST_P(PerIsaLinear, ARowHasTheSameBitsInAnyCompanyAndOnAnyThreads) {
  for (const QuantFormat format : kAllFormats)
    for (const int64_t k : {96, 544}) check_company(GetParam(), format, k);
  for (const QuantFormat format : kCodedFormats) check_company(GetParam(), format, 512);
}

void check_gradients(Bench& b, QuantFormat format, int64_t m, int64_t n, int64_t k) {
  SCOPED_TRACE(fmt::format("{} m={} n={} k={}", traits(format).name, m, n, k));
  const TestWeight w = make_weight(b, format, n, k, 6, 1);
  const Values x = normals(1, m * k), dout = normals(2, m * n), start = normals(3, n * k);
  const Tensor dx = b.empty({m, k}), dw = b.real(start, {n, k}), db = b.real(normals(3, n), {n});
  b->linear_dx(dx, b.real(dout, {m, n}), w.weight);
  b->linear_dw(dw, b.real(dout, {m, n}), b.real(x, {m, k}));
  b->sum_rows(db, b.real(dout, {m, n}));
  const Values gx = b.get(dx), gw = b.get(dw), gb = b.get(db);
  const auto at = [](const Values& v, int64_t i) { return v[static_cast<size_t>(i)]; };
  for (int64_t t = 0; t < m; ++t)
    for (int64_t i = 0; i < k; ++i) {
      double want = 0, magnitude = 0;
      for (int64_t r = 0; r < n; ++r) {
        want += at(dout, t * n + r) * at(w.values, r * k + i);
        magnitude += std::abs(at(dout, t * n + r) * at(w.values, r * k + i));
      }
      ASSERT_NEAR(at(gx, t * k + i), want, sum_tolerance(b.real(), n, magnitude));
    }
  for (int64_t r = 0; r < n; ++r) {
    for (int64_t i = 0; i < k; ++i) {
      double want = at(start, r * k + i), magnitude = std::abs(want);
      for (int64_t t = 0; t < m; ++t) {
        want += at(dout, t * n + r) * at(x, t * k + i);
        magnitude += std::abs(at(dout, t * n + r) * at(x, t * k + i));
      }
      ASSERT_NEAR(at(gw, r * k + i), want, sum_tolerance(b.real(), m, magnitude));
    }
    double want = normals(3, n)[static_cast<size_t>(r)], magnitude = std::abs(want);
    for (int64_t t = 0; t < m; ++t) {
      want += at(dout, t * n + r);
      magnitude += std::abs(at(dout, t * n + r));
    }
    ASSERT_NEAR(at(gb, r), want, sum_tolerance(b.real(), m, magnitude));
  }
}

TEST_P(PerIsaLinear, GradientsAgreeWithSumsInDouble) {
  Bench b(GetParam(), 2);
  for (const QuantFormat format : kAllFormats)
    for (const int64_t m : {1, 2, 7})
      for (const int64_t n : {1, 5, 130}) check_gradients(b, format, m, n, 160);
  for (const QuantFormat format : kCodedFormats) check_gradients(b, format, 3, 70, 768);
  for (const int64_t k : {1, 3, 15, 17, 33, 65, 129, 300}) check_gradients(b, QuantFormat::f32, 70, 26, k);
  check_gradients(b, QuantFormat::bf16, 5, 70, 31);
}

TEST_P(PerIsaLinear, NoRowsLeaveGradientsAlone) {
  Bench b(GetParam());
  const TestWeight w = make_weight(b, QuantFormat::f32, 4, 5, 6);
  const Values start = normals(3, 20);
  const Tensor dw = b.real(start, {4, 5}), none_x = b.empty({0, 5}), none_y = b.empty({0, 4});
  b->linear_dw(dw, none_y, none_x);
  b->linear_dx(none_x, none_y, w.weight);
  EXPECT_EQ(b.get(dw), start);
}

TEST_P(PerIsaLinear, GradientsHaveTheSameBitsOnAnyThreads) {
  std::vector<Values> got;
  for (const int threads : {1, 2, 3}) {
    Bench b(GetParam(), threads);
    const TestWeight w = make_weight(b, QuantFormat::q8_0, 150, 320, 6);
    const Tensor x = b.real(normals(1, 90 * 320), {90, 320}), dout = b.real(normals(2, 90 * 150), {90, 150});
    const Tensor dx = b.empty({90, 320}), dw = b.real(normals(3, 150 * 320), {150, 320});
    b->linear_dx(dx, dout, w.weight);
    b->linear_dw(dw, dout, x);
    got.push_back(b.get(dx));
    for (const double v : b.get(dw)) got.back().push_back(v);
  }
  EXPECT_EQ(got[0], got[1]);
  EXPECT_EQ(got[0], got[2]);
}

INSTANTIATE_TEST_SUITE_P(per_isa, PerIsaLinear, testing::ValuesIn(tables_and_f64()),
                         [](const auto& p) { return p.param; });

}  // namespace
}  // namespace qw::test
