// Adapters of a served model: several and none in one batch, dropped while they run, never mixed up by the
// prefix cache.
#include <gtest/gtest.h>

#include <atomic>
#include <thread>

#include "backend/cpu/cpu_backend.h"
#include "engine/engine.h"
#include "tests/engine/tiny_models.h"

namespace qw {
namespace {

// An adapter with random A and B on every matrix, the head included.
std::shared_ptr<AdapterSet> random_adapter(Model& model, Backend& backend, uint64_t seed, int64_t rank) {
  WeightList list;
  model.visit(list);
  auto set = std::make_shared<AdapterSet>();
  const auto fill = [&](Weight& w, const std::string& name, const Shape& shape) {
    w.name = name;
    w.shape = shape;
    const std::vector<float> x = test::random_values(name, shape.dims(), seed);
    w.data = Tensor(backend.alloc(x.size() * sizeof(float)).value(), 0, shape, DType::f32);
    backend.upload(w.data, x.data());
  };
  for (const Weight* w : list.weights()) {
    if (w->shape.rank() != 2) continue;
    Lora lora;
    lora.scale = 0.5;
    fill(lora.a, w->name + ".a", {rank, w->cols()});
    fill(lora.b, w->name + ".b", {w->rows(), rank});
    set->add(w->name, std::move(lora));
  }
  return set;
}

struct Said {
  std::vector<int32_t> ids;
  std::vector<double> logprobs;  // of each token and its likeliest rivals
  std::string error;             // code
  friend bool operator==(const Said&, const Said&) = default;
};

Said listen(EventQueue& queue) {
  Said said;
  for (Event e = queue.pop();; e = queue.pop()) {
    if (e.kind == Event::Kind::finished) {
      if (e.error) said.error = e.error->code();
      return said;
    }
    said.ids.push_back(e.token.id);
    said.logprobs.push_back(e.token.logprob);
    for (const TokenLogprob& t : e.token.top) said.logprobs.push_back(t.logprob);
  }
}

class EngineAdapters : public testing::TestWithParam<QuantFormat> {
 protected:
  EngineAdapters() {
    std::mt19937 rng(3);
    Json config = test::tiny_config("qwen3", rng);
    config.update(Json{{"hidden_size", 64}, {"intermediate_size", 96}, {"vocab_size", 97}});
    config["tie_word_embeddings"] = GetParam() == QuantFormat::q8_0;
    model = test::tiny_model(config, *backend, 1, GetParam());
    for (uint64_t i = 0; i < 3; ++i)
      sets.push_back(random_adapter(*model, *backend, 10 + i, static_cast<int64_t>(2 * i + 1)));
  }

  std::unique_ptr<Engine> start(const EngineOptions& options) {
    auto engine = Engine::create(model, *backend, options);
    QW_CHECK(engine.has_value(), "{}", engine.error().debug());
    for (size_t i = 0; i < sets.size(); ++i)
      EXPECT_EQ((*engine)->add_adapter("a" + std::to_string(i), sets[i]).value(), i + 1);
    return *std::move(engine);
  }

  // One prompt for every adapter and none, the same beginning, long enough for shared pages.
  static Request request(uint64_t adapter, int i) {
    Request r;
    for (int k = 0; k < 70 + 5 * i; ++k) r.ids.push_back((k * 13 + (k < 64 ? 0 : i)) % 97);
    r.max_new_tokens = 12 + i;
    r.sampling = {.temperature = 1.0};
    r.sampling.logprobs = 5;
    r.sampling.seed = static_cast<uint64_t>(i);
    r.key.adapter = adapter;
    return r;
  }

  std::unique_ptr<Backend> backend = make_cpu_backend({.threads = 2, .isa = {}}).value();
  std::shared_ptr<Model> model;
  std::vector<std::shared_ptr<AdapterSet>> sets;
};

TEST_P(EngineAdapters, OneBatchOfThreeAndNoneSaysWhatEachSaysAlone) {
  std::vector<Said> alone;
  {
    const auto engine = start({.ctx_tokens = 256, .max_seqs = 1, .prefix_cache = false});
    for (int i = 0; i < 8; ++i) {
      auto queue = std::make_shared<EventQueue>();
      engine->submit(request(static_cast<uint64_t>(i % 4), i), sink_to(queue));
      alone.push_back(listen(*queue));
    }
  }
  EXPECT_NE(alone[0].ids, alone[1].ids);  // they differ indeed
  EXPECT_NE(alone[1].ids, alone[2].ids);
  const auto engine = start({.ctx_tokens = 256, .max_batch_tokens = 100, .max_seqs = 8});
  for (int round = 0; round < 2; ++round) {  // the second round finds prefixes
    std::vector<std::shared_ptr<EventQueue>> queues;
    for (int i = 0; i < 8; ++i) {
      queues.push_back(std::make_shared<EventQueue>());
      engine->submit(request(static_cast<uint64_t>(i % 4), i), sink_to(queues.back()));
    }
    for (size_t i = 0; i < 8; ++i) EXPECT_EQ(listen(*queues[i]), alone[i]) << "request " << i;
  }
  EXPECT_GT(engine->stats().cached_tokens, 0);
}

// The whole forward pass, logits of some rows alone, bit for bit.
TEST_P(EngineAdapters, LogitsOfAMixedBatchEqualSeparateOnes) {
  const auto logits = [&](const Batch& batch, const AdapterMap& map) {
    Arena arena(*backend);
    Ctx cx{*backend, arena};
    cx.adapters = map.empty() ? nullptr : &map;
    const Tensor t = model->forward(cx, batch);
    std::vector<float> out(static_cast<size_t>(t.elements()));
    backend->download(out.data(), t);
    return out;
  };
  std::vector<std::vector<int32_t>> documents;
  for (int i = 0; i < 4; ++i) documents.push_back(request(0, i).ids);
  Batch mixed = dense_batch(documents);
  mixed.logit_rows.clear();
  AdapterMap map;
  for (size_t i = 0; i < 4; ++i) {
    const int32_t begin = mixed.plan.cu_q[i], end = mixed.plan.cu_q[i + 1];
    if (i > 0) map.push_back({begin, end, sets[i - 1]});
    if (i != 2) mixed.logit_rows.insert(mixed.logit_rows.end(), {begin + 3, end - 1});  // none of the third
  }
  std::vector<float> separate;
  for (size_t i : {0U, 1U, 3U}) {
    Batch one = dense_batch({documents[i]});
    one.logit_rows = {3, one.n_rows() - 1};
    const auto part = logits(one, i == 0 ? AdapterMap{} : AdapterMap{{0, one.n_rows(), sets[i - 1]}});
    separate.insert(separate.end(), part.begin(), part.end());
  }
  EXPECT_EQ(logits(mixed, map), separate);
}

TEST_P(EngineAdapters, ADroppedAdapterServesThoseThatHaveIt) {
  const auto engine = start({.ctx_tokens = 256, .max_seqs = 1});  // the second request waits
  Said undisturbed[2];
  for (int i = 0; i < 2; ++i) {
    auto queue = std::make_shared<EventQueue>();
    engine->submit(request(2, i), sink_to(queue));
    undisturbed[i] = listen(*queue);
  }
  const std::weak_ptr<AdapterSet> watched = sets[1];
  sets[1].reset();
  std::shared_ptr<EventQueue> queues[2];
  for (int i = 0; i < 2; ++i) {
    queues[i] = std::make_shared<EventQueue>();
    engine->submit(request(2, i), sink_to(queues[i]));
  }
  EXPECT_TRUE(engine->drop_adapter("a1"));
  EXPECT_FALSE(engine->drop_adapter("a1"));
  auto late = std::make_shared<EventQueue>();
  engine->submit(request(2, 0), sink_to(late));
  for (int i = 0; i < 2; ++i) EXPECT_EQ(listen(*queues[i]), undisturbed[i]);
  EXPECT_EQ(listen(*late).error, "engine.unknown_adapter");
  // Whoever comes after the last request finds the engine done with it.
  auto after = std::make_shared<EventQueue>();
  engine->submit(request(0, 0), sink_to(after));
  listen(*after);
  EXPECT_TRUE(watched.expired());
}

TEST_P(EngineAdapters, NumbersAreNeverGivenTwice) {
  const auto engine = start({.ctx_tokens = 128, .max_seqs = 1});
  EXPECT_EQ(engine->add_adapter("a0", sets[2]).error().code(), "engine.adapter_exists");
  EXPECT_EQ(engine->adapters(), (std::map<std::string, uint64_t>{{"a0", 1}, {"a1", 2}, {"a2", 3}}));
  EXPECT_TRUE(engine->drop_adapter("a0"));
  EXPECT_EQ(engine->add_adapter("a0", sets[2]).value(), 4U);
  for (const uint64_t id : {uint64_t{1}, uint64_t{5}, ~uint64_t{0}}) {
    auto queue = std::make_shared<EventQueue>();
    engine->submit(request(id, 0), sink_to(queue));
    const Said said = listen(*queue);
    EXPECT_EQ(said.error, "engine.unknown_adapter");
    EXPECT_TRUE(said.ids.empty());
  }
}

TEST_P(EngineAdapters, ComeAndGoFromManyThreads) {
  const auto engine = start({.ctx_tokens = 128, .max_batch_tokens = 32, .max_seqs = 4});
  std::atomic<int> n_ended = 0, n_unknown = 0;
  const auto client = [&](int c) {
    const std::string name = "mine" + std::to_string(c);
    for (int i = 0; i < 10; ++i) {
      const uint64_t id = engine->add_adapter(name, sets[static_cast<size_t>(c)]).value();
      std::shared_ptr<EventQueue> queues[2];
      for (auto& queue : queues) {
        queue = std::make_shared<EventQueue>();
        Request r = request(id, i % 3);
        r.max_new_tokens = 4;
        engine->submit(std::move(r), sink_to(queue));
        engine->drop_adapter(name);
      }
      for (auto& queue : queues) {
        n_unknown += listen(*queue).error == "engine.unknown_adapter" ? 1 : 0;
        ++n_ended;
      }
    }
  };
  std::vector<std::thread> threads;
  for (int c = 0; c < 3; ++c) threads.emplace_back(client, c);
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(n_ended, 60);
  EXPECT_EQ(n_unknown, 30);
}

INSTANTIATE_TEST_SUITE_P(Formats, EngineAdapters, testing::Values(QuantFormat::f32, QuantFormat::q8_0),
                         [](const auto& p) { return std::string(traits(p.param).name); });

}  // namespace
}  // namespace qw
