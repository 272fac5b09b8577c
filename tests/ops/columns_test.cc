// A part of the columns: its values, its gradient, and rotations that differ from row to row.
#include "ops/columns.h"

#include "ops/add.h"
#include "ops/rope.h"
#include "tests/ops/op_bench.h"

namespace qw {
namespace {

using test::check_gradients;
using test::OpBench;
using test::random_values;

TEST(Columns, AreThePartAskedFor) {
  OpBench b = OpBench::f64();
  Ctx cx{*b.backend, b.arena};
  const Tensor x = b.make({2, 4}, {0, 1, 2, 3, 4, 5, 6, 7});
  EXPECT_EQ(b.read(ops::columns(cx, x, 1, 2)), (std::vector<double>{1, 2, 5, 6}));
  EXPECT_DEATH(ops::columns(cx, x, 3, 2), "columns: 2 from 3 of 4");
}

TEST(Columns, GradientsOfOverlappingPartsAdd) {
  OpBench b = OpBench::f64();
  check_gradients(b, {{3, 6}}, {}, [](Ctx& cx, const auto& in) {
    return ops::add(cx, ops::columns(cx, in[0], 0, 4), ops::columns(cx, in[0], 2, 4));
  });
}

TEST(RopeParts, EqualTheTablesOfTheirRows) {
  OpBench b = OpBench::f64();
  Ctx cx{*b.backend, b.arena};
  const ops::RopeSpec slow{{1.0F, 0.1F}, 1.0}, fast{{2.0F, 0.3F}, 1.5};
  const Tensor positions = cx.arena.upload(std::vector<int32_t>{5, 6, 7, 8});
  const std::vector<ops::RopePart> parts{{0, 1, &slow, 1.0}, {1, 3, &fast, 1.0}, {3, 4, &slow, 2.0}};
  const std::vector<double> got = b.read(ops::rope_table(cx, positions, parts));
  const std::vector<double> a = b.read(ops::rope_table(cx, positions, slow));
  const std::vector<double> c = b.read(ops::rope_table(cx, positions, fast));
  for (size_t i = 0; i < got.size(); ++i) {
    const size_t row = i / 4;
    EXPECT_DOUBLE_EQ(got[i], row == 0 ? a[i] : row == 3 ? 2 * a[i] : c[i]) << i;
  }
}

}  // namespace
}  // namespace qw
