#include "golden/model_runner.h"

#include <stdlib.h>

#include <algorithm>
#include <numeric>

#include "backend/cpu/cpu_backend.h"
#include "io/checkpoint.h"
#include "ops/linear.h"

namespace qw::golden {

namespace fs = std::filesystem;

Host<float> download(Backend& backend, const Tensor& t) {
  Host<float> out{{t.shape().dims().begin(), t.shape().dims().end()},
                  std::vector<float>(static_cast<size_t>(t.elements()))};
  if (!t.contiguous() || t.dtype() != DType::f32) {
    ADD_FAILURE() << "download of a tensor that is no contiguous f32";
  } else {
    backend.download(out.values.data(), t);
  }
  return out;
}

std::unique_ptr<Runner> Runner::open(const fs::path& path, std::string_view isa, bool trainable) {
  auto backend = make_cpu_backend({.threads = 2, .isa = std::string(isa)});
  auto checkpoint = open_checkpoint(path);
  if (!backend || !checkpoint) {
    ADD_FAILURE() << (backend ? checkpoint.error() : backend.error()).debug();
    return nullptr;
  }
  auto loaded = load_model(checkpoint->config, *checkpoint->weights, **backend,
                           {.strict = true, .trainable = trainable});
  if (!loaded) {
    ADD_FAILURE() << loaded.error().debug();
    return nullptr;
  }
  return std::unique_ptr<Runner>(new Runner(*std::move(backend), std::move(loaded->model)));
}

Runner::Runner(std::unique_ptr<Backend> backend, std::unique_ptr<Model> model)
    : backend_(std::move(backend)), model_(std::move(model)), arena_(*backend_) {}

Host<float> Runner::logits(const std::vector<int32_t>& ids, Taps* taps) {
  const Trace trace = [&](std::string_view name, const Tensor& value) {
    taps->emplace(name, download(*backend_, value));
  };
  Ctx cx{.backend = *backend_, .arena = arena_, .trace = taps == nullptr ? nullptr : &trace};
  const Batch batch = dense_batch({ids});
  Host<float> out = download(*backend_, model_->forward(cx, batch));
  arena_.reset();
  return out;
}

std::unique_ptr<KvPool> Runner::pool_for(size_t n_tokens) {
  const auto pages = static_cast<int>((n_tokens + kPageTokens - 1) / kPageTokens);
  auto pool = KvPool::create(*backend_, model_->cache_spec(),
                             {.n_pages = pages, .n_slots = 1, .dtype = backend_->real()});
  if (!pool) {
    ADD_FAILURE() << pool.error().debug();
    return nullptr;
  }
  (*pool)->clear_slot(0);
  return *std::move(pool);
}

// Every group lays the sequence on the pages from the last to the first, so that order alone cannot be right
// by chance.
Batch Runner::batch_of(KvPool& pool, const std::vector<int32_t>& ids, int32_t position, bool all_rows) const {
  const auto n = static_cast<int32_t>(ids.size());
  Batch batch;
  batch.ids = ids;
  batch.positions.resize(ids.size());
  std::iota(batch.positions.begin(), batch.positions.end(), position);
  batch.logit_rows.resize(all_rows ? ids.size() : 1);
  std::iota(batch.logit_rows.begin(), batch.logit_rows.end(), all_rows ? 0 : n - 1);
  batch.plan.cu_q = {0, n};
  batch.plan.kv_len = {position + n};
  batch.plan.n_prompt = {n_prompt_};
  batch.plan.pool = &pool;
  if (pool.has_recurrent()) batch.plan.state_slots = {0};
  AttnPlan::Table table{.pages = std::vector<int32_t>(static_cast<size_t>(pool.options().n_pages)),
                        .max_blocks = pool.options().n_pages};
  std::iota(table.pages.rbegin(), table.pages.rend(), 0);
  batch.plan.tables.assign(pool.groups().size(), table);
  return batch;
}

Host<float> Runner::step(KvPool& pool, const std::vector<int32_t>& ids, int32_t position, bool all_rows) {
  const Batch batch = batch_of(pool, ids, position, all_rows);
  Ctx cx{.backend = *backend_, .arena = arena_};
  Host<float> out = download(*backend_, model_->forward(cx, batch));
  arena_.reset();
  return out;
}

Host<float> Runner::mtp_logits(const std::vector<int32_t>& ids, size_t cut) {
  Host<float> out{{0, info().vocab}, {}};
  const auto pool = pool_for(ids.size());
  if (!pool) return out;
  const size_t n = ids.size() - 1;
  for (size_t begin = 0, end = std::min(cut, n); begin < n; begin = end, end = n) {
    const auto part = [&](size_t shift) {
      return std::vector<int32_t>(ids.begin() + static_cast<ptrdiff_t>(begin + shift),
                                  ids.begin() + static_cast<ptrdiff_t>(end + shift));
    };
    const Batch read = batch_of(*pool, part(0), static_cast<int32_t>(begin), true);
    const Batch draft = batch_of(*pool, part(1), static_cast<int32_t>(begin), true);
    Ctx cx{.backend = *backend_, .arena = arena_};
    const Tensor features = model_->mtp_features(cx, model_->features(cx, read), draft);
    const Host<float> rows = download(*backend_, ops::linear(cx, features, model_->head()));
    out.shape[0] += rows.shape[0];
    out.values.insert(out.values.end(), rows.values.begin(), rows.values.end());
    arena_.reset();
  }
  return out;
}

std::vector<int32_t> Runner::mtp_chain(const std::vector<int32_t>& ids, size_t n) {
  std::vector<int32_t> out;
  const auto pool = pool_for(ids.size() + n);
  if (!pool) return out;
  Ctx cx{.backend = *backend_, .arena = arena_};
  std::vector<int32_t> next(ids.begin() + 1, ids.end());
  const Batch prompt = batch_of(*pool, {ids.begin(), ids.end() - 1}, 0, true);
  Tensor hidden = model_->features(cx, prompt);
  for (int32_t position = 0; out.size() < n;) {
    const Batch draft = batch_of(*pool, next, position, false);
    hidden = model_->mtp_features(cx, hidden, draft);  // [1, D]
    const Host<float> logits = download(*backend_, ops::linear(cx, hidden, model_->head()));
    const auto best = std::max_element(logits.values.begin(), logits.values.end());
    out.push_back(static_cast<int32_t>(best - logits.values.begin()));
    position += static_cast<int32_t>(next.size());
    next = {out.back()};
  }
  arena_.reset();
  return out;
}

Host<float> Runner::paged_logits(const std::vector<int32_t>& ids, States* states) {
  const auto pool = pool_for(ids.size());
  if (!pool) return {};
  n_prompt_ = static_cast<int32_t>(ids.size());
  Host<float> out = step(*pool, ids, 0, true);
  for (int il = 0; states != nullptr && il < model_->info().n_layers; ++il)
    if (const Tensor state = pool->state(il); state.defined())
      states->emplace(il, download(*backend_, state));
  return out;
}

Host<float> Runner::chunked_logits(const std::vector<int32_t>& ids, size_t chunk) {
  const auto pool = pool_for(ids.size());
  Host<float> out;
  if (!pool) return out;
  n_prompt_ = static_cast<int32_t>(ids.size());
  for (size_t begin = 0; begin < ids.size(); begin += chunk) {
    const size_t end = std::min(begin + chunk, ids.size());
    const std::vector<int32_t> part(ids.begin() + static_cast<ptrdiff_t>(begin),
                                    ids.begin() + static_cast<ptrdiff_t>(end));
    const Host<float> rows = step(*pool, part, static_cast<int32_t>(begin), true);
    out.shape = {static_cast<int64_t>(end), rows.shape[1]};
    out.values.insert(out.values.end(), rows.values.begin(), rows.values.end());
  }
  return out;
}

std::vector<int32_t> Runner::greedy(const std::vector<int32_t>& ids, size_t n) {
  std::vector<int32_t> out, next = ids;
  const auto pool = pool_for(ids.size() + n);
  if (!pool) return out;
  auto position = int32_t{0};
  n_prompt_ = static_cast<int32_t>(ids.size());
  while (out.size() < n) {
    const Host<float> logits = step(*pool, next, position, false);
    position += static_cast<int32_t>(next.size());
    const auto best = std::max_element(logits.values.begin(), logits.values.end());
    out.push_back(static_cast<int32_t>(best - logits.values.begin()));
    next = {out.back()};
  }
  return out;
}

namespace {

// The expected logits of a prompt: all rows, or the last ones of the longest.
void expect_logits(Expected& expected, const std::string& prompt, const Host<float>& got, double tolerance) {
  const std::string whole = prompt + ".logits", last = prompt + ".logits_last16";
  if (expected.has(whole)) {
    EXPECT_TRUE(compare(whole, got, expected.f32(whole), tolerance));
  }
  if (expected.has(last)) {
    EXPECT_TRUE(compare(last, last_rows(got, 16), expected.f32(last), tolerance));
  }
}

}  // namespace

void expect_prompts(Runner& runner, Expected& expected, double tolerance) {
  for (const std::string prompt : {"case0", "case1", "case2", "case3"}) {
    const std::vector<int32_t> ids = expected.ids(prompt + ".input_ids");
    ASSERT_FALSE(ids.empty());
    {
      SCOPED_TRACE("dense path");
      expect_logits(expected, prompt, runner.logits(ids), tolerance);
    }
    SCOPED_TRACE("paged path");
    expect_logits(expected, prompt, runner.paged_logits(ids), tolerance);
    const std::vector<int32_t> greedy = expected.ids(prompt + ".greedy");
    EXPECT_EQ(runner.greedy(ids, greedy.size()), greedy) << prompt;
  }
}

// The reference keeps the last `taps` inputs [C, taps]; a state here the taps − 1 that the next row needs,
// [taps − 1, C], and then the matrices.
void expect_states(Expected& want, const std::string& prompt, const States& states, double tolerance) {
  for (const auto& [layer, state] : states) {
    const std::string name = prompt + ".state." + std::to_string(layer);
    if (!want.has(name + ".conv")) continue;
    const Host<float> conv = want.f32(name + ".conv"), matrix = want.f32(name + ".recurrent");
    const auto channels = static_cast<size_t>(conv.shape[0]), taps = static_cast<size_t>(conv.shape[1]);
    ASSERT_EQ(state.values.size(), (taps - 1) * channels + matrix.values.size());
    Host<float> expected{{static_cast<int64_t>(state.values.size())}, {}};
    for (size_t j = 1; j < taps; ++j)
      for (size_t c = 0; c < channels; ++c) expected.values.push_back(conv.values[c * taps + j]);
    expected.values.insert(expected.values.end(), matrix.values.begin(), matrix.values.end());
    EXPECT_TRUE(compare(name, state, expected, tolerance));
  }
}

WithConfig::WithConfig(const fs::path& from, std::string_view config) {
  std::string name = (fs::temp_directory_path() / "qw_golden_XXXXXX").string();
  path_ = ::mkdtemp(name.data());
  for (const fs::directory_entry& e : fs::directory_iterator(from)) {
    const std::string file = e.path().filename().string();
    if (file != "config.json" && file != "config.legacy.json")
      fs::create_symlink(fs::absolute(e.path()), path_ / file);
  }
  fs::copy_file(from / config, path_ / "config.json");
}

WithConfig::~WithConfig() {
  std::error_code ec;
  fs::remove_all(path_, ec);
}

}  // namespace qw::golden
