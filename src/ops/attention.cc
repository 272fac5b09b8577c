#include "ops/attention.h"

#include "ops/dims.h"

namespace qw::ops {
namespace {

// Page · 32 + offset of every row of the step, in one cache group.
std::vector<int32_t> row_slots(const AttnPlan& plan, const AttnPlan::Table& table) {
  std::vector<int32_t> slots;
  for (int s = 0; s < plan.n_seqs(); ++s) {
    const auto i = static_cast<size_t>(s);
    const int32_t n = plan.cu_q[i + 1] - plan.cu_q[i];
    for (int32_t position = plan.kv_len[i] - n; position < plan.kv_len[i]; ++position) {
      const auto block = static_cast<size_t>(s * table.max_blocks + position / kPageTokens);
      QW_CHECK(block < table.pages.size(), "attention: no page for position {} of sequence {}", position, s);
      slots.push_back(table.pages[block] * kPageTokens + position % kPageTokens);
    }
  }
  return slots;
}

Tensor attend_pages(Ctx& cx, const AttnArgs& args, const Tensor& k, const Tensor& v, const AttnStep& step,
                    int layer) {
  if (cx.tape != nullptr) Tape::refuse("attention over KV pages");
  const KvPool& pool = *step.plan->pool;
  const auto group = static_cast<size_t>(pool.group_of(layer));
  const PagedKv kv{pool.k(layer), pool.v(layer), step.block_tables[group]};
  cx.backend.kv_store(kv, k, v, step.slots[group]);
  Tensor out = cx.alloc(args.q.shape());
  cx.backend.attention_paged(out, args, kv);
  return out;
}

Tensor attend_dense(Ctx& cx, const AttnArgs& args, const Tensor& k, const Tensor& v) {
  const Tensor& q = args.q;
  const bool record = cx.tape != nullptr && (Tape::wants(q) || Tape::wants(k) || Tape::wants(v));
  Tensor out = cx.alloc(q.shape());
  const Tensor lse = record ? cx.alloc({q.dim(0), q.dim(1)}) : Tensor();
  cx.backend.attention_dense(out, lse, args, k, v);
  if (record) {
    // The node outlives the batch's plan: it keeps the spans' numbers itself.
    cx.tape->record(out, [args = AttnArgs(args), k, v, lse, out,
                          cu = std::vector<int32_t>(args.host_cu_q.begin(), args.host_cu_q.end()),
                          kv_len = std::vector<int32_t>(args.host_kv_len.begin(), args.host_kv_len.end()),
                          tape = cx.tape](Ctx& c, const Tensor& dout) mutable {
      args.host_cu_q = cu;
      args.host_kv_len = kv_len;
      const Backend::AttnGrads g{c.alloc(args.q.shape()), c.alloc(k.shape()), c.alloc(v.shape())};
      c.backend.attention_dense_backward(g, args, k, v, out, lse, dout);
      tape->accumulate(c, args.q, g.dq);
      tape->accumulate(c, k, g.dk);
      tape->accumulate(c, v, g.dv);
    });
  }
  return out;
}

}  // namespace

AttnStep prepare_attention(Ctx& cx, const AttnPlan& plan) {
  AttnStep step;
  step.plan = &plan;
  step.cu_q = cx.arena.upload(plan.cu_q);
  if (plan.pool == nullptr) return step;
  QW_CHECK(plan.tables.size() == plan.pool->groups().size(), "attention: {} block tables for {} cache groups",
           plan.tables.size(), plan.pool->groups().size());
  for (const AttnPlan::Table& table : plan.tables) {
    step.block_tables.push_back(cx.arena.upload(table.pages).view({plan.n_seqs(), table.max_blocks}));
    step.slots.push_back(cx.arena.upload(row_slots(plan, table)));
  }
  return step;
}

Tensor attention(Ctx& cx, const Tensor& q, const Tensor& k, const Tensor& v, const AttnStep& step,
                 const AttnSpec& spec) {
  Dims d("attention");
  d.arg("q", q, "THd").arg("k", k, "TKd").arg("v", v, "TKd");
  QW_CHECK(d['H'] % d['K'] == 0, "attention: {} query heads over {} KV heads", d['H'], d['K']);
  const AttnPlan& plan = *step.plan;
  QW_CHECK(plan.cu_q.back() == d['T'], "attention: the plan has {} rows, q has {}", plan.cu_q.back(), d['T']);
  const AttnArgs args{q, step.cu_q, plan.cu_q, plan.kv_len, spec.scale, spec.window};
  return plan.pool != nullptr ? attend_pages(cx, args, k, v, step, spec.layer) : attend_dense(cx, args, k, v);
}

}  // namespace qw::ops
