#include "apps/forward_runner.h"

#include "apps/memory.h"

namespace qw::apps {

Result<std::unique_ptr<ForwardRunner>> ForwardRunner::create(const Model& model, Backend& backend,
                                                             const Options& options) {
  QW_CHECK(options.streams > 0 && options.max_tokens > 0);
  std::unique_ptr<ForwardRunner> runner(new ForwardRunner(model, backend, options));
  runner->pages_each_ = (options.max_tokens + kPageTokens - 1) / kPageTokens;
  const KvPoolOptions pool{
      .n_pages = runner->pages_each_ * options.streams, .n_slots = options.streams, .dtype = options.kv};
  const std::vector<LayerCache> caches = model.cache_spec();
  QW_TRY(check_free_memory(KvPool::page_bytes(caches, pool.dtype) * static_cast<size_t>(pool.n_pages) +
                           KvPool::slot_bytes(caches, backend.real()) * static_cast<size_t>(pool.n_slots)));
  QW_TRY(runner->pool_, KvPool::create(backend, model.cache_spec(), pool));
  runner->reset();
  return runner;
}

void ForwardRunner::reset() {
  length_ = 0;
  if (!recurrent()) return;
  for (int s = 0; s < options_.streams; ++s) pool_->clear_slot(s);
}

void ForwardRunner::rewind(int n_tokens) {
  QW_CHECK(n_tokens <= length_ && (n_tokens == 0 || !recurrent()));
  if (n_tokens == 0) return reset();
  length_ = n_tokens;
}

Batch ForwardRunner::make_batch(std::span<const int32_t> ids) const {
  const int n = static_cast<int>(ids.size()) / options_.streams;
  QW_CHECK(n > 0 && static_cast<size_t>(n) * static_cast<size_t>(options_.streams) == ids.size());
  QW_CHECK(length_ + n <= pages_each_ * kPageTokens, "{} + {} tokens", length_, n);
  Batch batch;
  batch.ids.assign(ids.begin(), ids.end());
  batch.plan.pool = pool_.get();
  batch.plan.cu_q.push_back(0);
  AttnPlan::Table table;
  table.max_blocks = (length_ + n + kPageTokens - 1) / kPageTokens;
  for (int s = 0; s < options_.streams; ++s) {
    for (int i = 0; i < n; ++i) batch.positions.push_back(length_ + i);
    batch.plan.cu_q.push_back((s + 1) * n);
    batch.plan.kv_len.push_back(length_ + n);
    batch.plan.n_prompt.push_back(options_.max_tokens);
    for (int b = 0; b < table.max_blocks; ++b) table.pages.push_back(s * pages_each_ + b);
    if (recurrent()) batch.plan.state_slots.push_back(s);
  }
  batch.plan.tables.assign(pool_->groups().size(), table);
  return batch;
}

Tensor ForwardRunner::step(std::span<const int32_t> ids, Rows wanted, const Trace* trace) {
  Batch batch = make_batch(ids);
  const int rows = batch.n_rows(), n = rows / options_.streams;
  // The models compute the head for some row always: one row where none is wanted.
  const int first = wanted == Rows::all ? 0 : n - 1;
  for (int s = 0; s < (wanted == Rows::none ? 1 : options_.streams); ++s)
    for (int i = first; i < n; ++i) batch.logit_rows.push_back(s * n + i);
  arena_.reset();
  Ctx cx{backend_, arena_, nullptr, trace, options_.inputs};
  const AdapterMap adapters{{0, rows, options_.adapter}};
  if (options_.adapter) cx.adapters = &adapters;
  const Tensor logits = model_.forward(cx, batch);
  length_ += n;
  return logits;
}

std::vector<float> to_host(Ctx& cx, const Tensor& t) {
  Tensor dense = t;
  if (!t.contiguous() || t.dtype() != DType::f32) {
    dense = cx.arena.alloc(t.shape(), DType::f32);
    cx.backend.copy(dense, t);
  }
  std::vector<float> out(static_cast<size_t>(t.elements()));
  cx.backend.download(out.data(), dense);
  return out;
}

}  // namespace qw::apps
