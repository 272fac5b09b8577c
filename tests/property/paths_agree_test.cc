// The property that holds the house together (docs/design.md §3): whichever way a token is computed, its
// logits are the same to the bit: whole prompt, random chunks, token by token, any company in the batch, any
// pages, after preemption, from a restored prefix, with any number of threads. Only the dense (training) path
// may differ, by rounding, within a computed tolerance.
#include <gtest/gtest.h>

#include <bit>
#include <numeric>

#include "backend/cpu/cpu_backend.h"
#include "engine/scheduler.h"
#include "engine/step_batch.h"
#include "tests/engine/tiny_models.h"
#include "tests/tolerance.h"

namespace qw {
namespace {

using Rows = std::vector<std::vector<float>>;  // logits [V] of each position

constexpr int P = kPageTokens;
constexpr int kPages = 48, kSlots = 12;

// What one trial is about.
struct Case {
  std::string type;  // llama, qwen2, qwen3, qwen2_moe, qwen3_moe, toy, a hybrid
  std::string isa;
  DType kv = DType::f16;
  QuantFormat format = QuantFormat::f32;
  uint32_t seed = 0;

  std::string str() const {
    return fmt::format("{} on {}, KV {}, weights {}, seed {}", type, isa, traits(kv).name,
                       traits(format).name, seed);
  }
};

// A model on a backend of its own, and a pool.
struct Bench {
  std::unique_ptr<Backend> backend;
  std::unique_ptr<Model> model;
  std::unique_ptr<KvPool> pool;

  Bench(const Case& c, int threads) {
    auto made = make_cpu_backend({.threads = threads, .isa = c.isa});
    QW_CHECK(made.has_value());
    backend = *std::move(made);
    std::mt19937 rng(c.seed);
    if (c.type == "toy")
      model = std::make_unique<test::ToyHybrid>(*backend, c.seed);
    else
      model = test::tiny_model(test::tiny_config(c.type, rng), *backend, c.seed, c.format);
    auto p = KvPool::create(*backend, model->cache_spec(), {kPages, kSlots, c.kv});
    QW_CHECK(p.has_value());
    pool = *std::move(p);
  }

  Rows forward(const Batch& b) const {
    Arena arena(*backend);
    Ctx cx{*backend, arena};
    const Tensor logits = model->forward(cx, b);
    QW_CHECK(logits.shape() == Shape({static_cast<int64_t>(b.logit_rows.size()), model->info().vocab}));
    std::vector<float> flat(static_cast<size_t>(logits.elements()));
    if (!flat.empty()) backend->download(flat.data(), logits);
    Rows rows;
    const auto vocab = static_cast<ptrdiff_t>(model->info().vocab);
    for (auto it = flat.begin(); it != flat.end(); it += vocab) rows.emplace_back(it, it + vocab);
    return rows;
  }
};

// A sequence fed to the model by hand.
struct Fed {
  std::vector<int32_t> tokens;
  std::vector<int32_t> pages;
  int slot = 0;
  int n_computed = 0;
  Rows rows;  // of every position computed, from `first`
  int left() const { return static_cast<int>(tokens.size()) - n_computed; }
};

class Paths {
 public:
  Paths(const Case& c, int threads) : case_(c), bench_(c, threads), rng_(c.seed + 1000) {}

  const Bench& bench() const { return bench_; }
  int below(int n) { return std::uniform_int_distribution(0, n - 1)(rng_); }

  std::vector<int32_t> text(int n) {
    std::vector<int32_t> ids;
    for (int i = 0; i < n; ++i) ids.push_back(below(bench_.model->info().vocab));
    return ids;
  }

  // A sequence on pages in random order, taken from those not `taken` yet.
  Fed place(const std::vector<int32_t>& tokens) {
    Fed f;
    f.tokens = tokens;
    f.slot = n_slots_++;
    if (bench_.pool->has_recurrent()) bench_.pool->clear_slot(f.slot);
    std::shuffle(free_.begin(), free_.end(), rng_);
    for (size_t i = 0; i < tokens.size(); i += P) {
      f.pages.push_back(free_.back());
      free_.pop_back();
    }
    return f;
  }

  void start() {
    free_.resize(kPages);
    std::iota(free_.begin(), free_.end(), 0);
    n_slots_ = 0;
  }

  // One step: `counts[i]` tokens of each sequence, logits of all rows. `saves`: states to keep on the way.
  void step(const std::vector<Fed*>& seqs, const std::vector<int>& counts,
            const std::vector<AttnPlan::StateSave>& saves = {}) {
    Batch b;
    AttnPlan::Table table;
    b.plan.cu_q.push_back(0);
    for (const Fed* f : seqs)
      table.max_blocks = std::max(table.max_blocks, static_cast<int>(f->pages.size()));
    for (size_t i = 0; i < seqs.size(); ++i) {
      const Fed& f = *seqs[i];
      for (int p = f.n_computed; p < f.n_computed + counts[i]; ++p) {
        b.logit_rows.push_back(b.n_rows());
        b.ids.push_back(f.tokens[static_cast<size_t>(p)]);
        b.positions.push_back(p);
      }
      b.plan.cu_q.push_back(b.n_rows());
      b.plan.kv_len.push_back(f.n_computed + counts[i]);
      if (bench_.pool->has_recurrent()) b.plan.state_slots.push_back(f.slot);
      table.pages.insert(table.pages.end(), f.pages.begin(), f.pages.end());
      table.pages.resize((i + 1) * static_cast<size_t>(table.max_blocks), 0);
    }
    b.plan.tables.assign(bench_.pool->groups().size(), table);
    b.plan.pool = bench_.pool.get();
    b.plan.state_saves = saves;
    Rows rows = bench_.forward(b);
    auto row = rows.begin();
    for (size_t i = 0; i < seqs.size(); ++i) {
      for (int n = 0; n < counts[i]; ++n) seqs[i]->rows.push_back(std::move(*row++));
      seqs[i]->n_computed += counts[i];
    }
  }

  void finish_whole(Fed& f) { step({&f}, {f.left()}); }
  void finish_chunked(Fed& f, int most) {
    while (f.left() > 0) step({&f}, {1 + below(std::min(most, f.left()))});
  }

  Rows whole(const std::vector<int32_t>& tokens) {
    start();
    Fed f = place(tokens);
    finish_whole(f);
    return f.rows;
  }
  Rows chunked(const std::vector<int32_t>& tokens, int most) {
    start();
    Fed f = place(tokens);
    finish_chunked(f, most);
    return f.rows;
  }

  // Several sequences at once, in changing order and shares.
  std::vector<Rows> together(const std::vector<std::vector<int32_t>>& texts) {
    start();
    std::vector<Fed> fed;
    for (const auto& t : texts) fed.push_back(place(t));
    while (true) {
      std::vector<Fed*> seqs;
      std::vector<int> counts;
      for (Fed& f : fed)
        if (f.left() > 0 && below(4) > 0) seqs.push_back(&f);
      std::shuffle(seqs.begin(), seqs.end(), rng_);
      for (const Fed* f : seqs) counts.push_back(below(2) == 0 ? 1 : 1 + below(f->left()));
      if (!seqs.empty()) step(seqs, counts);
      if (std::all_of(fed.begin(), fed.end(), [](const Fed& f) { return f.left() == 0; })) break;
    }
    std::vector<Rows> out;
    for (Fed& f : fed) out.push_back(std::move(f.rows));
    return out;
  }

  // Part of it, then its pages go to another sequence, then all of it again.
  Rows preempted(const std::vector<int32_t>& tokens, const std::vector<int32_t>& other) {
    start();
    Fed f = place(tokens);
    step({&f}, {1 + below(f.left())});
    free_.insert(free_.end(), f.pages.begin(), f.pages.end());
    Fed intruder = place(other);
    finish_chunked(intruder, 40);
    Fed again = place(tokens);
    finish_chunked(again, 40);
    return again.rows;
  }

  // The first `n` tokens of one sequence lent to another with the same beginning: its full pages, a copy of
  // the page begun, and the state after them, saved in the middle of a step. Answers the rows from there on.
  Rows restored(const std::vector<int32_t>& tokens, int n) {
    start();
    Fed first = place(tokens);
    const int saved = n_slots_++;
    while (first.left() > 0) {
      const int count = 1 + below(std::min(50, first.left()));
      std::vector<AttnPlan::StateSave> saves;
      if (bench_.pool->has_recurrent() && first.n_computed < n && n <= first.n_computed + count)
        saves.push_back({n - first.n_computed - 1, saved});
      step({&first}, {count}, saves);
    }
    Fed f = place(tokens);
    std::copy_n(first.pages.begin(), n / P, f.pages.begin());
    if (n % P > 0) {
      const auto page = static_cast<size_t>(n / P);
      bench_.pool->copy_page(f.pages[page], first.pages[page]);
    }
    f.n_computed = n;
    if (bench_.pool->has_recurrent()) bench_.pool->copy_slot(f.slot, saved);
    finish_chunked(f, 50);
    return f.rows;
  }

  std::vector<Rows> scheduled(const std::vector<std::vector<int32_t>>& texts, int* n_preemptions);

 private:
  Case case_;
  Bench bench_;
  std::mt19937 rng_;
  std::vector<int32_t> free_;
  int n_slots_ = 0;
};

// Through KvManager, Scheduler and make_batch in a pool that is too small for all: the texts are forced, a
// sixth of each is the prompt. Rows of prompt positions without logits stay empty.
std::vector<Rows> Paths::scheduled(const std::vector<std::vector<int32_t>>& texts, int* n_preemptions) {
  size_t longest = 0;
  for (const auto& t : texts) longest = std::max(longest, t.size());
  const int n_pages = static_cast<int>((longest + P - 1) / P);
  const int n_slots = bench_.pool->has_recurrent() ? 7 : 0;
  KvManager kv({n_pages, n_slots});
  Scheduler scheduler({.max_batch_tokens = 4 + below(60), .max_seqs = 4, .snapshot_every = 23}, kv);
  std::vector<std::unique_ptr<Sequence>> seqs;
  std::vector<Rows> out(texts.size());
  for (size_t i = 0; i < texts.size(); ++i) {
    auto s = std::make_unique<Sequence>();
    s->id = i;
    s->n_prompt = 1 + static_cast<int>(texts[i].size()) / 6;
    s->tokens.assign(texts[i].begin(), texts[i].begin() + s->n_prompt);
    if (s->n_prompt > 1) s->borders = {s->n_prompt - 1};
    out[i].resize(texts[i].size());
    scheduler.add(*s);
    seqs.push_back(std::move(s));
  }
  while (!scheduler.idle()) {
    const StepPlan plan = scheduler.plan();
    *n_preemptions += static_cast<int>(plan.preempted.size());
    run_state_ops(*bench_.pool, plan.state_ops);
    Batch b = make_batch(
        plan, [&](SeqId id) -> const Sequence& { return *seqs[id]; }, kv,
        static_cast<int>(bench_.pool->groups().size()));
    b.plan.pool = bench_.pool.get();
    Rows rows = bench_.forward(b);
    scheduler.commit(plan);
    auto row = rows.begin();
    for (const StepPlan::Item& item : plan.items) {
      if (!item.sample) continue;
      Sequence& s = *seqs[item.seq];
      const auto n = s.tokens.size();
      out[item.seq][n - 1] = std::move(*row++);
      if (n == texts[item.seq].size())
        scheduler.remove(s);
      else
        s.tokens.push_back(texts[item.seq][n]);
    }
  }
  return out;
}

// Equal to the bit (−0 is not 0), from `offset` on; empty rows were not asked for.
void expect_same_bits(const Rows& expected, const Rows& found, size_t offset, std::string_view path) {
  ASSERT_EQ(expected.size(), found.size() + offset) << path;
  for (size_t i = 0; i < found.size(); ++i) {
    if (found[i].empty()) continue;
    for (size_t j = 0; j < found[i].size(); ++j) {
      const float e = expected[i + offset][j], f = found[i][j];
      ASSERT_EQ(std::bit_cast<uint32_t>(e), std::bit_cast<uint32_t>(f))
          << path << ": position " << i + offset << ", logit " << j << ": " << e << " and " << f;
    }
  }
}

// The dense path rounds K and V not at all where the pool rounds them to f16, and sums in another order. Its
// distance is that of roundings in the widest type involved, once per layer and product, on values of the
// size of the logits. The dense path of a gated delta net also works in chunks, whose triangular systems lose
// more: there the bound is that of its goldens, 2e-3 for logits of size 12.
void expect_near(const Rows& expected, const Rows& found, const Case& c, const ModelInfo& info) {
  double magnitude = 0.0;
  for (const auto& row : expected)
    for (const float x : row) magnitude = std::max(magnitude, std::abs(static_cast<double>(x)));
  const bool delta_net = info.model_type.starts_with("qwen3_next") || info.model_type.starts_with("qwen3_5");
  const double sums = test::sum_tolerance(c.kv, int64_t{info.n_layers} * info.hidden, magnitude);
  const double tolerance = delta_net ? std::max(sums, 2e-3 / 12.0 * magnitude) : sums;
  ASSERT_EQ(expected.size(), found.size());
  for (size_t i = 0; i < found.size(); ++i)
    for (size_t j = 0; j < found[i].size(); ++j)
      ASSERT_NEAR(expected[i][j], found[i][j], tolerance) << "dense path: position " << i << ", logit " << j;
}

// Answers how often the scheduled path preempted.
void run_case(const Case& c, int* n_preemptions) {
  SCOPED_TRACE(c.str());
  Paths one(c, 1), two(c, 2);
  std::vector<std::vector<int32_t>> texts;
  for (const int most : {20, 70, 140, 140}) texts.push_back(one.text(1 + one.below(most)));
  texts[3] = texts[2];  // a common beginning, then something else
  texts[3].resize(1 + texts[2].size() / 2);
  for (const int32_t id : one.text(30)) texts[3].push_back(id);

  std::vector<Rows> whole;
  for (const auto& t : texts) whole.push_back(one.whole(t));
  for (Paths* p : {&one, &two}) {
    const std::vector<Rows> together = p->together(texts);
    const std::vector<Rows> scheduled = p->scheduled(texts, n_preemptions);
    for (size_t i = 0; i < texts.size(); ++i) {
      expect_same_bits(whole[i], p->whole(texts[i]), 0, "whole");
      expect_same_bits(whole[i], p->chunked(texts[i], 50), 0, "chunked");
      expect_same_bits(whole[i], p->chunked(texts[i], 1), 0, "token by token");
      expect_same_bits(whole[i], together[i], 0, "in company");
      expect_same_bits(whole[i], scheduled[i], 0, "scheduled");
      expect_same_bits(whole[i], p->preempted(texts[i], texts[1]), 0, "preempted");
      const auto size = static_cast<int>(texts[i].size());
      std::vector<int> borders;  // at the end of a page, in a page, just before the end
      if (size > P) borders.push_back(P * (1 + p->below((size - 1) / P)));
      if (size > 1) borders.insert(borders.end(), {1 + p->below(size - 1), size - 1});
      for (const int n : borders)
        expect_same_bits(whole[i], p->restored(texts[i], n), static_cast<size_t>(n), "restored");
      if (testing::Test::HasFatalFailure()) return;
    }
  }
  // Rounding K and V to f16 may turn a choice between two experts of nearly equal weight: no tolerance holds.
  if (c.kv == DType::f16 && (c.type.find("_moe") != c.type.npos || c.type == "qwen3_next")) return;
  for (size_t i = 0; i < texts.size(); ++i)
    expect_near(whole[i], one.bench().forward(dense_batch({texts[i]})), c, one.bench().model->info());
}

class PathsAgree : public testing::TestWithParam<std::string> {};

TEST_P(PathsAgree, ToTheBit) {
  uint32_t seed = 1;
  int n_preemptions = 0;
  for (const DType kv : {DType::f32, DType::f16})
    for (const QuantFormat format : {QuantFormat::f32, QuantFormat::bf16, QuantFormat::q8_0})
      for (const std::string type :
           {"llama", "qwen2", "qwen3", "toy", "qwen3_5_text", "qwen3_next", "qwen3_5_moe_text"}) {
        if (type == "toy" && format != QuantFormat::f32) continue;  // its weights are f32
        run_case({type, GetParam(), kv, format, seed++}, &n_preemptions);
        if (HasFailure()) return;
      }
  EXPECT_GT(n_preemptions, 10);
}

// Experts are chosen by row: company, cuts and threads must not change a choice either.
TEST_P(PathsAgree, ToTheBitWithExperts) {
  uint32_t seed = 101;
  int n_preemptions = 0;
  for (const DType kv : {DType::f32, DType::f16})
    for (const QuantFormat format : {QuantFormat::f32, QuantFormat::bf16, QuantFormat::q8_0})
      for (const std::string type : {"qwen2_moe", "qwen3_moe"}) {
        run_case({type, GetParam(), kv, format, seed++}, &n_preemptions);
        if (HasFailure()) return;
      }
  EXPECT_GT(n_preemptions, 10);
}

std::vector<std::string> isas() {
  std::vector<std::string> out;
  for (const std::string_view isa : supported_isas()) out.emplace_back(isa);
  return out;
}
INSTANTIATE_TEST_SUITE_P(Isa, PathsAgree, testing::ValuesIn(isas()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace qw
