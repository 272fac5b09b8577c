#include "engine/engine.h"

#include <gtest/gtest.h>

#include <limits>

#include "backend/cpu/cpu_backend.h"
#include "tests/engine/tiny_models.h"
#include "tests/fake_device/fake_device.h"

namespace qw {
namespace {

struct Answer {
  std::vector<int32_t> ids;
  std::vector<Sampled> tokens;
  Event end;
  int n_terminal = 0;
};

Answer wait_for(EventQueue& queue) {
  Answer a;
  while (a.n_terminal == 0) {
    Event e = queue.pop();
    if (e.kind == Event::Kind::token) {
      a.ids.push_back(e.token.id);
      a.tokens.push_back(e.token);
    } else {
      a.end = std::move(e);
      ++a.n_terminal;
    }
  }
  while (queue.try_pop()) ++a.n_terminal;  // nothing may follow
  EXPECT_EQ(a.n_terminal, 1);
  EXPECT_EQ(a.end.usage.completion_tokens, static_cast<int>(a.ids.size()));
  return a;
}

std::vector<int32_t> prompt(int n, int vocab, uint64_t seed) {
  std::vector<int32_t> ids;
  for (int i = 0; i < n; ++i)
    ids.push_back(
        static_cast<int32_t>(Rng(seed).below(static_cast<uint64_t>(vocab), static_cast<uint64_t>(i))));
  return ids;
}

class EngineTest : public testing::Test {
 protected:
  EngineTest() {
    auto made = make_cpu_backend({.threads = 1, .isa = {}});
    QW_CHECK(made.has_value());
    backend = *std::move(made);
    std::mt19937 rng(3);
    Json config = test::tiny_config("qwen3", rng);
    config["max_position_embeddings"] = 256;
    model = test::tiny_model(config, *backend, 1);
  }

  std::unique_ptr<Engine> start(const EngineOptions& options = {}) {
    auto engine = Engine::create(model, *backend, options);
    QW_CHECK(engine.has_value(), "{}", engine.error().debug());
    return *std::move(engine);
  }

  Answer ask(Engine& engine, Request request) {
    auto queue = std::make_shared<EventQueue>();
    engine.submit(std::move(request), sink_to(queue));
    return wait_for(*queue);
  }

  // Bytes of n KV pages.
  size_t pages(int n, DType kv = DType::f16) const {
    return static_cast<size_t>(n) * KvPool::page_bytes(model->cache_spec(), kv);
  }

  // Requests of all kinds, some with a common beginning.
  std::vector<Request> mixed_requests(int n) const {
    const int vocab = model->info().vocab;
    const auto common = prompt(70, vocab, 5);
    std::vector<Request> out;
    for (int i = 0; i < n; ++i) {
      Request r;
      r.ids = prompt(1 + 11 * i % 60, vocab, static_cast<uint64_t>(i));
      if (i % 3 == 0) r.ids.insert(r.ids.begin(), common.begin(), common.end());
      r.max_new_tokens = 5 + 17 * i % 60;
      if (i % 2 == 1) r.sampling = {.temperature = 1.2, .top_k = 30, .top_p = 0.95};
      if (i % 4 == 3) r.sampling.repetition_penalty = 1.3;
      r.sampling.seed = static_cast<uint64_t>(i);
      r.key.tenant = static_cast<uint64_t>(i % 3);
      out.push_back(std::move(r));
    }
    return out;
  }

  void expect_same_text_in_company(EngineOptions crowded);

  std::unique_ptr<Backend> backend;
  std::shared_ptr<Model> model;
};

TEST_F(EngineTest, GreedyTextIsThatOfWholeRecomputation) {
  auto engine = start();
  Request r;
  r.ids = prompt(40, model->info().vocab, 1);
  r.max_new_tokens = 20;
  const Answer a = ask(*engine, r);
  EXPECT_EQ(a.end.reason, FinishReason::length);
  EXPECT_EQ(a.end.usage.prompt_tokens, 40);
  ASSERT_EQ(a.ids.size(), 20U);
  engine.reset();
  // The same by hand: the whole text through a fresh pool for every token.
  std::vector<int32_t> text = r.ids;
  for (const int32_t id : a.ids) {
    auto pool = KvPool::create(*backend, model->cache_spec(), {.n_pages = 4});
    ASSERT_TRUE(pool.has_value());
    Batch b = dense_batch({text});
    b.logit_rows = {b.n_rows() - 1};
    b.plan.pool = pool->get();
    b.plan.tables.assign((*pool)->groups().size(), {{0, 1, 2, 3}, 4});
    Arena arena(*backend);
    Ctx cx{*backend, arena};
    const Tensor logits = model->forward(cx, b);
    std::vector<float> x(static_cast<size_t>(logits.elements()));
    backend->download(x.data(), logits);
    ASSERT_EQ(id, std::max_element(x.begin(), x.end()) - x.begin());
    text.push_back(id);
  }
}

// Every request alone in a roomy engine without prefix cache, then all at once under `crowded`.
void EngineTest::expect_same_text_in_company(EngineOptions crowded) {
  const std::vector<Request> requests = mixed_requests(24);
  std::vector<std::vector<int32_t>> alone;
  {
    auto engine = start({.max_seqs = 1, .prefix_cache = false});
    for (const Request& r : requests) alone.push_back(ask(*engine, r).ids);
  }
  auto engine = start(crowded);
  for (int round = 0; round < 2; ++round) {  // the second round finds prefixes of the first
    std::vector<std::shared_ptr<EventQueue>> queues;
    for (const Request& r : requests) {
      queues.push_back(std::make_shared<EventQueue>());
      engine->submit(r, sink_to(queues.back()));
    }
    for (size_t i = 0; i < requests.size(); ++i)
      EXPECT_EQ(wait_for(*queues[i]).ids, alone[i]) << "request " << i;
  }
  const EngineStats stats = engine->stats();
  EXPECT_EQ(stats.owned_pages, 0);
  EXPECT_EQ(stats.running + stats.waiting, 0);
  EXPECT_GT(stats.preemptions, 0);
  EXPECT_EQ(stats.cached_tokens > 0, crowded.prefix_cache);
}

TEST_F(EngineTest, SameTextWhateverTheCompany) {
  expect_same_text_in_company(
      {.ctx_tokens = 192, .max_batch_tokens = 24, .max_seqs = 8, .kv_bytes = pages(6)});
}

TEST_F(EngineTest, SameTextWithoutPrefixCache) {
  expect_same_text_in_company({.ctx_tokens = 192,
                               .max_batch_tokens = 50,
                               .max_seqs = 6,
                               .kv_bytes = pages(8),
                               .prefix_cache = false});
}

TEST_F(EngineTest, SameTextWithRecurrentLayers) {
  model = std::make_shared<test::ToyHybrid>(*backend, 4);
  expect_same_text_in_company(
      {.ctx_tokens = 192, .max_batch_tokens = 40, .max_seqs = 8, .kv_bytes = pages(9), .n_snapshots = 5});
}

TEST_F(EngineTest, CachedPrefixIsCountedAndChangesNothing) {
  for (const bool recurrent : {false, true}) {
    if (recurrent) model = std::make_shared<test::ToyHybrid>(*backend, 4);
    auto engine = start();
    Request r;
    r.ids = prompt(100, model->info().vocab, 2);
    r.max_new_tokens = 10;
    const Answer first = ask(*engine, r);
    const Answer second = ask(*engine, r);
    EXPECT_EQ(first.end.usage.cached_tokens, 0);
    EXPECT_EQ(second.end.usage.cached_tokens, 99);
    EXPECT_EQ(first.ids, second.ids);
    // The next turn of the conversation finds the answer too.
    r.ids.insert(r.ids.end(), first.ids.begin(), first.ids.end());
    for (int i = 0; i < 40; ++i) r.ids.push_back(3);
    EXPECT_EQ(ask(*engine, r).end.usage.cached_tokens, 109);
    r.key.tenant = 9;
    EXPECT_EQ(ask(*engine, r).end.usage.cached_tokens, 0);
  }
}

TEST_F(EngineTest, SeedsAreReproducible) {
  auto engine = start();
  Request r;
  r.ids = {1, 2, 3};
  r.max_new_tokens = 30;
  r.sampling = {.temperature = 1.5, .seed = 7};
  const auto a = ask(*engine, r).ids;
  const auto b = ask(*engine, r).ids;
  r.sampling.seed = 8;
  EXPECT_EQ(a, b);
  EXPECT_NE(a, ask(*engine, r).ids);
}

TEST_F(EngineTest, StopIdsEndTheAnswerUnlessIgnored) {
  auto engine = start();
  Request r;
  r.ids = prompt(20, model->info().vocab, 3);
  r.max_new_tokens = 12;
  const Answer free = ask(*engine, r);
  ASSERT_EQ(free.ids.size(), 12U);
  r.stop_ids = {free.ids[4], 1 << 30};
  const auto first = std::find(free.ids.begin(), free.ids.end(), free.ids[4]);
  const Answer stopped = ask(*engine, r);
  EXPECT_EQ(stopped.end.reason, FinishReason::stop);
  EXPECT_EQ(stopped.ids, std::vector<int32_t>(free.ids.begin(), first + 1));  // the stop id is the last
  r.ignore_eos = true;
  const Answer ignored = ask(*engine, r);
  EXPECT_EQ(ignored.end.reason, FinishReason::length);
  EXPECT_EQ(ignored.ids, free.ids);
}

TEST_F(EngineTest, AFullContextEndsWithLength) {
  auto engine = start({.ctx_tokens = 64});
  Request r;
  r.ids = prompt(60, model->info().vocab, 3);
  Answer a = ask(*engine, r);
  EXPECT_EQ(a.end.reason, FinishReason::length);
  EXPECT_EQ(a.ids.size(), 4U);
  r.ids.resize(63, 1);
  EXPECT_EQ(ask(*engine, r).ids.size(), 1U);
  r.max_new_tokens = 0;
  a = ask(*engine, r);
  EXPECT_EQ(a.end.reason, FinishReason::length);
  EXPECT_TRUE(a.ids.empty());
}

TEST_F(EngineTest, WhatCannotBeAnsweredIsSaid) {
  auto engine = start({.ctx_tokens = 64});
  auto code = [&](Request r) {
    const Answer a = ask(*engine, std::move(r));
    EXPECT_EQ(a.end.reason, FinishReason::error);
    EXPECT_TRUE(a.ids.empty());
    return a.end.error ? a.end.error->debug() : "none";
  };
  EXPECT_EQ(code({}), "engine.empty_prompt");
  EXPECT_EQ(code({.ids = prompt(64, 10, 0)}), "engine.prompt_too_long tokens=64 limit=64");
  const int vocab = model->info().vocab;
  EXPECT_EQ(code({.ids = {1, vocab}}), fmt::format("engine.bad_id id={0} vocab={0}", vocab));
  EXPECT_EQ(code({.ids = {-1}}), fmt::format("engine.bad_id id=-1 vocab={}", vocab));
  EXPECT_EQ(code({.ids = {1}, .sampling = {.top_p = 2.0}}),
            "engine.bad_parameter name=top_p value=2 expected=(0, 1]");
  EXPECT_EQ(ask(*engine, {.ids = {1}, .max_new_tokens = 3}).ids.size(), 3U);  // and it goes on
}

TEST_F(EngineTest, CreateSaysWhatDoesNotFit) {
  auto code = [&](const EngineOptions& o) {
    const auto r = Engine::create(model, *backend, o);
    return r ? "none" : r.error().code();
  };
  EXPECT_EQ(code({.ctx_tokens = 257}), "engine.context_too_long");
  EXPECT_EQ(code({.ctx_tokens = 256, .kv_bytes = pages(7)}), "engine.kv_too_small");
  EXPECT_EQ(code({.kv_bytes = 1}), "engine.kv_too_small");
  EXPECT_EQ(start({.kv_bytes = pages(7)})->context_tokens(),
            7 * 32);  // not asked for: what there is room for
}

TEST_F(EngineTest, CancelInAnyStateFreesEverything) {
  for (int tokens_first = 0; tokens_first < 6; ++tokens_first) {
    auto engine = start({.max_batch_tokens = 16, .max_seqs = 2});
    std::vector<std::shared_ptr<EventQueue>> queues;
    std::vector<RequestId> ids;
    for (int i = 0; i < 5; ++i) {  // two run, the first perhaps decoding, the others wait
      queues.push_back(std::make_shared<EventQueue>());
      ids.push_back(
          engine->submit({.ids = prompt(60, 50, static_cast<uint64_t>(i))}, sink_to(queues.back())));
    }
    for (int i = 0; i < tokens_first; ++i) EXPECT_EQ(queues[0]->pop().kind, Event::Kind::token);
    for (const RequestId id : ids) engine->cancel(id);
    for (const RequestId id : ids) engine->cancel(id);  // again, and names nobody has
    engine->cancel(12345);
    for (auto& q : queues) {
      Event last;
      while ((last = q->pop()).kind == Event::Kind::token) {
      }
      EXPECT_EQ(last.reason, FinishReason::cancelled);
    }
    EXPECT_EQ(engine->stats().owned_pages, 0);
    EXPECT_EQ(engine->stats().running + engine->stats().waiting, 0);
  }
}

TEST_F(EngineTest, TheDestructorEndsEveryRequest) {
  std::vector<std::shared_ptr<EventQueue>> queues;
  {
    auto engine = start({.max_seqs = 2});
    for (int i = 0; i < 8; ++i) {
      queues.push_back(std::make_shared<EventQueue>());
      engine->submit({.ids = prompt(50, 50, 1)}, sink_to(queues.back()));
    }
    EXPECT_EQ(queues[0]->pop().kind, Event::Kind::token);
  }
  for (auto& q : queues) {
    int n_terminal = 0;
    while (const auto e = q->try_pop()) n_terminal += e->kind == Event::Kind::finished ? 1 : 0;
    EXPECT_EQ(n_terminal, 1);
  }
}

TEST_F(EngineTest, LogprobsComeWithTheTokens) {
  auto engine = start();
  const Answer a = ask(*engine, {.ids = {1, 2, 3}, .sampling = {.logprobs = 3}, .max_new_tokens = 4});
  for (const Sampled& t : a.tokens) {
    ASSERT_EQ(t.top.size(), 3U);
    EXPECT_EQ(t.top[0].id, t.id);  // greedy
    EXPECT_EQ(t.top[0].logprob, t.logprob);
    EXPECT_GE(t.top[0].logprob, t.top[1].logprob);
    EXPECT_LT(t.logprob, 0.0F);
  }
}

TEST_F(EngineTest, TimesAddUp) {
  auto engine = start();
  const Answer a = ask(*engine, {.ids = prompt(30, 50, 1), .max_new_tokens = 5});
  const Timing& t = a.end.timing;
  EXPECT_GT(t.prefill_s, 0.0);
  EXPECT_GT(t.decode_s, 0.0);
  EXPECT_NEAR(t.first_token_s, t.queued_s + t.prefill_s, 1e-6);
  const EngineStats s = engine->stats();
  EXPECT_EQ(s.prompt_tokens, 30);
  EXPECT_EQ(s.decode_tokens, 4);
  EXPECT_EQ(s.steps, 5);
}

// Makes the logits of every row whose last token is 13 NaN.
class Poisoned : public Model {
 public:
  explicit Poisoned(std::shared_ptr<Model> inner) : inner_(std::move(inner)) {}
  const ModelInfo& info() const override { return inner_->info(); }
  void visit(Visitor& v) override { inner_->visit(v); }
  bool tied_head() const override { return inner_->tied_head(); }
  std::vector<LayerCache> cache_spec() const override { return inner_->cache_spec(); }
  Tensor features(Ctx& cx, const Batch& b) const override { return inner_->features(cx, b); }
  const Weight& head() const override { return inner_->head(); }
  Tensor forward(Ctx& cx, const Batch& b) const override {
    const Tensor logits = inner_->forward(cx, b);
    for (size_t r = 0; r < b.logit_rows.size(); ++r)
      if (b.ids[static_cast<size_t>(b.logit_rows[r])] == 13)
        cx.backend.fill(logits.slice(0, static_cast<int64_t>(r), 1),
                        std::numeric_limits<double>::quiet_NaN());
    return logits;
  }

 private:
  std::shared_ptr<Model> inner_;
};

TEST_F(EngineTest, ALogitThatIsNoNumberEndsThatRequestAlone) {
  model = std::make_shared<Poisoned>(model);
  auto engine = start();
  auto good = std::make_shared<EventQueue>(), bad = std::make_shared<EventQueue>();
  engine->submit({.ids = {5, 6}, .sampling = {.logit_bias = {{13, -1000.0}}}, .max_new_tokens = 20},
                 sink_to(good));
  engine->submit({.ids = {4, 13}, .max_new_tokens = 20}, sink_to(bad));
  const Answer b = wait_for(*bad);
  EXPECT_EQ(b.end.reason, FinishReason::error);
  ASSERT_TRUE(b.end.error.has_value());
  EXPECT_EQ(b.end.error->debug(), "engine.non_finite position=2");
  const Answer g = wait_for(*good);
  EXPECT_EQ(g.end.reason, FinishReason::length);
  EXPECT_EQ(g.ids.size(), 20U);
}

TEST_F(EngineTest, AnswersOnADeviceWhoseMemoryIsUnreadable) {
  for (const std::string type : {"qwen2", "qwen2_moe", "toy"}) {
    std::mt19937 rng(11);
    const Json config = test::tiny_config(type, rng);
    auto answers = [&](Backend& device) {
      std::shared_ptr<const Model> m;
      if (type == "toy")
        m = std::make_shared<test::ToyHybrid>(device, 6);
      else
        m = test::tiny_model(config, device, 6);
      auto engine = Engine::create(m, device, {.ctx_tokens = 160, .max_batch_tokens = 32, .max_seqs = 3});
      QW_CHECK(engine.has_value());
      std::vector<std::vector<int32_t>> out;
      for (int round = 0; round < 2; ++round)  // the second from the prefix cache
        out.push_back(ask(**engine, {.ids = prompt(70, 50, 4), .max_new_tokens = 12}).ids);
      return out;
    };
    auto inner = make_cpu_backend({.threads = 1, .isa = {}});
    ASSERT_TRUE(inner.has_value());
    test::FakeDevice device(*std::move(inner));
    EXPECT_EQ(answers(device), answers(*backend));
  }
}

TEST_F(EngineTest, TapsSeeEveryStep) {
  std::atomic<int> embeds = 0;
  auto engine =
      start({.trace = [&](std::string_view name, const Tensor&) { embeds += name == "embed" ? 1 : 0; }});
  ask(*engine, {.ids = {1, 2, 3}, .max_new_tokens = 4});
  EXPECT_EQ(embeds, 4);
}

}  // namespace
}  // namespace qw
