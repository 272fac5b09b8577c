#include "engine/options.h"

#include <algorithm>
#include <limits>
#include <numeric>

#include "core/kv_pool.h"
#include "engine/dry_backend.h"

namespace qw {
namespace {

constexpr int kMostDraft = 16, kMostRecurrentDraft = 4;  // tokens
constexpr int kMostPadding = 512;  // rows of the head by which models of one family differ

class WeightBytesVisitor : public Visitor {
 public:
  size_t bytes = 0;

 protected:
  void on_weight(Weight& w, ShardAxis) override {
    if (w.defined()) bytes += w.data.bytes();
  }
};

// The largest step: as many sequences as may run, prompts among them that take the budget up.
Batch largest_batch(const EngineLimits& limits, KvPool& pool) {
  Batch b;
  b.plan.pool = &pool;
  b.plan.cu_q.push_back(0);
  const int blocks = (limits.ctx_tokens + kPageTokens - 1) / kPageTokens;
  for (int s = 0; s < limits.max_seqs; ++s) {
    const int others = limits.max_seqs - s - 1;  // a row each
    const int rows = std::min(limits.max_batch_tokens - b.n_rows() - others, limits.ctx_tokens);
    for (int i = 0; i < rows; ++i) {
      b.ids.push_back(0);
      b.positions.push_back(limits.ctx_tokens - rows + i);
    }
    b.plan.cu_q.push_back(b.n_rows());
    b.plan.kv_len.push_back(limits.ctx_tokens);
    if (limits.n_slots > 0) b.plan.state_slots.push_back(s);
  }
  for (int r = std::max(0, b.n_rows() - limits.max_seqs * (1 + limits.max_draft)); r < b.n_rows(); ++r)
    b.logit_rows.push_back(r);
  AttnPlan::Table table;
  table.max_blocks = blocks;
  table.pages.assign(static_cast<size_t>(blocks) * static_cast<size_t>(limits.max_seqs), 0);
  b.plan.tables.assign(pool.groups().size(), table);
  return b;
}

// An adapter on every matrix, without memory.
class DryAdapter : public Visitor {
 public:
  DryAdapter(Backend& backend, int64_t rank) : backend_(backend), rank_(rank) {}
  std::shared_ptr<AdapterSet> set = std::make_shared<AdapterSet>();
  size_t bytes = 0;

 protected:
  void on_weight(Weight& w, ShardAxis) override {
    if (rank_ == 0 || w.shape.rank() != 2) return;
    Lora lora;
    make(lora.a, {rank_, w.cols()});
    make(lora.b, {w.rows(), rank_});
    set->add(w.name, std::move(lora));
  }

 private:
  void make(Weight& w, const Shape& shape) {
    w.shape = shape;
    const auto size = static_cast<size_t>(shape.elements() * traits(backend_.real()).bytes);
    auto storage = backend_.alloc(size);
    QW_CHECK(storage.has_value());
    w.data = Tensor(*std::move(storage), 0, shape, backend_.real());
    bytes += size;
  }
  Backend& backend_;
  int64_t rank_;
};

size_t count_activations(Model& model, DType real, const EngineLimits& limits, const EngineOptions& options) {
  DryBackend backend(real);
  const KvPoolOptions pages{limits.n_pages, limits.n_slots + limits.n_draft_slots, options.kv_dtype};
  const auto pool = KvPool::create(backend, model.cache_spec(), pages);
  QW_CHECK(pool.has_value());
  Arena arena(backend);
  Ctx cx{backend, arena};
  DryAdapter adapter(backend, options.adapter_rank);
  model.visit(adapter);
  const Batch batch = largest_batch(limits, **pool);
  const AdapterMap adapters{{0, batch.n_rows(), adapter.set}};
  if (options.adapter_rank > 0) cx.adapters = &adapters;
  if (options.draft == DraftSource::mtp) {
    Batch all = batch;
    all.logit_rows.resize(all.ids.size());
    std::iota(all.logit_rows.begin(), all.logit_rows.end(), 0);
    const Tensor features = model.features(cx, all);
    model.mtp_features(cx, features, batch);
  }
  model.forward(cx, batch);
  return arena.peak_bytes();
}

// Half of the snapshots are enough for a whole context; closer ones than this would cost more than they save.
int snapshot_distance(int ctx_tokens, int n_snapshots) {
  constexpr int kLeast = 8 * kPageTokens;
  const int n = ctx_tokens / std::max(1, n_snapshots / 2);
  return std::max(kLeast, (n + kPageTokens - 1) / kPageTokens * kPageTokens);
}

Result<int> draft_depth(const Model& model, const EngineOptions& options) {
  if (options.draft == DraftSource::off) return 0;
  if (options.draft == DraftSource::mtp && !model.has_mtp())
    return fail("engine.no_mtp", {{"model", model.info().model_type}});
  if (options.draft == DraftSource::model) {
    QW_CHECK(options.draft_model != nullptr);
    const int vocab = options.draft_model->info().vocab;
    if (std::abs(vocab - model.info().vocab) > kMostPadding)
      return fail("engine.draft_vocab", {{"draft", vocab}, {"vocab", model.info().vocab}});
  }
  return std::clamp(options.max_draft, 1, kMostDraft);
}

size_t draft_bytes(Model& model, DType real, const MemoryPlan& plan, EngineOptions options) {
  WeightBytesVisitor weights;
  model.visit(weights);
  options.draft = DraftSource::off;
  options.adapter_rank = 0;
  const std::vector<LayerCache> caches = model.cache_spec();
  EngineLimits limits = plan.limits;
  limits.max_draft = 0;
  limits.n_draft_slots = limits.max_seqs;
  limits.n_slots = KvPool::slot_bytes(caches, real) > 0 ? limits.max_seqs + kDraftModelSnapshots : 0;
  return weights.bytes + static_cast<size_t>(limits.n_pages) * KvPool::page_bytes(caches, options.kv_dtype) +
         static_cast<size_t>(limits.n_slots + limits.n_draft_slots) * KvPool::slot_bytes(caches, real) +
         count_activations(model, real, limits, options);
}

}  // namespace

Result<EngineLimits> engine_limits(const Model& model, DType real, const EngineOptions& options) {
  const int allowed = model.info().max_positions;
  if (options.ctx_tokens > allowed)
    return fail("engine.context_too_long", {{"tokens", options.ctx_tokens}, {"limit", allowed}});
  EngineLimits out;
  out.ctx_tokens = options.ctx_tokens > 0 ? options.ctx_tokens : allowed;
  out.max_seqs = std::max(options.max_seqs, 1);
  out.max_batch_tokens = std::max(options.max_batch_tokens, out.max_seqs);
  const std::vector<LayerCache> caches = model.cache_spec();
  const int64_t page_bytes = static_cast<int64_t>(KvPool::page_bytes(caches, options.kv_dtype));
  const int64_t ctx_pages = (int64_t{out.ctx_tokens} + kPageTokens - 1) / kPageTokens;
  const int64_t most = std::numeric_limits<int32_t>::max() / kPageTokens;  // slots of tokens are int32
  int64_t n_pages = ctx_pages * out.max_seqs;
  if (options.kv_bytes > 0 && page_bytes > 0) n_pages = static_cast<int64_t>(options.kv_bytes) / page_bytes;
  n_pages = std::min(n_pages, most);
  if (n_pages < ctx_pages) {
    if (options.ctx_tokens > 0 || n_pages == 0)
      return fail("engine.kv_too_small", {{"bytes", options.kv_bytes}, {"needed", ctx_pages * page_bytes}});
    out.ctx_tokens = static_cast<int>(n_pages) * kPageTokens;
  }
  out.n_pages = static_cast<int>(n_pages);
  QW_TRY(out.max_draft, draft_depth(model, options));
  if (const size_t slot = KvPool::slot_bytes(caches, real); slot > 0) {
    const auto held = static_cast<int>(std::clamp<size_t>(options.snapshot_bytes / slot, 1, size_t{1} << 16));
    const int n = options.prefix_cache ? std::clamp(held, 0, std::max(options.n_snapshots, 0)) : 0;
    out.n_slots = out.max_seqs + n;
    out.max_draft = std::min(out.max_draft, kMostRecurrentDraft);
    out.n_draft_slots = out.max_seqs * out.max_draft;
    if (n > 0) out.snapshot_every = snapshot_distance(out.ctx_tokens, n);
  }
  return out;
}

Result<MemoryPlan> plan_memory(Model& model, DType real, const EngineOptions& options) {
  MemoryPlan plan;
  QW_TRY(plan.limits, engine_limits(model, real, options));
  WeightBytesVisitor weights;
  model.visit(weights);
  const std::vector<LayerCache> caches = model.cache_spec();
  DryBackend dry(real);
  DryAdapter adapter(dry, options.adapter_rank);
  model.visit(adapter);
  plan.weight_bytes = weights.bytes + adapter.bytes;
  plan.kv_bytes = static_cast<size_t>(plan.limits.n_pages) * KvPool::page_bytes(caches, options.kv_dtype);
  plan.state_bytes =
      static_cast<size_t>(plan.limits.n_slots + plan.limits.n_draft_slots) * KvPool::slot_bytes(caches, real);
  plan.activation_bytes = count_activations(model, real, plan.limits, options);
  if (options.draft == DraftSource::model)
    plan.draft_bytes = draft_bytes(*options.draft_model, real, plan, options);
  return plan;
}

}  // namespace qw
