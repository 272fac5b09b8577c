// qw score: what a model with a score head says of conversations or texts, a line of JSON each: classifiers,
// Qwen2.5-Math-RM (one reward), Qwen2.5-Math-PRM (for every step that ends in <extra_0> the probability that
// it is right). Test: tests/e2e/embed_test.cc
#include <cmath>

#include "apps/chat_prompt.h"
#include "apps/commands/commands.h"
#include "apps/document_runner.h"
#include "apps/ids_input.h"
#include "apps/jsonl.h"
#include "apps/score_files.h"
#include "text/chat_renderer.h"

namespace qw::apps {
namespace {

constexpr std::string_view kStep = "<extra_0>";

class Scorer {
 public:
  Scorer(OpenScorer& open, std::optional<ChatRenderer> renderer)
      : open_(open),
        renderer_(std::move(renderer)),
        runner_(open.body(), *open.backend,
                [&open](Ctx& cx, const Batch& b) { return open.score->scores(cx, b); }) {}

  // {"messages": […]} or {"text": …} → {"score"}, {"scores"} or {"steps"}.
  Result<Json> answer(const std::string& line) {
    QW_TRY(const std::string text, text_of(line));
    std::vector<int32_t> ids = open_.tokenizer->encode(text);
    const auto limit = static_cast<size_t>(open_.body().info().max_positions);
    if (ids.empty()) return fail("embed.empty", {{"index", 1}});
    if (ids.size() > limit) return fail("model.too_long", {{"tokens", ids.size()}, {"limit", limit}});
    QW_TRY(check_ids(ids, open_.body().info().vocab));
    std::vector<int32_t> rows{static_cast<int32_t>(ids.size()) - 1};
    if (open_.score->rows() == ScoreRows::steps) {
      QW_TRY(rows, steps_of(ids));
    }
    std::vector<float> scores;
    QW_TRY(runner_.run({std::move(ids)}, {std::move(rows)},
                       [&](size_t, std::span<const float> values) -> Status {
                         scores.assign(values.begin(), values.end());
                         return {};
                       }));
    return shown(scores);
  }

 private:
  Result<std::string> text_of(const std::string& line) const {
    QW_TRY(const Json json, parse_json(line, "stdin"));
    if (json.is_object() && json.contains("messages")) {
      if (!renderer_) return fail("template.missing");
      QW_TRY(Rendered rendered, renderer_->render_json(line, LocalTime::now()));
      return std::move(rendered.text);
    }
    if (!json.is_object() || !json.contains("text")) return fail("jsonl.no_key", {{"key", "text"}});
    if (!json["text"].is_string()) return fail("jsonl.not_text", {{"key", "text"}});
    return json["text"].get<std::string>();
  }

  Result<std::vector<int32_t>> steps_of(const std::vector<int32_t>& ids) const {
    const std::optional<int32_t> step = open_.tokenizer->id_of(kStep);
    std::vector<int32_t> rows;
    for (size_t i = 0; i < ids.size(); ++i)
      if (step && ids[i] == *step) rows.push_back(static_cast<int32_t>(i));
    if (rows.empty()) return fail("score.no_steps", {{"token", kStep}});
    return rows;
  }

  Json shown(const std::vector<float>& scores) const {
    if (open_.score->rows() == ScoreRows::last)
      return scores.size() == 1 ? Json{{"score", scores[0]}} : Json{{"scores", scores}};
    Json steps = Json::array();  // the second of the two labels says that the step is right
    for (size_t i = 0; i + 1 < scores.size(); i += 2)
      steps.push_back(1.0 /
                      (1.0 + std::exp(static_cast<double>(scores[i]) - static_cast<double>(scores[i + 1]))));
    return Json{{"steps", steps}};
  }

  OpenScorer& open_;
  std::optional<ChatRenderer> renderer_;
  DocumentRunner runner_;
};

}  // namespace

Result<int> score_command(Program& program, Args args) {
  std::string model;
  ModelFlags flags;
  CommandLine line("score");
  line.argument("MODEL", &model, true);
  flags.add_compute_options(line);
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  QW_TRY(OpenScorer open, open_scorer(program, model, flags));
  if (!open.score) return fail("score.no_head", {{"model", model}});
  std::optional<ChatRenderer> renderer;
  if (!open.tokenizer->chat_templates().empty()) {
    QW_TRY(renderer, ChatRenderer::create(open.tokenizer->chat_templates(), open.tokenizer->named_tokens()));
  }
  Scorer scorer(open, std::move(renderer));
  LineReader lines;
  QW_TRY(answer_jsonl(
      program.console(), [&] { return lines.next(); },
      [&](const std::string& text) { return scorer.answer(text); }));
  return kExitOk;
}

}  // namespace qw::apps
