// Attention, dense and paged: against softmax in double; equal bits between the two, between page layouts,
// cuts of a prompt, company and threads; gradients against the formula in double.
#include <numeric>

#include "core/batch.h"
#include "tests/backend/support.h"
#include "tests/tolerance.h"

namespace qw::test {
namespace {

struct Case {
  int heads, kv_heads, hd, window;
  std::vector<int> lengths;
};

const Case kCases[] = {
    {3, 1, 8, 0, {1, 33}},    {4, 2, 64, 0, {70}}, {2, 2, 20, 5, {40, 3, 65}}, {6, 2, 33, 40, {130, 1, 7}},
    {9, 3, 16, 32, {64, 32}}, {1, 1, 1, 0, {31}},  {16, 2, 128, 0, {100}},     {70, 1, 4, 0, {9}},
};

int64_t total(const Case& c) {
  return std::accumulate(c.lengths.begin(), c.lengths.end(), int64_t{0});
}

struct Inputs {
  Values q, k, v;
  explicit Inputs(const Case& c)
      : q(normals(11, total(c) * c.heads * c.hd)),
        k(normals(12, total(c) * c.kv_heads * c.hd)),
        v(normals(13, total(c) * c.kv_heads * c.hd)) {}
};

double scale_of(const Case& c) {
  return 1.0 / std::sqrt(static_cast<double>(c.hd));
}

// Softmax row in double: weights of the keys that row t of a sequence sees (0 elsewhere).
Values weights_of(const Case& c, const Inputs& in, int64_t row0, int t, int h, double* lse) {
  const int kvh = h / (c.heads / c.kv_heads), low = c.window > 0 ? std::max(0, t - c.window + 1) : 0;
  Values p(static_cast<size_t>(t + 1));
  double top = -INFINITY, sum = 0;
  for (int j = low; j <= t; ++j) {
    double s = 0;
    for (int d = 0; d < c.hd; ++d)
      s += in.q[static_cast<size_t>(((row0 + t) * c.heads + h) * c.hd + d)] *
           in.k[static_cast<size_t>(((row0 + j) * c.kv_heads + kvh) * c.hd + d)];
    p[static_cast<size_t>(j)] = s * scale_of(c);
    top = std::max(top, p[static_cast<size_t>(j)]);
  }
  for (int j = low; j <= t; ++j) sum += p[static_cast<size_t>(j)] = std::exp(p[static_cast<size_t>(j)] - top);
  for (double& x : p) x /= sum;
  if (lse != nullptr) *lse = top + std::log(sum);
  return p;
}

void reference(const Case& c, const Inputs& in, Values& out, Values& lse) {
  out.assign(in.q.size(), 0.0);
  lse.assign(static_cast<size_t>(total(c) * c.heads), 0.0);
  int64_t row0 = 0;
  for (const int n : c.lengths) {
    for (int t = 0; t < n; ++t)
      for (int h = 0; h < c.heads; ++h) {
        const auto at = static_cast<size_t>((row0 + t) * c.heads + h);
        const Values p = weights_of(c, in, row0, t, h, &lse[at]);
        const int kvh = h / (c.heads / c.kv_heads);
        for (int j = 0; j <= t; ++j)
          for (int d = 0; d < c.hd; ++d)
            out[at * static_cast<size_t>(c.hd) + static_cast<size_t>(d)] +=
                p[static_cast<size_t>(j)] *
                in.v[static_cast<size_t>(((row0 + j) * c.kv_heads + kvh) * c.hd + d)];
      }
    row0 += n;
  }
}

std::vector<int32_t> offsets(const std::vector<int>& lengths) {
  std::vector<int32_t> cu{0};
  for (const int n : lengths) cu.push_back(cu.back() + n);
  return cu;
}

Values dense(Bench& b, const Case& c, const Inputs& in, Values* lse = nullptr) {
  const auto cu = offsets(c.lengths);
  const std::vector<int32_t> kv(c.lengths.begin(), c.lengths.end());
  const Tensor out = b.empty({total(c), c.heads, c.hd}), l = b.empty({total(c), c.heads});
  const AttnArgs args{b.real(in.q, {total(c), c.heads, c.hd}), b.ints(cu), cu, kv, scale_of(c), c.window};
  b->attention_dense(out, lse != nullptr ? l : Tensor(), args, b.real(in.k, {total(c), c.kv_heads, c.hd}),
                     b.real(in.v, {total(c), c.kv_heads, c.hd}));
  if (lse != nullptr) *lse = b.get(l);
  return b.get(out);
}

// Tolerance of one output: the error of scores (hd products of size |q||k|) moves the weights by a like
// relative amount, then come up to 200 weighted values.
double tolerance(DType t, const Case& c) {
  const double scores = sum_tolerance(t, c.hd, 2.0 * c.hd) * scale_of(c);
  return 4 * (2 * scores + rounding_tolerance(t, 4, 1.0) + sum_tolerance(t, 200, 1.0));
}

// Pages handed out in a scattered order; memory that no token has written is NaN.
class Paged {
 public:
  Paged(Bench& b, const Case& c, DType dtype, int stride) : b_(b), c_(c), stride_(stride) {
    const int n_seqs = static_cast<int>(c.lengths.size());
    for (const int n : c.lengths) max_blocks_ = std::max(max_blocks_, (n + kPageTokens - 1) / kPageTokens);
    n_pages_ = n_seqs * max_blocks_ * 2 + 1;
    const Shape ks{n_pages_, c.kv_heads, c.hd, kPageTokens}, vs{n_pages_, c.kv_heads, kPageTokens, c.hd};
    kv_.k = b.empty(ks, dtype);
    kv_.v = b.empty(vs, dtype);
    for (const Tensor& t : {kv_.k, kv_.v}) {
      const std::vector<uint8_t> junk(t.bytes(), 0xff);  // NaN in every float type
      b->upload(t, junk.data());
    }
    std::vector<int32_t> table;
    for (int i = 0; i < n_seqs * max_blocks_; ++i) table.push_back(page(i));
    kv_.block_table = b.ints(table).view({n_seqs, max_blocks_});
  }

  // Runs rows [from[s], to[s]) of each sequence as one step; puts their outputs in place.
  void step(const Inputs& in, const std::vector<int>& from, const std::vector<int>& to, Values& out) {
    std::vector<int32_t> cu{0}, kv_len, slots, rows;
    std::vector<int64_t> row0 = {0};
    for (size_t s = 0; s < from.size(); ++s) {
      for (int t = from[s]; t < to[s]; ++t) {
        rows.push_back(static_cast<int32_t>(row0[s] + t));
        slots.push_back(page(static_cast<int>(s) * max_blocks_ + t / kPageTokens) * kPageTokens +
                        t % kPageTokens);
      }
      cu.push_back(static_cast<int32_t>(rows.size()));
      kv_len.push_back(to[s]);
      row0.push_back(row0[s] + c_.lengths[s]);
    }
    const auto n = static_cast<int64_t>(rows.size());
    const auto pick = [&](const Values& all, int heads) {
      const Tensor x = b_.real(all, {total(c_), int64_t{heads} * c_.hd}),
                   y = b_.empty({n, int64_t{heads} * c_.hd});
      b_->gather_rows(y, x, b_.ints(rows));
      return y.view({n, heads, c_.hd});
    };
    b_->kv_store(kv_, pick(in.k, c_.kv_heads), pick(in.v, c_.kv_heads), b_.ints(slots));
    const Tensor o = b_.empty({n, c_.heads, c_.hd});
    b_->attention_paged(o, {pick(in.q, c_.heads), b_.ints(cu), cu, kv_len, scale_of(c_), c_.window}, kv_);
    const Values part = b_.get(o);
    const auto width = static_cast<size_t>(c_.heads * c_.hd);
    for (size_t i = 0; i < rows.size(); ++i)
      std::copy_n(part.begin() + static_cast<std::ptrdiff_t>(i * width), width,
                  out.begin() + static_cast<std::ptrdiff_t>(static_cast<size_t>(rows[i]) * width));
  }

 private:
  int32_t page(int i) const { return i * stride_ % n_pages_; }

  Bench& b_;
  const Case& c_;
  int stride_;
  int max_blocks_ = 1;
  int n_pages_ = 0;
  PagedKv kv_;
};

// Whole prompts through pages, cut in steps of `chunk` rows a sequence.
Values paged(Bench& b, const Case& c, const Inputs& in, int chunk, DType dtype, int stride = 2) {
  Paged pages(b, c, dtype, stride);
  Values out(in.q.size(), NAN);
  std::vector<int> at(c.lengths.size(), 0);
  while (at != c.lengths) {
    std::vector<int> to = at;
    for (size_t s = 0; s < at.size(); ++s)
      to[s] = std::min(c.lengths[s], at[s] + chunk + static_cast<int>(s));
    pages.step(in, at, to, out);
    at = to;
  }
  return out;
}

class PerIsaAttention : public testing::TestWithParam<std::string> {};

TEST_P(PerIsaAttention, DenseAgreesWithSoftmaxInDouble) {
  Bench b(GetParam(), 2);
  for (const Case& c : kCases) {
    const Inputs in(c);
    Values want, want_lse, lse;
    reference(c, in, want, want_lse);
    const Values got = dense(b, c, in, &lse);
    for (size_t i = 0; i < got.size(); ++i) ASSERT_NEAR(got[i], want[i], tolerance(b.real(), c)) << i;
    for (size_t i = 0; i < lse.size(); ++i)
      ASSERT_NEAR(lse[i], want_lse[i], tolerance(b.real(), c) * (1 + std::abs(want_lse[i])));
  }
}

TEST_P(PerIsaAttention, PagedHasTheBitsOfDense) {
  for (const int threads : {1, 2, 3}) {
    Bench b(GetParam(), threads);
    for (const Case& c : kCases) {
      const Inputs in(c);
      const Values want = dense(b, c, in);
      for (const int chunk : {1, 7, 32, 45, 1000})
        ASSERT_EQ(paged(b, c, in, chunk, b.real()), want) << "chunk " << chunk << " hd " << c.hd;
      ASSERT_EQ(paged(b, c, in, 20, b.real(), 1), want) << "other pages";
    }
  }
}

TEST_P(PerIsaAttention, ASequenceHasTheSameBitsAlone) {
  Bench b(GetParam(), 2);
  const Case& both = kCases[3];
  const Inputs in(both);
  const Values want = dense(b, both, in);
  Case first = both;
  first.lengths = {both.lengths[0]};
  Inputs alone = in;
  alone.q.resize(static_cast<size_t>(total(first) * first.heads * first.hd));
  alone.k.resize(static_cast<size_t>(total(first) * first.kv_heads * first.hd));
  alone.v.resize(alone.k.size());
  const Values got = paged(b, first, alone, 9, b.real());
  EXPECT_TRUE(std::equal(got.begin(), got.end(), want.begin()));
}

TEST_P(PerIsaAttention, HalfPagesAgreeAndKeepTheirBits) {
  Bench b(GetParam(), 2);
  if (b.real() == DType::f64) GTEST_SKIP() << "f16 pages belong to the f32 backend";
  for (const Case& c : kCases) {
    Inputs in(c);
    const Values whole = paged(b, c, in, 1000, DType::f16);
    ASSERT_EQ(whole, paged(b, c, in, 5, DType::f16));
    for (Values* v : {&in.k, &in.v})
      for (double& x : *v) x = f16_value(f16_bits(x));
    ASSERT_EQ(whole, paged(b, c, in, 1000, DType::f32)) << "f16 pages are f32 pages of rounded numbers";
  }
}

// A row's neighbours in a page may hold anything.
TEST_P(PerIsaAttention, LaterInfinitiesDoNotReachEarlierRows) {
  Bench b(GetParam());
  const Case c{2, 1, 8, 0, {40}};
  Inputs in(c);
  const Values want = dense(b, c, in);
  for (size_t i = 35 * 8; i < 36 * 8; ++i) in.k[i] = in.v[i] = INFINITY;
  const Values got = dense(b, c, in);
  EXPECT_TRUE(std::equal(got.begin(), got.begin() + 35 * 16, want.begin()));
}

void check_backward(Bench& b, const Case& c) {
  const Inputs in(c);
  const auto n = total(c);
  const Values dout = normals(14, n * c.heads * c.hd);
  Values out, lse, dq(in.q.size()), dk(in.k.size()), dv(in.v.size());
  reference(c, in, out, lse);
  int64_t row0 = 0;
  for (const int len : c.lengths) {
    for (int t = 0; t < len; ++t)
      for (int h = 0; h < c.heads; ++h) {
        const int kvh = h / (c.heads / c.kv_heads);
        const auto qi = static_cast<size_t>(((row0 + t) * c.heads + h) * c.hd);
        const Values p = weights_of(c, in, row0, t, h, nullptr);
        double delta = 0;
        for (size_t d = 0; d < static_cast<size_t>(c.hd); ++d) delta += dout[qi + d] * out[qi + d];
        for (int j = 0; j <= t; ++j) {
          const auto ki = static_cast<size_t>(((row0 + j) * c.kv_heads + kvh) * c.hd);
          double dp = 0;
          for (size_t d = 0; d < static_cast<size_t>(c.hd); ++d) dp += dout[qi + d] * in.v[ki + d];
          const double w = p[static_cast<size_t>(j)], ds = w * (dp - delta) * scale_of(c);
          for (size_t d = 0; d < static_cast<size_t>(c.hd); ++d) {
            dv[ki + d] += w * dout[qi + d];
            dq[qi + d] += ds * in.k[ki + d];
            dk[ki + d] += ds * in.q[qi + d];
          }
        }
      }
    row0 += len;
  }
  const auto cu = offsets(c.lengths);
  const std::vector<int32_t> kv(c.lengths.begin(), c.lengths.end());
  const Shape qs{n, c.heads, c.hd}, ks{n, c.kv_heads, c.hd};
  const Tensor tk = b.real(in.k, ks), tv = b.real(in.v, ks), o = b.empty(qs), l = b.empty({n, c.heads});
  const AttnArgs args{b.real(in.q, qs), b.ints(cu), cu, kv, scale_of(c), c.window};
  b->attention_dense(o, l, args, tk, tv);
  const Backend::AttnGrads g{b.empty(qs), b.empty(ks), b.empty(ks)};
  b->attention_dense_backward(g, args, tk, tv, o, l, b.real(dout, qs));
  // Slopes are differences of sums over hd of size √hd; a group and all rows add up in dk and dv.
  const int rows = static_cast<int>(n) * c.heads / c.kv_heads;
  const double tol = 8 * tolerance(b.real(), c) * (1 + std::sqrt(c.hd)) * std::sqrt(rows);
  const auto near = [&](const Tensor& got, const Values& want, const char* what) {
    const Values x = b.get(got);
    for (size_t i = 0; i < x.size(); ++i) ASSERT_NEAR(x[i], want[i], tol) << what << " " << i;
  };
  near(g.dq, dq, "dq");
  near(g.dk, dk, "dk");
  near(g.dv, dv, "dv");
}

TEST_P(PerIsaAttention, BackwardAgreesWithTheFormulaInDouble) {
  Bench b(GetParam(), 2);
  for (const Case& c : kCases) check_backward(b, c);
}

TEST_P(PerIsaAttention, BackwardHasTheSameBitsOnAnyThreads) {
  const Case& c = kCases[3];
  const Inputs in(c);
  const auto cu = offsets(c.lengths);
  const std::vector<int32_t> kv(c.lengths.begin(), c.lengths.end());
  const Shape qs{total(c), c.heads, c.hd}, ks{total(c), c.kv_heads, c.hd};
  std::vector<Values> got;
  for (const int threads : {1, 2, 3}) {
    Bench b(GetParam(), threads);
    const Tensor k = b.real(in.k, ks), v = b.real(in.v, ks), o = b.empty(qs),
                 l = b.empty({total(c), c.heads});
    const AttnArgs args{b.real(in.q, qs), b.ints(cu), cu, kv, scale_of(c), c.window};
    b->attention_dense(o, l, args, k, v);
    const Backend::AttnGrads g{b.empty(qs), b.empty(ks), b.empty(ks)};
    b->attention_dense_backward(g, args, k, v, o, l, b.real(in.q, qs));
    got.push_back(b.get(g.dq));
    for (const Tensor& t : {g.dk, g.dv})
      for (const double x : b.get(t)) got.back().push_back(x);
  }
  EXPECT_EQ(got[0], got[1]);
  EXPECT_EQ(got[0], got[2]);
}

INSTANTIATE_TEST_SUITE_P(per_isa, PerIsaAttention, testing::ValuesIn(tables_and_f64()),
                         [](const auto& p) { return p.param; });

}  // namespace
}  // namespace qw::test
