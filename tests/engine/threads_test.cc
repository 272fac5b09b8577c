// Clients on many threads against one engine; meant for the preset `tsan` as much as for this one.
#include <gtest/gtest.h>

#include <thread>

#include "backend/cpu/cpu_backend.h"
#include "engine/engine.h"
#include "tests/engine/tiny_models.h"

namespace qw {
namespace {

TEST(EngineThreads, SubmitAndCancelFromEverywhere) {
  auto backend = make_cpu_backend({.threads = 2, .isa = {}});
  ASSERT_TRUE(backend.has_value());
  std::mt19937 rng(1);
  const std::shared_ptr<const Model> model = test::tiny_model(test::tiny_config("qwen2", rng), **backend, 1);
  const size_t kv_bytes = 12 * KvPool::page_bytes(model->cache_spec(), DType::f16);
  auto engine = Engine::create(
      model, **backend, {.ctx_tokens = 128, .max_batch_tokens = 32, .max_seqs = 6, .kv_bytes = kv_bytes});
  ASSERT_TRUE(engine.has_value());
  constexpr int kClients = 6, kRequests = 12;
  std::atomic<int> n_terminal = 0, n_after = 0, n_tokens = 0;
  auto client = [&](int c) {
    for (int i = 0; i < kRequests; ++i) {
      auto queue = std::make_shared<EventQueue>();
      Request r;
      for (int k = 0; k < 3 + 9 * i % 80; ++k) r.ids.push_back((k * 7 + c) % 50);
      r.max_new_tokens = 8;
      r.key.tenant = static_cast<uint64_t>(c % 3);
      if (i == 5) r.ids.clear();  // an error
      const RequestId id = (*engine)->submit(std::move(r), sink_to(queue));
      if (i % 3 == 1) (*engine)->cancel(id);
      (void)(*engine)->stats();
      while (queue->pop().kind == Event::Kind::token) {
        ++n_tokens;
        if (i % 3 == 2) (*engine)->cancel(id);
      }
      ++n_terminal;
      if (queue->try_pop()) ++n_after;
    }
  };
  std::vector<std::thread> threads;
  for (int c = 0; c < kClients; ++c) threads.emplace_back(client, c);
  for (std::thread& t : threads) t.join();
  EXPECT_EQ(n_terminal, kClients * kRequests);
  EXPECT_EQ(n_after, 0);
  EXPECT_GE(n_tokens, kClients * 4 * 8);  // those that nobody cancelled
  EXPECT_EQ((*engine)->stats().owned_pages, 0);
}

}  // namespace
}  // namespace qw
