#include "core/batch.h"

namespace qw {

Batch dense_batch(const std::vector<std::vector<int32_t>>& documents) {
  Batch b;
  b.plan.cu_q.push_back(0);
  for (const auto& doc : documents) {
    for (size_t i = 0; i < doc.size(); ++i) {
      b.logit_rows.push_back(b.n_rows());
      b.ids.push_back(doc[i]);
      b.positions.push_back(static_cast<int32_t>(i));
    }
    b.plan.cu_q.push_back(b.n_rows());
    b.plan.kv_len.push_back(static_cast<int32_t>(doc.size()));
  }
  return b;
}

}  // namespace qw
