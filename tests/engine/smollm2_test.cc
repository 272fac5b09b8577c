// The small real model of ../shared/models through the engine: eleven conversations at once, greedy ids equal
// to those of the reference library. Skips where the folder is absent.
#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

#include "backend/cpu/cpu_backend.h"
#include "base/env.h"
#include "engine/engine.h"
#include "io/checkpoint.h"

namespace qw {
namespace {

namespace fs = std::filesystem;

TEST(SmolLm2, ElevenConversationsAtOnceEqualTheReference) {
  const fs::path shared = env("QW_SHARED").value_or(QW_SOURCE_DIR "/../shared");
  const fs::path file = shared / "models/SmolLM2-135M-Instruct.Q4_1.gguf";
  std::ifstream reference(shared / "models/smollm2-reference.jsonl");
  if (!fs::exists(file) || !reference) GTEST_SKIP() << "no model in " << shared;
  auto backend = make_cpu_backend({.threads = 2, .isa = {}});
  ASSERT_TRUE(backend.has_value());
  auto checkpoint = open_checkpoint(file);
  ASSERT_TRUE(checkpoint.has_value()) << checkpoint.error().debug();
  auto loaded = load_model(checkpoint->config, *checkpoint->weights, **backend);
  ASSERT_TRUE(loaded.has_value()) << loaded.error().debug();
  const std::shared_ptr<Model> model = std::move(loaded->model);

  const EngineOptions options{
      .ctx_tokens = 512, .kv_dtype = DType::f32, .max_batch_tokens = 128, .max_seqs = 11};
  const auto memory = plan_memory(*model, DType::f32, options);
  ASSERT_TRUE(memory.has_value());
  EXPECT_GT(memory->weight_bytes, 90'000'000U);
  EXPECT_LT(memory->activation_bytes, 32'000'000U);  // of one layer and the logits, not of thirty layers

  auto engine = Engine::create(model, **backend, options);
  ASSERT_TRUE(engine.has_value());
  std::vector<std::vector<int32_t>> expected;
  std::vector<std::shared_ptr<EventQueue>> queues;
  for (std::string line; std::getline(reference, line);) {
    const auto json = parse_json(line, "smollm2-reference.jsonl");
    ASSERT_TRUE(json.has_value());
    expected.push_back((*json)["greedy"].get<std::vector<int32_t>>());
    queues.push_back(std::make_shared<EventQueue>());
    Request r{.ids = (*json)["ids"].get<std::vector<int32_t>>(), .stop_ids = {2}};
    r.max_new_tokens = 48;
    (*engine)->submit(std::move(r), sink_to(queues.back()));
  }
  ASSERT_EQ(expected.size(), 11U);
  for (size_t i = 0; i < expected.size(); ++i) {
    std::vector<int32_t> ids;
    Event e;
    while ((e = queues[i]->pop()).kind == Event::Kind::token) ids.push_back(e.token.id);
    EXPECT_EQ(ids, expected[i]) << "conversation " << i;
    EXPECT_EQ(e.reason, ids.back() == 2 ? FinishReason::stop : FinishReason::length);
  }
}

}  // namespace
}  // namespace qw
