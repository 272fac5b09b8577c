// LoRA in ops::linear: gradients of A, B and the input, over a base weight of any format; rows outside a
// range are untouched.
#include "ops/linear.h"
#include "tests/ops/op_bench.h"

namespace qw {
namespace {

using test::check_gradients;
using test::OpBench;
using test::random_values;

struct AdapterTest : testing::Test {
  OpBench b = OpBench::f64();
  Weight w = b.weight("w", {4, 6}, random_values(24, 1));
  std::shared_ptr<AdapterSet> set = std::make_shared<AdapterSet>();
  AdapterTest() {
    w.trainable = false;
    set->add("w", {b.weight("w.lora_A", {2, 6}, random_values(12, 2)),
                   b.weight("w.lora_B", {4, 2}, random_values(8, 3)), 0.5});
  }
  Lora& lora() { return set->all().at("w"); }
};

TEST_F(AdapterTest, GradientsOfAAndBAndInput) {
  const AdapterMap map{{1, 4, set}};
  check_gradients(b, {{5, 6}}, {&lora().a, &lora().b}, [&](Ctx& cx, const auto& in) {
    cx.adapters = &map;
    return ops::linear(cx, in[0], w);
  });
}

TEST_F(AdapterTest, RowsOutsideTheRangeAreTheBaseModelBitForBit) {
  const AdapterMap map{{1, 3, set}};
  Ctx plain{*b.backend, b.arena};
  Ctx adapted{*b.backend, b.arena};
  adapted.adapters = &map;
  const Tensor x = b.make({4, 6}, random_values(24, 9));
  const std::vector<double> base = b.read(ops::linear(plain, x, w));
  const std::vector<double> with = b.read(ops::linear(adapted, x, w));
  for (size_t i = 0; i < base.size(); ++i) {
    const size_t row = i / 4;
    if (row == 1 || row == 2) {
      EXPECT_NE(base[i], with[i]);
    } else {
      EXPECT_EQ(base[i], with[i]);
    }
  }
}

}  // namespace
}  // namespace qw
