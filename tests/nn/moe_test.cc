// Mixture of experts: routing against a sort, the expert product against the product of each row, gradients
// of everything in f64, adapters of experts by rows of the batch.
#include <algorithm>
#include <numeric>

#include "nn/mlp.h"
#include "nn/scratch.h"
#include "ops/expert_linear.h"
#include "ops/gate_rows.h"
#include "ops/gather_rows.h"
#include "ops/linear.h"
#include "tests/ops/op_bench.h"

namespace qw {
namespace {

using test::check_gradients;
using test::OpBench;
using test::random_values;

std::vector<double> softmax(const std::vector<double>& x) {
  const double top = *std::max_element(x.begin(), x.end());
  std::vector<double> p;
  for (const double v : x) p.push_back(std::exp(v - top));
  const double total = std::accumulate(p.begin(), p.end(), 0.0);
  for (double& v : p) v /= total;
  return p;
}

std::vector<int32_t> read_ints(OpBench& b, const Tensor& t) {
  std::vector<int32_t> out(static_cast<size_t>(t.elements()));
  b.backend->download(out.data(), t);
  return out;
}

// Logits on a coarse grid make ties; a tie goes to the lower index.
TEST(Route, AgreesWithAStableSortFor1To512Experts) {
  OpBench b = OpBench::f64();
  for (int n = 1; n <= 512; ++n)
    for (const int k : {1, 8, 10, n}) {
      if (k > n) continue;
      std::vector<double> x = random_values(3 * n, static_cast<uint64_t>(1000 * n + k));
      for (double& v : x) v = std::round(4 * v) / 4;
      Ctx cx{*b.backend, b.arena};
      const ops::Routing r = ops::route(cx, b.make({3, n}, x), k, k % 2 == 0);
      const std::vector<double> w = b.read(r.weights);
      const std::vector<int32_t> places = read_ints(b, r.places);
      for (int t = 0; t < 3; ++t) {
        const std::vector<double> p = softmax({x.begin() + t * n, x.begin() + (t + 1) * n});
        std::vector<int32_t> order(static_cast<size_t>(n));
        std::iota(order.begin(), order.end(), 0);
        std::stable_sort(order.begin(), order.end(), [&](int32_t i, int32_t j) {
          return x[static_cast<size_t>(t * n + i)] > x[static_cast<size_t>(t * n + j)];
        });
        double total = 0;
        for (int j = 0; j < k; ++j) total += p[static_cast<size_t>(order[static_cast<size_t>(j)])];
        for (int j = 0; j < k; ++j) {
          const auto i = static_cast<size_t>(t * k + j);
          const int32_t e = order[static_cast<size_t>(j)], place = places[i];
          ASSERT_GE(place, r.groups->offsets[static_cast<size_t>(e)]) << n << " experts, slot " << j;
          ASSERT_LT(place, r.groups->offsets[static_cast<size_t>(e) + 1]) << n << " experts, slot " << j;
          ASSERT_EQ(r.groups->rows[static_cast<size_t>(place)], t);
          const double expected = p[static_cast<size_t>(e)] / (k % 2 == 0 ? total : 1.0);
          ASSERT_NEAR(w[i], expected, 1e-12) << n << " experts, slot " << j;
        }
      }
      b.arena.reset();
    }
}

TEST(Route, RowsOfAnExpertKeepTheOrderOfTheBatch) {
  OpBench b = OpBench::f64();
  Ctx cx{*b.backend, b.arena};
  const ops::Routing r = ops::route(cx, b.make({50, 6}, random_values(300, 1)), 3, true);
  const ops::RowGroups& g = *r.groups;
  ASSERT_EQ(g.rows.size(), 150U);
  ASSERT_EQ(g.offsets.back(), 150);
  for (size_t e = 0; e < 6; ++e)
    EXPECT_TRUE(std::is_sorted(g.rows.begin() + g.offsets[e], g.rows.begin() + g.offsets[e + 1]));
}

TEST(Route, NotANumberStillGivesDistinctExperts) {
  OpBench b = OpBench::f64();
  Ctx cx{*b.backend, b.arena};
  std::vector<double> x = random_values(8, 1);
  x[3] = std::nan("");
  const ops::Routing r = ops::route(cx, b.make({1, 8}, x), 4, true);
  for (size_t e = 0; e < 8; ++e) EXPECT_LE(r.groups->offsets[e + 1] - r.groups->offsets[e], 1);
}

// Random logits lie far enough apart that a step of 1e-5 changes no choice.
TEST(MoeGradient, Route) {
  OpBench b = OpBench::f64();
  for (const bool normalise : {false, true})
    check_gradients(b, {{5, 7}}, {},
                    [&](Ctx& cx, const auto& in) { return ops::route(cx, in[0], 3, normalise).weights; });
}

TEST(MoeGradient, CombineExperts) {
  OpBench b = OpBench::f64();
  check_gradients(b, {{4, 5}, {8, 3}}, {}, [&](Ctx& cx, const auto& in) {
    return ops::combine_experts(cx, in[1], ops::route(cx, in[0], 2, true));
  });
}

TEST(MoeGradient, GateRows) {
  OpBench b = OpBench::f64();
  check_gradients(b, {{4, 5}, {4, 1}}, {},
                  [&](Ctx& cx, const auto& in) { return ops::gate_rows(cx, in[0], in[1]); });
}

// A block with its weights: 5 experts, of which one may stay without rows.
struct Block {
  static constexpr int kHidden = 6, kFfn = 4, kExperts = 5;
  OpBench b = OpBench::f64();
  nn::Moe moe;

  explicit Block(bool shared) {
    moe.config = {
        .experts = kExperts, .top_k = 2, .ffn = kFfn, .shared_ffn = shared ? 3 : 0, .normalise = true};
    WeightList list;
    moe.visit(list, "mlp", kHidden);
    uint64_t seed = 50;
    for (Weight* w : list.weights()) {
      const std::string name = w->name;
      *w = b.weight(name, w->shape, random_values(w->shape.elements(), ++seed, 0.6));
    }
  }
  std::vector<Weight*> weights() {
    WeightList list;
    moe.visit(list, "mlp", kHidden);
    return list.weights();
  }
  Tensor run(Ctx& cx, const Tensor& x) { return moe(cx, x); }
};

TEST(MoeGradient, WholeBlock) {
  for (const bool shared : {false, true})
    for (const int64_t rows : {1, 7}) {
      Block m(shared);
      check_gradients(m.b, {{rows, Block::kHidden}}, m.weights(),
                      [&](Ctx& cx, const auto& in) { return m.run(cx, in[0]); });
    }
}

TEST(MoeGradient, AdaptersOfExpertsByRangesOfRows) {
  Block m(false);
  std::vector<Weight*> learned;
  const auto adapter = [&](uint64_t seed) {
    auto set = std::make_shared<AdapterSet>();
    for (Weight* w : m.weights()) {
      w->trainable = false;
      const int64_t n = w->rows(), k = w->cols();
      const std::string name = w->name + std::to_string(seed);
      set->add(w->name, {m.b.weight(name + ".a", {2, k}, random_values(2 * k, ++seed)),
                         m.b.weight(name + ".b", {n, 2}, random_values(2 * n, ++seed)), 0.5});
    }
    for (Weight* w : set->weights()) learned.push_back(w);
    return set;
  };
  const AdapterMap map{{1, 4, adapter(1000)}, {5, 8, adapter(2000)}};
  check_gradients(m.b, {{9, Block::kHidden}}, learned, [&](Ctx& cx, const auto& in) {
    cx.adapters = &map;
    return m.run(cx, in[0]);
  });
}

TEST(Moe, AnAdapterTouchesItsRowsAlone) {
  Block m(true);
  auto set = std::make_shared<AdapterSet>();
  for (Weight* w : m.weights())
    if (w->name.find("experts.") != std::string::npos)
      set->add(w->name, {m.b.weight(w->name + ".a", {1, w->cols()}, random_values(w->cols(), 3)),
                         m.b.weight(w->name + ".b", {w->rows(), 1}, random_values(w->rows(), 4)), 0.5});
  const AdapterMap map{{2, 5, set}};
  Ctx plain{*m.b.backend, m.b.arena}, adapted{*m.b.backend, m.b.arena};
  adapted.adapters = &map;
  const Tensor x = m.b.make({7, Block::kHidden}, random_values(7 * Block::kHidden, 5));
  const std::vector<double> base = m.b.read(m.run(plain, x)), with = m.b.read(m.run(adapted, x));
  for (size_t i = 0; i < base.size(); ++i) {
    const size_t row = i / Block::kHidden;
    EXPECT_EQ(base[i] != with[i], row >= 2 && row < 5) << "row " << row;
  }
}

TEST(Moe, IdleExpertsThatLearnHaveAGradientOfZero) {
  Block m(false);
  Gradients gradients(*m.b.backend);
  Tape tape(gradients);
  Ctx cx{*m.b.backend, m.b.arena, &tape};
  const Tensor y = m.run(cx, m.b.make({1, Block::kHidden}, random_values(Block::kHidden, 5)));
  tape.backward(cx, y, m.b.make(y.shape(), random_values(y.elements(), 6)));
  int idle = 0;
  for (const Weight& w : m.moe.down) {
    ASSERT_TRUE(gradients.all().contains(w.name)) << w.name;
    const std::vector<double> g = m.b.read(gradients.all().at(w.name));
    if (std::all_of(g.begin(), g.end(), [](double v) { return v == 0; })) ++idle;
  }
  EXPECT_EQ(idle, Block::kExperts - 2);
}

// In f32 on every table: a row alone has the bits that it has in company, and they are those of ops::linear.
TEST(Moe, BitsOfARowDoNotDependOnItsCompany) {
  for (const std::string_view isa : supported_isas())
    for (const int threads : {1, 3}) {
      OpBench b(make_cpu_backend({.threads = threads, .isa = std::string(isa)}).value());
      constexpr int kRows = 70, kHidden = 96, kFfn = 50, kExperts = 9;
      std::vector<Weight> w;
      for (uint64_t e = 0; e < kExperts; ++e)
        w.push_back(b.weight(std::to_string(e), {kFfn, kHidden}, random_values(kFfn * kHidden, e)));
      Ctx cx{*b.backend, b.arena};
      const Tensor x = b.make({kRows, kHidden}, random_values(kRows * kHidden, 77));
      const Tensor logits = b.make({kRows, kExperts}, random_values(kRows * kExperts, 78));
      const auto run = [&](const Tensor& rows, const Tensor& l) {
        const ops::Routing r = ops::route(cx, l, 3, true);
        return ops::combine_experts(cx, ops::expert_linear(cx, ops::gather_rows(cx, rows, r.rows), r, w), r);
      };
      const std::vector<double> whole = b.read(run(x, logits));
      for (const int64_t t : {0, 1, 33, kRows - 1}) {
        const std::vector<double> alone = b.read(run(x.slice(0, t, 1), logits.slice(0, t, 1)));
        for (size_t i = 0; i < kFfn; ++i)
          ASSERT_EQ(alone[i], whole[static_cast<size_t>(t) * kFfn + i]) << isa;
      }
      const ops::Routing r = ops::route(cx, logits, 3, true);
      const Tensor rows = ops::gather_rows(cx, x, r.rows), y = ops::expert_linear(cx, rows, r, w);
      for (size_t e = 0; e < kExperts; ++e) {
        const int64_t first = r.groups->offsets[e], n = r.groups->offsets[e + 1] - first;
        if (n == 0) continue;
        EXPECT_EQ(b.read(y.slice(0, first, n)), b.read(ops::linear(cx, rows.slice(0, first, n), w[e])))
            << isa;
      }
    }
}

// A layer that runs again on the way back routes again: the same experts, the same bits, adapters included.
TEST(Moe, RecomputationChangesNoBit) {
  std::vector<std::vector<double>> got[2];
  for (const bool recompute : {false, true}) {
    Block m(true);
    auto set = std::make_shared<AdapterSet>();
    for (Weight* w : m.weights())
      set->add(w->name, {m.b.weight(w->name + ".a", {1, w->cols()}, random_values(w->cols(), 3)),
                         m.b.weight(w->name + ".b", {w->rows(), 1}, random_values(w->rows(), 4)), 0.5});
    const AdapterMap map{{0, 6, set}};
    Gradients gradients(*m.b.backend);
    Tape tape(gradients);
    Ctx cx{*m.b.backend, m.b.arena, &tape};
    cx.adapters = &map;
    cx.recompute = recompute;
    cx.adapter_dropout = {0.2, 7};
    Tensor x = m.b.make({9, Block::kHidden}, random_values(9 * Block::kHidden, 9));
    tape.watch(x);
    const Tensor y = nn::with_scratch(cx, x, [&m](Ctx& c, const Tensor& in) { return m.run(c, in); });
    tape.backward(cx, y, m.b.make(y.shape(), random_values(y.elements(), 10)));
    auto& out = got[recompute ? 1 : 0];
    out.push_back(m.b.read(y));
    out.push_back(m.b.read(tape.grad(x)));
    for (const Weight* w : m.weights()) out.push_back(m.b.read(gradients.of(*w)));
    for (const Weight* w : set->weights()) out.push_back(m.b.read(gradients.of(*w)));
  }
  EXPECT_EQ(got[0], got[1]);
}

TEST(MoeConfig, BothSpellingsAndLimits) {
  const auto read = [](const Json& json, std::vector<Error>* unknown = nullptr) {
    nn::ConfigReader c(json);
    const nn::MoeConfig moe = nn::read_moe(c, nn::kQwen3Moe);
    if (unknown != nullptr) *unknown = c.unknown_keys();
    return std::pair(moe, c.status() ? std::string() : c.status().error().debug());
  };
  for (const char* key : {"num_experts", "num_local_experts"}) {
    const auto [moe, error] = read({{key, 16}, {"num_experts_per_tok", 4}, {"num_hidden_layers", 3}});
    EXPECT_EQ(error, "");
    EXPECT_EQ(moe.experts, 16);
    EXPECT_EQ(moe.top_k, 4);
  }
  const auto [reference, none] = read(Json::object());
  EXPECT_EQ(none, "");
  EXPECT_EQ(reference.experts, 128);
  EXPECT_EQ(reference.top_k, 8);
  EXPECT_FALSE(reference.normalise);
  std::vector<Error> unknown;
  read({{"num_experts", 4}, {"num_experts_per_tok", 2}, {"router_aux_loss_coef", 0.1}, {"moe_magic", 1}},
       &unknown);
  ASSERT_EQ(unknown.size(), 1U);
  EXPECT_EQ(unknown[0].arg("key"), "moe_magic");
  EXPECT_NE(read({{"num_experts", 4}, {"num_local_experts", 5}}).second, "");
  EXPECT_NE(read({{"num_experts", 4}, {"num_experts_per_tok", 5}}).second, "");
  EXPECT_NE(read({{"num_experts", 2000000000}, {"num_experts_per_tok", 8}}).second, "");
  EXPECT_NE(read({{"num_experts", 4096}, {"num_hidden_layers", 4096}}).second, "");
  EXPECT_NE(read({{"output_router_logits", true}}).second, "");
  EXPECT_EQ(read({{"num_experts", 512}, {"num_experts_per_tok", 10}, {"num_hidden_layers", 60}}).second, "");
}

TEST(MoeConfig, SparseLayers) {
  const Json json{{"decoder_sparse_step", 2}, {"mlp_only_layers", {3}}};
  nn::ConfigReader c(json);
  EXPECT_EQ(nn::read_sparse_layers(c, 6), (std::vector<bool>{false, true, false, false, false, true}));
  const Json wrong{{"mlp_only_layers", {"a"}}};
  nn::ConfigReader d(wrong);
  nn::read_sparse_layers(d, 2);
  EXPECT_FALSE(d.status());
}

}  // namespace
}  // namespace qw
