#include "models/score_head.h"

#include <algorithm>
#include <array>

#include "nn/config_reader.h"
#include "nn/load.h"

namespace qw {
namespace {

struct Kind {
  std::string_view architecture;
  ScoreRows rows;
  bool two;    // matrices
  int labels;  // 0: the config says
};
constexpr std::array<Kind, 4> kKinds{{
    {"Qwen2ForSequenceClassification", ScoreRows::last, false, 0},
    {"Qwen3ForSequenceClassification", ScoreRows::last, false, 0},
    {"Qwen2ForRewardModel", ScoreRows::last, true, 1},
    {"Qwen2ForProcessRewardModel", ScoreRows::steps, true, 2},
}};

const Kind* kind_of(const Json& config) {
  const auto list = config.find("architectures");
  if (list == config.end() || !list->is_array() || list->empty() || !(*list)[0].is_string()) return nullptr;
  const auto& name = (*list)[0].get_ref<const std::string&>();
  const auto it =
      std::find_if(kKinds.begin(), kKinds.end(), [&](const Kind& k) { return k.architecture == name; });
  return it == kKinds.end() ? nullptr : &*it;
}

// PretrainedConfig: num_labels is the number of id2label, else 2.
Result<int> labels_of(const Json& config) {
  nn::ConfigReader c(config);
  const Json* names = c.object("id2label");
  const int labels =
      c.integer("num_labels", names != nullptr && !names->empty() ? static_cast<int>(names->size()) : 2);
  QW_TRY(c.status());
  constexpr int kMax = 1 << 20;
  if (labels > kMax) return fail("config.range", {{"key", "num_labels"}, {"found", labels}});
  return labels;
}

}  // namespace

bool is_score_model(const Json& config) {
  return kind_of(config) != nullptr;
}

void ScoreModel::visit(Visitor& visitor) {
  const int64_t hidden = body_->info().hidden;
  if (!two_) return last_.visit(visitor, "score", {labels_, hidden}, false, ShardAxis::none);
  const Visitor::Scope scope(visitor, "score");
  first_.visit(visitor, "0", {hidden, hidden}, true, ShardAxis::none);
  last_.visit(visitor, "2", {labels_, hidden}, true, ShardAxis::none);
}

std::vector<float> ScoreModel::scores(Ctx& cx, const Batch& batch) const {
  QW_CHECK(cx.backend.real() == DType::f32 && cx.tape == nullptr,
           "scores are computed in f32, without a tape");
  Tensor x = body_->features(cx, batch);  // [R, D]
  if (two_) {
    const Tensor inner = first_(cx, x);
    std::vector<float> values(static_cast<size_t>(inner.elements()));
    cx.backend.download(values.data(), inner);
    for (float& v : values) v = std::max(v, 0.0F);  // a few rows: no kernel is worth its while
    x = cx.alloc(inner.shape());
    cx.backend.upload(x, values.data());
  }
  const Tensor out = last_(cx, x);
  std::vector<float> scores(static_cast<size_t>(out.elements()));
  cx.backend.download(scores.data(), out);
  return scores;
}

Result<std::unique_ptr<ScoreModel>> load_score_model(const Json& config, WeightSource& source,
                                                     Backend& backend, std::vector<Error>& warnings) {
  const Kind* kind = kind_of(config);
  QW_CHECK(kind != nullptr, "no score model");
  auto out = std::make_unique<ScoreModel>();
  out->rows_ = kind->rows;
  out->two_ = kind->two;
  out->labels_ = kind->labels;
  if (kind->labels == 0) {
    QW_TRY(out->labels_, labels_of(config));
  }
  // The body has no head of tokens: told that it is tied, it asks for none.
  Json body = config;
  body["tie_word_embeddings"] = true;
  body.erase("num_labels");
  QW_TRY(LoadedModel loaded, make_model(body));
  out->body_ = std::move(loaded.model);
  warnings = std::move(loaded.warnings);
  nn::LoadVisitor load(backend, source, false);
  out->body_->visit(load);
  out->visit(load);
  source.ignore("lm_head.weight");
  QW_TRY(load.finish());
  return out;
}

}  // namespace qw
