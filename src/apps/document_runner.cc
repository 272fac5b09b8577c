#include "apps/document_runner.h"

#include <numeric>

#include "apps/memory.h"
#include "engine/dry_backend.h"

namespace qw::apps {

Status check_step_fits(DType real, const std::function<void(Ctx&)>& step) {
  DryBackend dry(real);
  Arena arena(dry);
  Ctx cx{dry, arena};
  step(cx);
  return check_free_memory(arena.peak_bytes());
}

Status DocumentRunner::fits(const Batch& largest) {
  const auto tokens = static_cast<size_t>(largest.n_rows());
  if (tokens <= fits_tokens_) return {};
  QW_TRY(check_step_fits(backend_.real(), [&](Ctx& cx) { model_.features(cx, largest); }));
  fits_tokens_ = tokens;
  return {};
}

Status DocumentRunner::run(const std::vector<std::vector<int32_t>>& documents,
                           const std::vector<std::vector<int32_t>>& wanted, const Take& take) {
  for (size_t begin = 0, end = 0; begin < documents.size(); begin = end) {
    size_t tokens = 0;
    while (end < documents.size() && (end == begin || tokens + documents[end].size() <= kStepTokens))
      tokens += documents[end++].size();
    Batch batch = dense_batch(
        {documents.begin() + static_cast<ptrdiff_t>(begin), documents.begin() + static_cast<ptrdiff_t>(end)});
    batch.logit_rows.clear();
    for (size_t i = begin; i < end; ++i)
      for (const int32_t row : wanted[i]) batch.logit_rows.push_back(batch.plan.cu_q[i - begin] + row);
    QW_TRY(fits(batch));
    arena_.reset();
    const AdapterMap adapters{{0, batch.n_rows(), adapter_}};
    Ctx cx{.backend = backend_, .arena = arena_};
    if (adapter_) cx.adapters = &adapters;
    const std::vector<float> values = compute_(cx, batch);
    const size_t width = values.size() / batch.logit_rows.size();
    size_t at = 0;
    for (size_t i = begin; i < end; ++i) {
      QW_TRY(take(i, std::span(values).subspan(at * width, wanted[i].size() * width)));
      at += wanted[i].size();
    }
  }
  return {};
}

std::vector<std::vector<int32_t>> last_rows(const std::vector<std::vector<int32_t>>& documents) {
  std::vector<std::vector<int32_t>> out;
  for (const auto& d : documents) out.push_back({static_cast<int32_t>(d.size()) - 1});
  return out;
}

Result<std::optional<std::string>> TextInput::next() {
  if (!arguments_.empty()) {
    if (at_ == arguments_.size()) return std::optional<std::string>();
    return std::optional(arguments_[at_++]);
  }
  QW_TRY(std::optional<std::string> line, lines_.next());
  if (!line || !jsonl_) return line;
  QW_TRY(const Json json, parse_json(*line, "stdin"));
  if (!json.is_object() || !json.contains("text")) return fail("jsonl.no_key", {{"key", "text"}});
  if (!json["text"].is_string()) return fail("jsonl.not_text", {{"key", "text"}});
  return std::optional(json["text"].get<std::string>());
}

}  // namespace qw::apps
