// Conversations on a model with recurrent layers: what of a turn is computed again, and that no state ever
// reaches a request that it does not belong to.
#include <gtest/gtest.h>

#include <limits>

#include "backend/cpu/cpu_backend.h"
#include "engine/borders.h"
#include "engine/engine.h"
#include "tests/engine/tiny_models.h"

namespace qw {
namespace {

constexpr int32_t kEnd = 60;  // ends a turn

using Ids = std::vector<int32_t>;

Ids words(int n, uint64_t seed) {
  Ids out;
  for (int i = 0; i < n; ++i)
    out.push_back(static_cast<int32_t>(Rng(seed).below(kEnd, static_cast<uint64_t>(i))));
  return out;
}

Ids joined(std::initializer_list<Ids> parts) {
  Ids out;
  for (const Ids& p : parts) out.insert(out.end(), p.begin(), p.end());
  return out;
}

struct Answer {
  Ids ids;
  Event end;
  int cached() const { return end.usage.cached_tokens; }
  std::string why() const {
    return fmt::format("{} {} {}", end.reuse.tokens, reuse_code(end.reuse.limit), end.reuse.at);
  }
};

Answer wait_for(EventQueue& queue) {
  Answer a;
  for (a.end = queue.pop(); a.end.kind == Event::Kind::token; a.end = queue.pop())
    a.ids.push_back(a.end.token.id);
  return a;
}

class ConversationTest : public testing::Test {
 protected:
  ConversationTest() {
    auto made = make_cpu_backend({.threads = 1, .isa = {}});
    QW_CHECK(made.has_value());
    backend = *std::move(made);
    model = std::make_shared<test::ToyHybrid>(*backend, 4);
  }

  std::unique_ptr<Engine> start(const EngineOptions& options = {}) {
    auto engine = Engine::create(model, *backend, options);
    QW_CHECK(engine.has_value(), "{}", engine.error().debug());
    return *std::move(engine);
  }

  // Never ends by itself, so that lengths are known.
  static Request request(const Ids& ids, int n_answer = 12) {
    Request r;
    r.ids = ids;
    r.sampling = {.temperature = 0.8, .logit_bias = {{kEnd, -1000.0}}, .seed = 5};
    r.max_new_tokens = n_answer;
    r.stop_ids = {kEnd};
    return r;
  }

  static std::shared_ptr<EventQueue> submit(Engine& engine, Request r) {
    auto queue = std::make_shared<EventQueue>();
    engine.submit(std::move(r), sink_to(queue));
    return queue;
  }
  static Answer ask(Engine& engine, Request r) { return wait_for(*submit(engine, std::move(r))); }

  std::unique_ptr<Backend> backend;
  std::shared_ptr<Model> model;
};

TEST(StateBorders, LieBehindTurnsAndBeforeTheLastToken) {
  const Ids text = joined({words(40, 1), {kEnd}, words(50, 2), {kEnd}, words(10, 3), {kEnd, 1, 2}});
  const Ids ends{kEnd};
  EXPECT_EQ(state_borders(text, ends, 8), (std::vector<int>{41, 103, 104}));  // 92 is too near to 103
  EXPECT_EQ(state_borders(text, ends, 0), std::vector<int>{104});
  EXPECT_EQ(state_borders(text, {}, 8), std::vector<int>{104});
  EXPECT_EQ(state_borders(joined({words(9, 1), {kEnd, 2}}), ends, 8), std::vector<int>{10});
  EXPECT_EQ(state_borders(Ids{1}, ends, 8), std::vector<int>{});
}

TEST_F(ConversationTest, AContinuedOneComputesWhatIsNew) {
  auto engine = start();
  auto fresh = start({.prefix_cache = false});
  Ids text = words(45, 1);
  int kept = 0;
  for (int turn = 0; turn < 6; ++turn) {
    const Answer a = ask(*engine, request(text));
    EXPECT_EQ(a.cached(), kept) << turn;
    EXPECT_EQ(a.why(), turn == 0 ? "0 reuse.nothing_cached 0" : fmt::format("{0} reuse.new_text {0}", kept));
    EXPECT_EQ(a.ids, ask(*fresh, request(text)).ids);
    kept = static_cast<int>(text.size() + a.ids.size()) - 1;  // the last token was never computed
    text = joined({text, a.ids, {kEnd}, words(20 + 7 * turn, 10U + static_cast<uint64_t>(turn))});
  }
}

TEST_F(ConversationTest, ABranchedOneGoesOnFromWhereItParts) {
  auto engine = start();
  const Ids prompt = words(77, 1);
  const Answer a = ask(*engine, request(prompt));
  EXPECT_EQ(ask(*engine, request(prompt)).why(), "76 reuse.all 76");  // again
  for (const uint64_t seed : {2, 3, 4}) {  // after the first, from behind the turn's end
    const Ids text = joined({prompt, a.ids, {kEnd}, words(30, seed)});
    EXPECT_EQ(ask(*engine, request(text)).cached(), seed == 2 ? 77 + 12 - 1 : 77 + 12 + 1);
  }
  const Ids other = joined({prompt, words(30, 9)});  // another answer in its place
  EXPECT_EQ(ask(*engine, request(other)).why(), "76 reuse.differs 77");
}

// A template that opens a reasoning tag behind the user's turn, and leaves the reasoning out of later
// prompts.
TEST_F(ConversationTest, ATemplateThatRewritesThePastCostsTheAnswerAlone) {
  auto engine = start();
  const Ids header{3, 4}, think{5, 6};
  Ids past = joined({words(50, 1), {kEnd}});
  for (uint64_t turn = 0; turn < 4; ++turn) {
    const Answer a = ask(*engine, request(joined({past, header, think})));
    const int before = static_cast<int>(past.size());
    past = joined({past, header, Ids(a.ids.begin() + 2, a.ids.end()), {kEnd}, words(28, 20 + turn), {kEnd}});
    EXPECT_EQ(ask(*engine, request(joined({past, header, think}), 1)).cached(), before) << turn;
  }
}

// Three short talks go on while a long one that has ended holds most of the memory.
TEST_F(ConversationTest, ShortTalksThatLiveOutlastALongOneThatDoesNot) {
  auto engine = start({.ctx_tokens = 512, .max_seqs = 4, .n_snapshots = 8});
  Ids dead;
  for (uint64_t i = 0; i < 11; ++i) dead = joined({dead, words(39, 90 + i), {kEnd}});
  ask(*engine, request(dead));
  std::vector<Ids> talks;
  for (uint64_t i = 0; i < 3; ++i) talks.push_back(words(40, i));
  int lost = 0;
  for (int turn = 0; turn < 8; ++turn) {
    for (Ids& text : talks) {
      const Answer a = ask(*engine, request(text, 6));
      if (turn >= 4) lost += a.cached() == 0 ? 1 : 0;
      text = joined({text, a.ids, {kEnd}, words(25, text.size())});
    }
  }
  EXPECT_EQ(lost, 0);
}

TEST_F(ConversationTest, AnEditedOneGoesOnFromTheTurnBefore) {
  auto engine = start();
  const Ids first = joined({words(50, 1), {kEnd}});
  const Answer a = ask(*engine, request(first));
  const Ids before = joined({first, a.ids, {kEnd}});
  const Ids second = joined({before, words(40, 2), {kEnd}});
  ask(*engine, request(second));
  const int border = static_cast<int>(before.size());
  Ids edited = joined({before, words(40, 3), {kEnd}});
  edited[before.size() + 4] = second[before.size() + 4];
  const Answer e = ask(*engine, request(edited));
  EXPECT_EQ(e.cached(), border);
  EXPECT_EQ(e.end.reuse.limit, ReuseLimit::differs);
  Ids changed = joined({first, a.ids, {kEnd}, words(40, 2), {kEnd}});
  changed[20] = (changed[20] + 1) % kEnd;  // in the first message: nothing is left
  EXPECT_EQ(ask(*engine, request(changed)).why(), "0 reuse.differs 20");
}

TEST_F(ConversationTest, ASharedBeginningIsKeptOnceItIsSeenToBeShared) {
  auto engine = start();
  const Ids system = words(70, 1);
  const std::string expected[] = {"0 reuse.nothing_cached 0", "0 reuse.differs 70", "70 reuse.differs 70"};
  for (uint64_t i = 0; i < 3; ++i) {
    Ids own = words(50, 10 + i);
    own[0] = static_cast<int32_t>(i);
    EXPECT_EQ(ask(*engine, request(joined({system, own}))).why(), expected[i]);
  }
}

TEST_F(ConversationTest, ALongPromptIsKeptEveryFewHundredTokens) {
  auto engine = start({.ctx_tokens = 512, .n_snapshots = 8});
  Ids text = words(480, 1);
  ask(*engine, request(text));
  text[300] = (text[300] + 1) % kEnd;
  EXPECT_EQ(ask(*engine, request(text)).why(), "256 reuse.differs 300");
}

TEST_F(ConversationTest, ConcurrentOnesHitAsIfAlone) {
  auto engine = start({.ctx_tokens = 400, .max_batch_tokens = 48, .max_seqs = 3});
  auto fresh = start({.max_seqs = 1, .prefix_cache = false});
  constexpr size_t kTalks = 5;
  std::vector<Ids> texts;
  for (uint64_t i = 0; i < kTalks; ++i) texts.push_back(words(20 + 9 * static_cast<int>(i), 100 + i % 3));
  std::vector<int> kept(kTalks, 0);
  for (int turn = 0; turn < 4; ++turn) {
    std::vector<std::shared_ptr<EventQueue>> queues;
    for (size_t i = 0; i < kTalks; ++i) {
      Request r = request(texts[i], 5 + static_cast<int>(i));
      r.key.tenant = i;
      queues.push_back(submit(*engine, std::move(r)));
    }
    std::vector<Answer> answers;
    for (const auto& q : queues) answers.push_back(wait_for(*q));
    for (size_t i = 0; i < kTalks; ++i) {  // two engines may not compute on one backend at once
      const Answer& a = answers[i];
      EXPECT_EQ(a.cached(), kept[i]) << "talk " << i << ", turn " << turn;
      EXPECT_EQ(a.ids, ask(*fresh, request(texts[i], 5 + static_cast<int>(i))).ids);
      kept[i] = static_cast<int>(texts[i].size() + a.ids.size()) - 1;
      texts[i] = joined({texts[i], a.ids, {kEnd}, words(25, 7 * i)});
    }
  }
  EXPECT_EQ(engine->stats().owned_pages, 0);
}

// Identical prompts at once, in a cache too small for them, between cancels and foreign texts.
TEST_F(ConversationTest, IdenticalPromptsGetIdenticalAnswersWhateverHappens) {
  for (const int n_snapshots : {0, 1, 3, 20}) {
    const Ids prompt = joined({words(61, 1), {kEnd}, words(20, 2)});
    const Ids expected = ask(*start({.prefix_cache = false}), request(prompt, 30)).ids;
    const size_t kv_bytes = 9 * KvPool::page_bytes(model->cache_spec(), DType::f16);
    auto engine = start({.ctx_tokens = 160,
                         .max_batch_tokens = 40,
                         .max_seqs = 4,
                         .kv_bytes = kv_bytes,
                         .n_snapshots = n_snapshots});
    for (uint64_t round = 0; round < 6; ++round) {
      std::vector<std::shared_ptr<EventQueue>> same, others;
      std::vector<RequestId> cancelled;
      for (uint64_t i = 0; i < 3; ++i) {
        same.push_back(submit(*engine, request(prompt, 30)));
        const Ids common(prompt.begin(), prompt.begin() + 10 * static_cast<int>(i));
        others.push_back(submit(*engine, request(joined({common, words(90, 50 + 3 * round + i)}))));
        others.push_back(std::make_shared<EventQueue>());
        cancelled.push_back(engine->submit(request(prompt, 30), sink_to(others.back())));
      }
      const Event first = same[round % 3]->pop();  // the cancels meet waiting, running and preempted ones
      for (const RequestId id : cancelled) engine->cancel(id);
      for (size_t i = 0; i < same.size(); ++i) {
        Answer a = wait_for(*same[i]);
        if (i == round % 3) a.ids.insert(a.ids.begin(), first.token.id);
        EXPECT_EQ(a.ids, expected) << n_snapshots << " snapshots, round " << round;
      }
      for (const auto& q : others) wait_for(*q);
    }
    EXPECT_EQ(engine->stats().owned_pages, 0);
  }
}

// After each step, the state of a sequence that met the token 13 is infinite in one place, though the logits
// of the step were not.
class Infecting : public Model {
 public:
  explicit Infecting(std::shared_ptr<Model> inner) : inner_(std::move(inner)) {}
  const ModelInfo& info() const override { return inner_->info(); }
  void visit(Visitor& v) override { inner_->visit(v); }
  bool tied_head() const override { return inner_->tied_head(); }
  std::vector<LayerCache> cache_spec() const override { return inner_->cache_spec(); }
  const Weight& head() const override { return inner_->head(); }
  Tensor features(Ctx& cx, const Batch& b) const override {
    Tensor out = inner_->features(cx, b);
    for (int s = 0; s < b.plan.n_seqs(); ++s) {
      const auto i = static_cast<size_t>(s);
      const auto begin = b.ids.begin() + b.plan.cu_q[i], end = b.ids.begin() + b.plan.cu_q[i + 1];
      const auto at = static_cast<int32_t>(std::find(begin, end, 13) - b.ids.begin());
      if (at == b.plan.cu_q[i + 1]) continue;
      infect(cx, b.plan, b.plan.state_slots[i]);
      for (const AttnPlan::StateSave& save : b.plan.state_saves)
        if (save.row >= at && save.row < b.plan.cu_q[i + 1]) infect(cx, b.plan, save.slot);
    }
    return out;
  }

 private:
  static void infect(Ctx& cx, const AttnPlan& plan, int32_t slot) {
    cx.backend.fill(plan.pool->state(0).slice(0, slot, 1).slice(1, 3, 1),
                    std::numeric_limits<double>::infinity());
  }
  std::shared_ptr<Model> inner_;
};

TEST_F(ConversationTest, AStateThatIsNotFiniteEndsItsRequestAndReachesNobody) {
  const Ids good = joined({words(40, 1), words(40, 2)});
  Ids clean = good;
  for (int32_t& id : clean) id = id == 13 ? 14 : id;
  Ids sick = clean;
  sick[50] = 13;
  model = std::make_shared<Infecting>(model);
  auto engine = start({.max_batch_tokens = 100});
  Request healthy = request(clean);
  healthy.sampling.logit_bias.push_back({13, -1000.0});
  const Answer before = ask(*start({.prefix_cache = false}), healthy);
  ASSERT_EQ(before.ids.size(), 12U);

  const auto first = submit(*engine, request(sick));
  const auto beside = submit(*engine, healthy);
  const Answer failed = wait_for(*first);
  EXPECT_EQ(failed.end.reason, FinishReason::error);
  ASSERT_TRUE(failed.end.error.has_value());
  EXPECT_EQ(failed.end.error->debug(), "engine.non_finite position=79");
  EXPECT_TRUE(failed.ids.empty());
  EXPECT_EQ(wait_for(*beside).ids, before.ids);
  EXPECT_EQ(ask(*engine, healthy).ids, before.ids);
  EXPECT_EQ(ask(*engine, request(sick)).end.reason, FinishReason::error);

  Request late = request(clean, 2);  // 13 is generated, and the state after it is the last one
  late.sampling.logit_bias = {{13, 1000.0}};
  const Answer ended = ask(*engine, late);
  EXPECT_EQ(ended.ids, (Ids{13, 13}));
  EXPECT_EQ(ended.end.reason, FinishReason::error);
  EXPECT_EQ(ask(*engine, healthy).ids, before.ids);
  Request on = healthy;  // finds the prompt, not what followed it
  on.ids = joined({clean, {13}, words(9, 3)});
  EXPECT_EQ(ask(*engine, on).cached(), 79);
}

}  // namespace
}  // namespace qw
