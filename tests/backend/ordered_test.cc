// Weights whose columns lie in another order (Weight::input_order): every use of a weight gives the bits that
// the same weight gives with its inputs put in that order by hand.
#include <algorithm>
#include <numeric>

#include "tests/backend/support.h"

namespace qw::test {
namespace {

constexpr int64_t kRows = 37, kCols = 128;

class PerIsaOrdered : public testing::TestWithParam<std::string> {
 protected:
  // Column j of the data is column order[j] of the weight: a permutation without a fixed point.
  static std::vector<int32_t> order() {
    std::vector<int32_t> order(kCols);
    for (int64_t j = 0; j < kCols; ++j)
      order[static_cast<size_t>(j)] = static_cast<int32_t>((j * 37 + 11) % kCols);
    return order;
  }
  static Values gathered(const Values& x) {
    const std::vector<int32_t> columns = order();
    Values out(x.size());
    for (size_t i = 0; i < x.size(); ++i)
      out[i] = x[i / kCols * kCols + static_cast<size_t>(columns[i % kCols])];
    return out;
  }
  static Values scattered(const Values& y) {
    const std::vector<int32_t> columns = order();
    Values out(y.size());
    for (size_t i = 0; i < y.size(); ++i)
      out[i / kCols * kCols + static_cast<size_t>(columns[i % kCols])] = y[i];
    return out;
  }
};

TEST_P(PerIsaOrdered, ProductsAndTheWayBack) {
  Bench b(GetParam(), 2);
  const Weight plain = make_weight(b, QuantFormat::int4_32, kRows, kCols, 5).weight;
  Weight ordered = plain;
  ordered.input_order = b.ints(order());
  for (const int64_t m : {1, 3, 9}) {
    const Values x = normals(1, m * kCols), dout = normals(2, m * kRows);
    const Tensor want = b.empty({m, kRows}), got = b.empty({m, kRows});
    b->linear(want, b.real(gathered(x), {m, kCols}), plain, {});
    b->linear(got, b.real(x, {m, kCols}), ordered, {});
    EXPECT_EQ(b.get(got), b.get(want));
    const Tensor dx = b.empty({m, kCols}), dx_ordered = b.empty({m, kCols});
    b->linear_dx(dx, b.real(dout, {m, kRows}), plain);
    b->linear_dx(dx_ordered, b.real(dout, {m, kRows}), ordered);
    EXPECT_EQ(b.get(dx_ordered), scattered(b.get(dx)));
  }
}

TEST_P(PerIsaOrdered, RowsAndExperts) {
  Bench b(GetParam(), 2);
  std::vector<Weight> plain, mixed;
  for (uint64_t e = 0; e < 3; ++e) {
    plain.push_back(make_weight(b, QuantFormat::int4_64, kRows, kCols, 10 + e).weight);
    mixed.push_back(plain.back());
    if (e != 1) mixed.back().input_order = b.ints(order());  // the second expert has its columns as they are
  }
  const Tensor rows = b.empty({2, kCols}), rows_ordered = b.empty({2, kCols});
  b->embedding(rows, b.ints({7, 30}), plain[0]);
  b->embedding(rows_ordered, b.ints({7, 30}), mixed[0]);
  EXPECT_EQ(b.get(rows_ordered), scattered(b.get(rows)));

  const std::vector<int32_t> offsets{0, 2, 3, 7};
  const Values x = normals(3, 7 * kCols);
  Values by_hand = gathered(x);
  std::copy(x.begin() + 2 * kCols, x.begin() + 3 * kCols, by_hand.begin() + 2 * kCols);
  const Tensor want = b.empty({7, kRows}), got = b.empty({7, kRows});
  b->expert_linear(want, b.real(by_hand, {7, kCols}), plain, offsets);
  b->expert_linear(got, b.real(x, {7, kCols}), mixed, offsets);
  EXPECT_EQ(b.get(got), b.get(want));
}

INSTANTIATE_TEST_SUITE_P(per_isa, PerIsaOrdered, testing::ValuesIn(tables()),
                         [](const auto& p) { return p.param; });

}  // namespace
}  // namespace qw::test
