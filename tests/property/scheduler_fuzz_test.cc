// Random arrivals, cancels, tiny pools and many tenants against a model of pure host logic: the value of a
// token is the hash of everything up to it, written through block tables into pages and slots as a real model
// writes keys, values and states; it begins with the adapter that the row ranges give. A page or slot that is
// shared, evicted or restored wrongly changes the text. After every step: docs/design.md §6, "engine change".
#include <gtest/gtest.h>

#include <algorithm>
#include <array>
#include <memory>
#include <random>

#include "engine/scheduler.h"
#include "engine/step_batch.h"

namespace qw {
namespace {

constexpr int P = kPageTokens;

uint64_t mix(uint64_t h, int32_t token) {
  h = (h ^ static_cast<uint64_t>(token + 1)) * 0x9E3779B97F4A7C15U;
  return h ^ (h >> 29);
}

struct Config {
  KvManagerOptions kv;
  SchedulerOptions scheduler;
  int n_tenants = 1;
  int n_adapters = 0;
  int max_tokens = 0;  // of one sequence
  int vocab = 3;       // small, so that prefixes meet
  double arrival = 0.5, cancel = 0.02;
  int draft = 0;  // most drafted tokens
};

Config random_config(std::mt19937& rng) {
  auto in = [&](int lo, int hi) { return std::uniform_int_distribution(lo, hi)(rng); };
  Config c;
  c.kv.n_pages = in(1, 24);
  c.kv.prefix_cache = in(0, 3) > 0;
  c.scheduler.max_seqs = in(1, 12);
  c.scheduler.max_batch_tokens = c.scheduler.max_seqs + in(0, 3) * in(0, 60);
  if (in(0, 1) == 1) c.kv.n_slots = c.scheduler.max_seqs + in(0, 6);
  c.scheduler.snapshot_every = in(0, 3) * 19;
  c.n_tenants = in(1, 5);
  c.n_adapters = in(0, 3);
  c.max_tokens = std::min(c.kv.n_pages * P, in(2, 400));
  c.vocab = in(1, 3);
  c.arrival = in(1, 9) / 10.0;
  c.cancel = in(0, 3) * 0.02;
  c.draft = in(0, 1) * in(1, 6);
  if (c.kv.n_slots > 0) c.kv.n_draft_slots = c.draft * in(0, c.scheduler.max_seqs);
  return c;
}

// One generation and what it must say.
struct Client {
  Sequence seq;
  int max_tokens = 0;
  int n_terminal = 0;
};

class World {
 public:
  World(const Config& config, uint32_t seed)
      : config_(config),
        rng_(seed),
        kv_(config.kv),
        scheduler_(config.scheduler, kv_),
        pages_(static_cast<size_t>(config.kv.n_pages * P)),
        slots_(static_cast<size_t>(config.kv.n_slots + config.kv.n_draft_slots)) {
    for (int i = 0; i < config.n_adapters; ++i) adapters_.push_back(std::make_shared<AdapterSet>());
  }

  void run(int n_steps) {
    for (int i = 0; i < n_steps && !testing::Test::HasFatalFailure(); ++i) {
      if (chance(config_.arrival)) arrive();
      if (chance(config_.cancel)) cancel_one();
      step();
    }
    // With no more arrivals everything ends: each step computes at least one token of the oldest.
    for (int i = 0; !scheduler_.idle() && !testing::Test::HasFatalFailure(); ++i) {
      ASSERT_LT(i, 200000) << "requests that never end";
      step();
    }
    for (const auto& c : clients_) EXPECT_EQ(c->n_terminal, 1);
    EXPECT_EQ(kv_.owned_pages(), 0);
    EXPECT_EQ(kv_.available_pages(), config_.kv.n_pages);
  }

  int n_drafted = 0, n_accepted = 0, n_saves = 0, n_preemptions = 0, n_cached = 0, n_odd = 0, n_finished = 0,
      n_mixed = 0, n_mixed_adapters = 0;
  std::array<int, 9> n_limits{};  // by ReuseLimit

 private:
  bool chance(double p) { return std::bernoulli_distribution(p)(rng_); }
  int below(int n) { return std::uniform_int_distribution(0, n - 1)(rng_); }

  void arrive() {
    auto c = std::make_unique<Client>();
    c->seq.id = clients_.size() + 1;
    c->seq.key.tenant = static_cast<uint64_t>(below(config_.n_tenants));
    c->seq.key.adapter = static_cast<uint64_t>(below(config_.n_adapters + 1));
    c->max_tokens = 2 + below(config_.max_tokens - 1);
    const int n_prompt = 1 + below(c->max_tokens - 1);
    const int common = chance(0.7) ? below(n_prompt + 1) : 0;  // begins as others do
    for (int i = 0; i < n_prompt; ++i) c->seq.tokens.push_back(i < common ? 0 : below(config_.vocab));
    c->seq.n_prompt = n_prompt;
    for (int n = 1; n < n_prompt; ++n)
      if (n == n_prompt - 1 || chance(0.03)) c->seq.borders.push_back(n);
    scheduler_.add(c->seq);
    clients_.push_back(std::move(c));
  }

  void finish(Client& c) {
    scheduler_.remove(c.seq, !chance(0.05));
    ++c.n_terminal;
    ++n_finished;
    n_cached += c.seq.n_cached;
    n_odd += c.seq.n_cached % P != 0 ? 1 : 0;
    if (config_.kv.prefix_cache && c.seq.n_admissions > 0) {
      ASSERT_EQ(c.seq.reuse.tokens, c.seq.n_cached);
      ++n_limits[static_cast<size_t>(c.seq.reuse.limit)];
    }
    uint64_t h = c.seq.key.adapter;  // what it must have said, alone and uncached
    for (int i = 0; i < c.seq.n_tokens(); ++i) {
      const int32_t token = c.seq.tokens[static_cast<size_t>(i)];
      ASSERT_TRUE(i < c.seq.n_prompt || token == static_cast<int32_t>(h % 3) % config_.vocab);
      h = mix(h, c.seq.tokens[static_cast<size_t>(i)]);
    }
  }

  void cancel_one() {
    std::vector<Client*> alive;
    for (const auto& c : clients_)
      if (c->seq.state != SeqState::finished) alive.push_back(c.get());
    if (!alive.empty()) finish(*alive[static_cast<size_t>(below(static_cast<int>(alive.size())))]);
  }

  void run_ops(const std::vector<StateOp>& ops) {
    for (const StateOp& op : ops) {
      if (op.kind == StateOp::Kind::copy_page) {
        std::copy_n(pages_.begin() + op.from * P, P, pages_.begin() + op.to * P);
        continue;
      }
      auto& to = slots_[static_cast<size_t>(op.to)];
      to = op.kind == StateOp::Kind::clear ? 0 : slots_[static_cast<size_t>(op.from)];
    }
  }

  // The number of the adapter that rows [begin, end) use, all of them; 0: none.
  uint64_t adapter_of(const AdapterMap& map, int begin, int end) const {
    uint64_t id = 0;
    for (const AdapterRange& r : map) {
      if (r.end <= begin || r.begin >= end) continue;
      EXPECT_TRUE(r.begin <= begin && r.end >= end && id == 0) << "rows of one sequence under two adapters";
      while (adapters_[id] != r.set) ++id;
      ++id;
    }
    return id;
  }

  // Computes the batch as a model would: reads the past through tables and slots, writes the present. Answers
  // the value of each row.
  std::vector<uint64_t> forward(const Batch& b, const AdapterMap& adapters) {
    std::vector<uint64_t> values;
    std::map<int32_t, int> writer;  // of a page, in this step
    for (int s = 0; s < b.plan.n_seqs(); ++s) {
      const auto& table = b.plan.tables[0];
      auto cell = [&](int pos) {
        return table.pages[static_cast<size_t>(s * table.max_blocks + pos / P)] * P + pos % P;
      };
      const int begin = b.plan.cu_q[static_cast<size_t>(s)], end = b.plan.cu_q[static_cast<size_t>(s) + 1];
      const int first = b.positions[static_cast<size_t>(begin)];
      const uint64_t start = adapter_of(adapters, begin, end);
      EXPECT_EQ(start, current_[static_cast<size_t>(s)]->key.adapter);
      uint64_t h = first == 0 ? start : pages_[static_cast<size_t>(cell(first - 1))];
      if (!slots_.empty()) {
        uint64_t& state = slots_[static_cast<size_t>(b.plan.state_slots[static_cast<size_t>(s)])];
        EXPECT_EQ(state, first == 0 ? 0 : h) << "recurrent state and pages disagree";
      }
      for (int t = begin; t < end; ++t) {
        const int32_t at = cell(b.positions[static_cast<size_t>(t)]);
        h = mix(h, b.ids[static_cast<size_t>(t)]);
        pages_[static_cast<size_t>(at)] = h;
        EXPECT_EQ(writer.emplace(at / P, s).first->second, s) << "two writers of page " << at / P;
        save(b.plan, t, h);
        values.push_back(h);
      }
      if (!slots_.empty()) slots_[static_cast<size_t>(b.plan.state_slots[static_cast<size_t>(s)])] = h;
    }
    for (int s = 0; s < b.plan.n_seqs(); ++s) check_past(b, s, writer);
    return values;
  }

  void save(const AttnPlan& plan, int row, uint64_t state) {
    for (const AttnPlan::StateSave& save : plan.state_saves) {
      if (save.row != row) continue;
      const auto same = [&](const AttnPlan::StateSave& s) { return s.row == row; };
      EXPECT_EQ(std::count_if(plan.state_saves.begin(), plan.state_saves.end(), same), 1);
      const auto& own = plan.state_slots;
      EXPECT_EQ(std::count(own.begin(), own.end(), save.slot), 0) << "a snapshot in the slot of a sequence";
      slots_[static_cast<size_t>(save.slot)] = state;
      ++n_saves;
    }
  }

  // Every page of a sequence holds its own tokens, and nobody else wrote to them.
  void check_past(const Batch& b, int s, const std::map<int32_t, int>& writer) {
    const auto& table = b.plan.tables[0];
    const Sequence& seq = *current_[static_cast<size_t>(s)];
    uint64_t h = seq.key.adapter;
    for (int pos = 0; pos < b.plan.kv_len[static_cast<size_t>(s)]; ++pos) {
      const int32_t page = table.pages[static_cast<size_t>(s * table.max_blocks + pos / P)];
      h = mix(h, pos < seq.n_tokens() ? seq.tokens[static_cast<size_t>(pos)]
                                      : seq.draft[static_cast<size_t>(pos - seq.n_tokens())]);
      ASSERT_EQ(pages_[static_cast<size_t>(page * P + pos % P)], h) << "sequence " << seq.id << " at " << pos;
      const auto w = writer.find(page);
      ASSERT_TRUE(w == writer.end() || w->second == s) << "page " << page << " is written and shared";
    }
  }

  // Logits of a row are computed under the adapter of the row.
  void check_head(const Batch& b, const AdapterMap& adapters) {
    const AdapterMap head = adapters_of_rows(adapters, b.logit_rows);
    for (int i = 0; i < static_cast<int>(b.logit_rows.size()); ++i) {
      const int row = b.logit_rows[static_cast<size_t>(i)];
      ASSERT_EQ(adapter_of(head, i, i + 1), adapter_of(adapters, row, row + 1));
    }
  }

  void step() {
    const StepPlan plan = scheduler_.plan();
    ASSERT_EQ(kv_.check_integrity(), "");
    n_preemptions += static_cast<int>(plan.preempted.size());
    ASSERT_LE(plan.n_tokens(), config_.scheduler.max_batch_tokens);
    ASSERT_LE(scheduler_.n_running(), config_.scheduler.max_seqs);
    ASSERT_EQ(static_cast<int>(plan.items.size()), scheduler_.n_running())
        << "a running sequence stands still";
    ASSERT_TRUE(scheduler_.idle() || !plan.items.empty()) << "a step without work";
    run_ops(plan.state_ops);
    const Batch b = make_batch(
        plan, [&](SeqId id) -> const Sequence& { return client(id).seq; }, kv_, 1);
    current_.clear();
    bool decodes = false, prompts = false;
    for (const StepPlan::Item& item : plan.items) {
      ASSERT_GE(item.count, 1);
      ASSERT_EQ(item.begin, client(item.seq).seq.n_computed);
      current_.push_back(&client(item.seq).seq);
      (item.sure() == 1 ? decodes : prompts) = true;
    }
    n_mixed += decodes && prompts ? 1 : 0;
    const AdapterMap adapters = make_adapter_map(plan, [&](SeqId id) {
      const uint64_t a = client(id).seq.key.adapter;
      return a == 0 ? nullptr : adapters_[a - 1];
    });
    check_head(b, adapters);
    n_mixed_adapters += adapters.size() > 1 ? 1 : 0;
    const std::vector<uint64_t> values = forward(b, adapters);
    if (chance(config_.cancel)) cancel_one();  // between the forward pass and its commit
    scheduler_.commit(plan);
    ASSERT_EQ(kv_.check_integrity(), "");
    if (chance(config_.cancel)) cancel_one();  // between the commit and the verdict on drafts
    size_t row = 0;
    for (const StepPlan::Item& item : plan.items) {
      row += static_cast<size_t>(item.count);
      Client& c = client(item.seq);
      if (item.sample && c.seq.state == SeqState::running)
        verify(c, item, std::span(values).subspan(row - static_cast<size_t>(item.drafted) - 1));
    }
    ASSERT_EQ(kv_.check_integrity(), "");
    for (const auto& c : clients_)
      if (c->seq.state == SeqState::running && c->seq.pending() == 1) draft(*c);
  }

  // As Engine::verify: tokens as long as the drafted ones are those that are said.
  void verify(Client& c, const StepPlan::Item& item, std::span<const uint64_t> values) {
    std::vector<int32_t> said;
    int accepted = 0;
    for (int i = 0; i <= item.drafted; ++i) {
      said.push_back(static_cast<int32_t>(values[static_cast<size_t>(i)] % 3) % config_.vocab);
      const bool ends = c.seq.n_tokens() + i + 1 >= c.max_tokens;
      if (ends || i == item.drafted || c.seq.draft[static_cast<size_t>(i)] != said.back()) break;
      ++accepted;
    }
    if (item.drafted > 0) scheduler_.accept(c.seq, accepted);
    n_drafted += item.drafted;
    n_accepted += accepted;
    c.seq.tokens.insert(c.seq.tokens.end(), said.begin(), said.end());
    if (c.seq.n_tokens() >= c.max_tokens) finish(c);
  }

  // Right until a random place, then perhaps wrong.
  void draft(Client& c) {
    if (config_.draft == 0 || chance(0.3)) return;
    const int n = std::min(1 + below(config_.draft), c.max_tokens - c.seq.n_tokens() - 1);
    uint64_t h = c.seq.key.adapter;
    for (const int32_t token : c.seq.tokens) h = mix(h, token);
    for (int i = 0; i < n; ++i) {
      const auto next = static_cast<int32_t>(h % 3) % config_.vocab;
      c.seq.draft.push_back(chance(0.8) ? next : below(config_.vocab));
      h = mix(h, c.seq.draft.back());
    }
  }

  Client& client(SeqId id) { return *clients_[id - 1]; }

  Config config_;
  std::mt19937 rng_;
  KvManager kv_;
  Scheduler scheduler_;
  std::vector<uint64_t> pages_;  // a value a token
  std::vector<uint64_t> slots_;
  std::vector<std::shared_ptr<const AdapterSet>> adapters_;
  std::vector<std::unique_ptr<Client>> clients_;
  std::vector<const Sequence*> current_;
};

TEST(SchedulerFuzz, InvariantsHoldAfterEveryStep) {
  int n_preemptions = 0, n_cached = 0, n_odd = 0, n_saves = 0, n_drafted = 0, n_accepted = 0;
  int n_finished = 0, n_mixed = 0, n_mixed_adapters = 0;
  std::array<int, 9> n_limits{};
  for (uint32_t seed = 0; seed < 300 && !HasFailure(); ++seed) {
    SCOPED_TRACE(testing::Message() << "seed " << seed);
    std::mt19937 rng(seed);
    World world(random_config(rng), seed);
    world.run(200);
    n_preemptions += world.n_preemptions;
    n_cached += world.n_cached;
    n_odd += world.n_odd;
    n_saves += world.n_saves;
    n_drafted += world.n_drafted;
    n_accepted += world.n_accepted;
    for (size_t i = 0; i < n_limits.size(); ++i) n_limits[i] += world.n_limits[i];
    n_finished += world.n_finished;
    n_mixed += world.n_mixed;
    n_mixed_adapters += world.n_mixed_adapters;
  }
  // The runs must have met what they are there for.
  EXPECT_GT(n_preemptions, 1000);
  EXPECT_GT(n_cached, 10000);
  EXPECT_GT(n_odd, 1000);
  EXPECT_GT(n_saves, 10000);
  EXPECT_GT(n_accepted, 10000);
  EXPECT_GT(n_drafted - n_accepted, 10000);
  for (size_t i = 0; i < n_limits.size(); ++i)
    EXPECT_EQ(n_limits[i] > 0, i != static_cast<size_t>(ReuseLimit::off)) << "limit " << i;
  EXPECT_GT(n_finished, 10000);
  EXPECT_GT(n_mixed, 1000);
  EXPECT_GT(n_mixed_adapters, 1000);
}

}  // namespace
}  // namespace qw
