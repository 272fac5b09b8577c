#include "engine/step_batch.h"

#include <algorithm>
#include <utility>

namespace qw {

Batch make_batch(const StepPlan& plan, const FindSequence& find, const KvManager& kv, int n_groups) {
  Batch b;
  AttnPlan::Table table;
  b.plan.cu_q.push_back(0);
  for (const StepPlan::Item& item : plan.items) {
    const Sequence& s = find(item.seq);
    for (int p = item.begin; p < item.begin + item.count; ++p) {
      b.ids.push_back(p < s.n_tokens() ? s.tokens[static_cast<size_t>(p)]
                                       : s.draft[static_cast<size_t>(p - s.n_tokens())]);
      b.positions.push_back(p);
    }
    for (const StateSave& save : item.saves)
      b.plan.state_saves.push_back({b.n_rows() - item.begin - item.count + save.n_tokens - 1, save.slot});
    const std::span<const int32_t> rollback = kv.rollback(item.seq);
    for (int i = 0; i < static_cast<int>(rollback.size()); ++i)
      b.plan.state_saves.push_back({b.n_rows() - item.drafted - 1 + i, rollback[static_cast<size_t>(i)]});
    for (int i = item.drafted; item.sample && i >= 0; --i) b.logit_rows.push_back(b.n_rows() - 1 - i);
    b.plan.cu_q.push_back(b.n_rows());
    b.plan.kv_len.push_back(item.begin + item.count);
    b.plan.n_prompt.push_back(s.n_prompt);
    if (kv.slot(item.seq) >= 0) b.plan.state_slots.push_back(kv.slot(item.seq));
    const int blocks = (item.begin + item.count + kPageTokens - 1) / kPageTokens;
    table.max_blocks = std::max(table.max_blocks, blocks);
  }
  for (const StepPlan::Item& item : plan.items) {
    const std::span<const int32_t> pages = kv.pages(item.seq);
    const auto n = std::min(pages.size(), static_cast<size_t>(table.max_blocks));
    table.pages.insert(table.pages.end(), pages.begin(), pages.begin() + static_cast<ptrdiff_t>(n));
    table.pages.resize(table.pages.size() + static_cast<size_t>(table.max_blocks) - n, 0);
  }
  b.plan.tables.assign(static_cast<size_t>(n_groups), table);
  return b;
}

void run_state_ops(KvPool& pool, const std::vector<StateOp>& ops) {
  for (const StateOp& op : ops) {
    switch (op.kind) {
      case StateOp::Kind::clear:
        pool.clear_slot(op.to);
        break;
      case StateOp::Kind::copy:
        pool.copy_slot(op.to, op.from);
        break;
      case StateOp::Kind::copy_page:
        pool.copy_page(op.to, op.from);
        break;
    }
  }
}

AdapterMap make_adapter_map(const StepPlan& plan, const FindAdapter& find) {
  AdapterMap out;
  int64_t row = 0;
  for (const StepPlan::Item& item : plan.items) {
    const int64_t begin = std::exchange(row, row + item.count);
    auto set = find(item.seq);
    if (!set) continue;
    if (!out.empty() && out.back().end == begin && out.back().set == set)
      out.back().end = row;
    else
      out.push_back({begin, row, std::move(set)});
  }
  return out;
}

}  // namespace qw
