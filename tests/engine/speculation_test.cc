// Speculation changes the speed and nothing else: the same tokens, the same end, the same distribution.
#include <gtest/gtest.h>

#include <cmath>
#include <map>

#include "backend/cpu/cpu_backend.h"
#include "engine/draft_policy.h"
#include "engine/engine.h"
#include "tests/engine/tiny_models.h"

namespace qw {
namespace {

using Ids = std::vector<int32_t>;

TEST(LookUp, ContinuesTheLongestRepeatedEnding) {
  EXPECT_EQ(look_up(Ids{1, 2, 3, 4, 9, 1, 2}, 3), (Ids{3, 4, 9}));
  EXPECT_EQ(look_up(Ids{1, 2, 3, 7, 2, 3, 8, 1, 2, 3}, 2), (Ids{7, 2}));  // three tokens against two
  EXPECT_EQ(look_up(Ids{2, 3, 7, 2, 3, 8, 2, 3}, 2), (Ids{8, 2}));        // the latest of equals
  EXPECT_EQ(look_up(Ids{5, 6, 5, 6}, 5), (Ids{5, 6, 5, 6, 5}));           // goes on in its own words
  EXPECT_EQ(look_up(Ids{1, 2, 3, 1}, 4), Ids{});                          // one token is no ending
  EXPECT_EQ(look_up(Ids{}, 4), Ids{});
  EXPECT_EQ(look_up(Ids{1, 2, 1, 2}, 0), Ids{});
}

// A machine where a step costs fixed + each · rows.
DraftPolicy machine(double fixed, double each, double draft = 0.0) {
  DraftPolicy p(8);
  for (int i = 0; i < 200; ++i) p.saw_step(1 + i % 5, fixed + each * (1 + i % 5));
  for (int i = 0; i < 50; ++i) p.saw_draft(4, 4 * draft);
  return p;
}

Acceptance acceptance(int drafted, int accepted) {
  Acceptance a;
  for (int i = 0; i < 100; ++i) a.add(drafted, accepted);
  return a;
}

TEST(DraftPolicy, DraftsAsDeepAsPays) {
  Acceptance good = acceptance(4, 4), fair = acceptance(2, 1), bad = acceptance(4, 0);
  EXPECT_GT(good.rate(), 0.95);
  EXPECT_LT(bad.rate(), 0.05);
  const DraftPolicy bandwidth = machine(1.0, 0.02), arithmetic = machine(0.05, 1.0);
  EXPECT_EQ(bandwidth.depth(good, 1), 8);
  const int some = bandwidth.depth(fair, 1);
  EXPECT_GT(some, 0);
  EXPECT_LT(some, 8);
  EXPECT_EQ(arithmetic.depth(fair, 1), 0);  // rows cost as much as steps
  EXPECT_EQ(bandwidth.depth(bad, 1), 0);
  EXPECT_EQ(bandwidth.depth(fair, 60), 0);               // sixty sequences use the machine well as it is
  EXPECT_EQ(machine(1.0, 0.02, 2.0).depth(good, 1), 0);  // a drafter that is slower than the model
}

TEST(DraftPolicy, TriesAgainNowAndThenWhereItLoses) {
  const DraftPolicy p = machine(1.0, 0.3);
  Acceptance a = acceptance(4, 0);
  int tries = 0;
  for (int step = 0; step < 2000; ++step)
    if (const int depth = p.depth(a, 1); depth > 0) {
      ++tries;
      a.add(depth, 0);
    }
  EXPECT_GE(tries, 5);
  EXPECT_LE(tries, 12);
  for (int step = 0; step < 3000 && p.depth(a, 1) == 0; ++step) {
  }
  for (int i = 0; i < 40; ++i) a.add(2, 2);  // the text has changed
  EXPECT_GT(p.depth(a, 1), 2);
}

TEST(DraftPolicy, OneSlowStepIsNoEvidence) {
  DraftPolicy p = machine(1.0, 0.02);
  Acceptance good = acceptance(4, 4);
  p.saw_step(5, 500.0);
  EXPECT_GT(p.depth(good, 1), 4);
}

struct Answer {
  Ids ids;
  Event end;
};

class SpeculationTest : public testing::TestWithParam<std::string> {
 protected:
  SpeculationTest() {
    auto made = make_cpu_backend({.threads = 1, .isa = {}});
    QW_CHECK(made.has_value());
    backend = *std::move(made);
    std::mt19937 rng(3);
    if (GetParam() == "toy")
      model = std::make_shared<test::ToyHybrid>(*backend, 4);
    else
      model = test::tiny_model(test::tiny_config(GetParam(), rng), *backend, 1);
  }

  std::unique_ptr<Engine> start(const EngineOptions& options) {
    auto engine = Engine::create(model, *backend, options);
    QW_CHECK(engine.has_value(), "{}", engine.error().debug());
    return *std::move(engine);
  }

  static std::shared_ptr<EventQueue> submit(Engine& engine, Request r) {
    auto queue = std::make_shared<EventQueue>();
    engine.submit(std::move(r), sink_to(queue));
    return queue;
  }
  static Answer wait_for(EventQueue& queue) {
    Answer a;
    for (a.end = queue.pop(); a.end.kind == Event::Kind::token; a.end = queue.pop())
      a.ids.push_back(a.end.token.id);
    return a;
  }

  // Texts in which much is repeated, with every kind of sampling.
  std::vector<Request> requests() const {
    std::vector<Request> out;
    for (int i = 0; i < 16; ++i) {
      Request r;
      for (int j = 0; j < 20 + 5 * i; ++j) r.ids.push_back((j * (1 + i % 3)) % (4 + i % 5));
      r.max_new_tokens = 3 + 11 * i % 50;
      r.sampling.logit_bias = {{1, 6.0}, {2, 6.0}, {3, 5.0}};
      if (i % 2 == 1) r.sampling.temperature = 0.7;
      if (i % 4 == 3) r.sampling.repetition_penalty = 1.1;
      if (i % 5 == 4) r.stop_ids = {3};
      if (i % 3 == 0) r.sampling.logprobs = 2;
      r.sampling.seed = static_cast<uint64_t>(i);
      r.key.tenant = static_cast<uint64_t>(i % 3);
      out.push_back(std::move(r));
    }
    return out;
  }

  EngineStats expect_same_text(EngineOptions crowded);

  std::unique_ptr<Backend> backend;
  std::shared_ptr<Model> model;
};

// Each request alone without drafts, then all at once in too few pages with them. Answers the counts of the
// run that always drafts.
EngineStats SpeculationTest::expect_same_text(EngineOptions crowded) {
  std::vector<Answer> expected;
  {
    auto engine = start({.max_seqs = 1, .prefix_cache = false});
    for (const Request& r : requests()) expected.push_back(wait_for(*submit(*engine, r)));
  }
  crowded.ctx_tokens = 192;
  crowded.max_batch_tokens = 40;
  crowded.max_seqs = 6;
  crowded.kv_bytes = 10 * KvPool::page_bytes(model->cache_spec(), DType::f16);
  EngineStats always;
  for (const bool adapts : {true, false}) {
    crowded.draft_adapts = adapts;
    auto engine = start(crowded);
    for (int round = 0; round < 2; ++round) {
      std::vector<std::shared_ptr<EventQueue>> queues;
      for (const Request& r : requests()) queues.push_back(submit(*engine, r));
      for (size_t i = 0; i < queues.size(); ++i) {
        const Answer a = wait_for(*queues[i]);
        EXPECT_EQ(a.ids, expected[i].ids) << "request " << i;
        EXPECT_EQ(a.end.reason, expected[i].end.reason);
        EXPECT_EQ(a.end.usage.completion_tokens, expected[i].end.usage.completion_tokens);
      }
    }
    always = engine->stats();
    EXPECT_EQ(always.owned_pages, 0);
  }
  EXPECT_GT(always.drafted_tokens, 100);
  return always;
}

TEST_P(SpeculationTest, SameTextWithNgrams) {
  const EngineStats stats = expect_same_text({.draft = DraftSource::ngram});
  // Of a hybrid only every other layer has pages, so that fewer run out.
  const bool hybrid = GetParam() == "qwen3_5_text" || GetParam() == "qwen3_next";
  EXPECT_TRUE(hybrid || stats.preemptions > 0);
  EXPECT_GT(stats.accepted_drafts, 50);
  EXPECT_GT(stats.drafted_tokens, stats.accepted_drafts);  // refused ones were there too
}

TEST_P(SpeculationTest, SameTextWithADraftModel) {
  std::mt19937 rng(8);
  Json config = test::tiny_config("qwen2", rng);
  config["vocab_size"] = model->info().vocab;
  const std::shared_ptr<Model> drafters[] = {model, test::tiny_model(config, *backend, 2),
                                             std::make_shared<test::ToyHybrid>(*backend, 9)};  // fewer words
  for (const auto& drafter : drafters) {
    const EngineStats stats = expect_same_text({.draft = DraftSource::model, .draft_model = drafter});
    EXPECT_LE(stats.accepted_drafts, stats.drafted_tokens);
    if (drafter != model) continue;
    EXPECT_GT(stats.accepted_drafts, stats.drafted_tokens * 8 / 10);  // it knows itself
  }
}

TEST_P(SpeculationTest, WhatCannotDraftIsSaid) {
  const auto code = [&](const EngineOptions& o) {
    const auto r = Engine::create(model, *backend, o);
    return r ? "none" : r.error().code();
  };
  EXPECT_EQ(code({.draft = DraftSource::mtp}), model->has_mtp() ? "none" : "engine.no_mtp");
  std::mt19937 rng(8);
  Json config = test::tiny_config("qwen2", rng);
  config["vocab_size"] = 2000;
  const std::shared_ptr<Model> foreign = test::tiny_model(config, *backend, 2);
  EXPECT_EQ(code({.draft = DraftSource::model, .draft_model = foreign}), "engine.draft_vocab");
}

// Says 7 · id + 3 after id, and its extra layer knows that: a draft is right where the ids, positions and
// rows that it is fed are.
class Markov : public Model {
 public:
  static constexpr int kVocab = 61, kHidden = 32, kHeads = 2;
  explicit Markov(Backend& backend) {
    info_ = {.model_type = "markov", .n_layers = 1, .hidden = kHidden, .vocab = kVocab, .max_positions = 512};
    embed_.name = "embed";
    embed_.shape = {kVocab, kHidden};
    const std::vector<float> x = test::random_values("embed", embed_.shape.dims(), 3);
    embed_.data = Tensor(*backend.alloc(x.size() * sizeof(float)), 0, embed_.shape, DType::f32);
    backend.upload(embed_.data, x.data());
  }
  const ModelInfo& info() const override { return info_; }
  void visit(Visitor& v) override { v.weight(embed_, "embed", embed_.shape, ShardAxis::none); }
  bool tied_head() const override { return true; }
  std::vector<LayerCache> cache_spec() const override {
    const CacheSpec paged{CacheSpec::Kind::paged, kHeads, kHidden / kHeads, 0, 0};
    return {{paged}, {paged}};
  }
  const Weight& head() const override { return embed_; }
  Tensor features(Ctx& cx, const Batch& b) const override { return after(cx, b, 0); }
  bool has_mtp() const override { return true; }
  Tensor mtp_features(Ctx& cx, const Tensor& hidden, const Batch& b) const override {
    QW_CHECK(hidden.dim(0) == b.n_rows() && hidden.dim(1) == kHidden, "hidden {}", hidden.shape().str());
    return after(cx, b, 1);
  }

 private:
  // Mostly the word after each id, with a little of the past.
  Tensor after(Ctx& cx, const Batch& b, int layer) const {
    std::vector<int32_t> next;
    for (const int32_t id : b.ids) next.push_back((7 * id + 3) % kVocab);
    const Tensor x = ops::embedding(cx, cx.arena.upload(next), embed_);
    const ops::AttnStep step = ops::prepare_attention(cx, b.plan);
    const Tensor h = x.view({b.n_rows(), kHeads, kHidden / kHeads});
    const Tensor a = ops::attention(cx, h, h, h, step, {layer, 0.25, 0});
    const Tensor y = cx.alloc(x.shape());
    cx.backend.scale(y, x, 12.0);
    cx.backend.axpy(y, 0.1, a.view(x.shape()));
    return ops::gather_rows(cx, y, cx.arena.upload(b.logit_rows));
  }
  ModelInfo info_;
  Weight embed_;
};

TEST_P(SpeculationTest, SameTextWithTheLayerOfRealHybrids) {
  if (!GetParam().starts_with("qwen3_")) GTEST_SKIP() << "has no such layer";
  std::mt19937 rng(5);
  Json config = test::tiny_config(GetParam(), rng);
  config["mtp_num_hidden_layers"] = 1;
  model = test::tiny_model(config, *backend, 2);
  expect_same_text({.draft = DraftSource::mtp, .max_draft = 3});
}

TEST_P(SpeculationTest, SameTextWithTheModelsOwnLayer) {
  model = std::make_shared<Markov>(*backend);
  const EngineStats stats = expect_same_text({.draft = DraftSource::mtp, .max_draft = 3});
  EXPECT_GT(stats.accepted_drafts, stats.drafted_tokens / 2);
  auto engine = start({.draft = DraftSource::mtp, .max_draft = 3, .draft_adapts = false});
  EXPECT_EQ(wait_for(*submit(*engine, {.ids = {1, 10, 12}, .max_new_tokens = 41})).ids.size(), 41U);
  EXPECT_EQ(engine->stats().accepted_drafts, engine->stats().drafted_tokens);
  EXPECT_LE(engine->stats().steps, 12);
}

TEST_P(SpeculationTest, FewerStepsForRepeatedText) {
  Request r;
  for (int j = 0; j < 60; ++j) r.ids.push_back(j % 5);
  r.max_new_tokens = 60;
  r.sampling.logit_bias = {{7, 1000.0}};  // says one word again and again
  auto engine = start({.max_seqs = 1, .draft = DraftSource::ngram, .max_draft = 4, .draft_adapts = false});
  EXPECT_EQ(wait_for(*submit(*engine, r)).ids, Ids(60, 7));
  const EngineStats stats = engine->stats();
  EXPECT_LT(stats.steps, 18);
  EXPECT_EQ(stats.decode_tokens, 59);
  EXPECT_EQ(stats.drafted_tokens, stats.accepted_drafts);
  // What was computed is kept as without drafts: all but the last token.
  r.ids.insert(r.ids.end(), 60, 7);
  EXPECT_EQ(wait_for(*submit(*engine, r)).end.usage.cached_tokens, 119);
}

TEST_P(SpeculationTest, CancelsAndShortAnswersLeaveNothingBehind) {
  auto engine = start({.ctx_tokens = 128, .max_seqs = 3, .draft = DraftSource::ngram, .draft_adapts = false});
  for (int n = 0; n < 12; ++n) {
    auto queue = std::make_shared<EventQueue>();
    Request r = requests()[static_cast<size_t>(n)];
    r.stop_ids.clear();
    r.max_new_tokens = -1;
    const auto beside = submit(*engine, requests()[15]);
    const RequestId id = engine->submit(r, sink_to(queue));
    for (int i = 0; i < n; ++i) queue->pop();
    engine->cancel(id);
    wait_for(*queue);
    wait_for(*beside);
    EXPECT_EQ(engine->stats().owned_pages, 0);
  }
}

// Four words, three tokens: how often each comes third, against the probabilities of the model.
TEST_P(SpeculationTest, TheDistributionIsThatOfTheModel) {
  constexpr int kWords = 4, kTrials = 3000;
  Request r;
  for (int j = 0; j < 24; ++j) r.ids.push_back(j * j % kWords);
  r.sampling.temperature = 1.0;
  for (int32_t id = kWords; id < model->info().vocab; ++id) r.sampling.logit_bias.push_back({id, -1000.0});
  auto exact = start({.max_seqs = 1, .prefix_cache = false});
  const auto next = [&](Ids ids) {  // probabilities of the words after `ids`
    Request one = r;
    one.ids = std::move(ids);
    one.max_new_tokens = 1;
    one.sampling.logprobs = model->info().vocab;
    auto queue = submit(*exact, one);
    const Event e = queue->pop();
    wait_for(*queue);
    std::vector<double> p(kWords);
    double total = 0;
    for (const TokenLogprob& t : e.token.top)
      if (t.id < kWords) total += p[static_cast<size_t>(t.id)] = std::exp(static_cast<double>(t.logprob));
    for (double& x : p) x /= total;
    return p;
  };
  std::vector<double> third(kWords, 0.0);
  const auto with = [](Ids ids, int id) {
    ids.push_back(id);
    return ids;
  };
  const auto p1 = next(r.ids);
  for (int a = 0; a < kWords; ++a) {
    const auto p2 = next(with(r.ids, a));
    for (int b = 0; b < kWords; ++b) {
      const auto p3 = next(with(with(r.ids, a), b));
      for (size_t c = 0; c < kWords; ++c)
        third[c] += p1[static_cast<size_t>(a)] * p2[static_cast<size_t>(b)] * p3[c];
    }
  }
  auto engine = start({.max_seqs = 8, .draft = DraftSource::ngram, .max_draft = 3, .draft_adapts = false});
  r.max_new_tokens = 3;
  std::vector<int> found(kWords, 0);
  std::vector<std::shared_ptr<EventQueue>> queues;
  for (uint64_t seed = 0; seed < kTrials; ++seed) {
    r.sampling.seed = seed;
    queues.push_back(submit(*engine, r));
  }
  for (const auto& q : queues) ++found[static_cast<size_t>(wait_for(*q).ids.at(2))];
  double chi = 0.0;
  for (size_t c = 0; c < kWords; ++c) {
    const double e = third[c] * kTrials;
    chi += (found[c] - e) * (found[c] - e) / e;
  }
  EXPECT_LT(chi, 21.1);  // three degrees of freedom: one in 10,000
  EXPECT_GT(engine->stats().accepted_drafts, 5);
  EXPECT_GT(engine->stats().drafted_tokens - engine->stats().accepted_drafts, 5);
}

INSTANTIATE_TEST_SUITE_P(Models, SpeculationTest,
                         testing::Values("qwen3", "toy", "qwen3_5_text", "qwen3_next"),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace qw
