// qw rerank: documents by how well they answer a query, as Qwen3-Reranker is asked (its model card): P("yes")
// against P("no") behind a fixed prompt. A reranker with a score head gives the sigmoid of its score instead.
// Test: tests/e2e/embed_test.cc
#include <algorithm>
#include <cmath>
#include <numeric>

#include "apps/commands/commands.h"
#include "apps/document_runner.h"
#include "apps/ids_input.h"
#include "apps/progress.h"
#include "apps/score_files.h"

namespace qw::apps {
namespace {

constexpr std::string_view kPrefix =
    "<|im_start|>system\nJudge whether the Document meets the requirements based on the Query and the "
    "Instruct "
    "provided. Note that the answer can only be \"yes\" or \"no\".<|im_end|>\n<|im_start|>user\n";
constexpr std::string_view kSuffix = "<|im_end|>\n<|im_start|>assistant\n<think>\n\n</think>\n\n";
constexpr std::string_view kInstruct =
    "Given a web search query, retrieve relevant passages that answer the query";

struct Options {
  std::string model;
  std::vector<std::string> documents;
  std::optional<std::string> query, instruct;
  bool jsonl = false, truncate = false;
  ModelFlags flags;
};

// Prefix and suffix are tokenised apart from what stands between, as the model card does it; what the query
// and the documents say is text, whatever special tokens it spells.
Result<std::vector<int32_t>> ids_of(const Tokenizer& t, const Options& o, const std::string& document,
                                    size_t index, size_t limit) {
  std::vector<int32_t> ids = t.encode(kPrefix);
  const std::vector<int32_t> suffix = t.encode(kSuffix);
  const std::string body = fmt::format("<Instruct>: {}\n<Query>: {}\n<Document>: {}",
                                       o.instruct.value_or(std::string(kInstruct)), *o.query, document);
  std::vector<int32_t> text = t.encode(body, {.parse_special = false});
  if (t.end_id()) text.push_back(*t.end_id());
  const size_t room = limit > ids.size() + suffix.size() ? limit - ids.size() - suffix.size() : 0;
  if (text.size() > room) {
    if (!o.truncate || room == 0)
      return fail("embed.too_long", {{"index", index + 1}, {"tokens", text.size()}, {"limit", room}});
    text.resize(room);
  }
  ids.insert(ids.end(), text.begin(), text.end());
  ids.insert(ids.end(), suffix.begin(), suffix.end());
  return ids;
}

// How the last row of a prompt becomes a score between 0 and 1.
struct Judge {
  DocumentRunner::Compute compute;
  std::function<double(std::span<const float>)> score;
};

Result<Judge> judge_of(OpenScorer& open) {
  if (open.score) {
    if (open.score->labels() != 1 || open.score->rows() != ScoreRows::last)
      return fail("rerank.labels", {{"found", open.score->labels()}});
    return Judge{
        [&open](Ctx& cx, const Batch& b) { return open.score->scores(cx, b); },
        [](std::span<const float> row) { return 1.0 / (1.0 + std::exp(-static_cast<double>(row[0]))); }};
  }
  const std::optional<int32_t> yes = open.tokenizer->id_of("yes"), no = open.tokenizer->id_of("no");
  const int vocab = open.body().info().vocab;
  if (!yes || !no || *yes >= vocab || *no >= vocab) return fail("rerank.no_words");
  return Judge{[&open](Ctx& cx, const Batch& b) {
                 const Tensor logits = open.model->forward(cx, b);
                 std::vector<float> out(static_cast<size_t>(logits.elements()));
                 cx.backend.download(out.data(), logits);
                 return out;
               },
               [yes = static_cast<size_t>(*yes), no = static_cast<size_t>(*no)](std::span<const float> row) {
                 return 1.0 / (1.0 + std::exp(static_cast<double>(row[no]) - static_cast<double>(row[yes])));
               }};
}

Result<std::vector<double>> scores_of(Program& program, OpenScorer& open, const Options& o,
                                      const std::vector<std::string>& documents) {
  QW_TRY(const Judge judge, judge_of(open));
  std::vector<std::vector<int32_t>> ids;
  for (const std::string& d : documents) {
    QW_TRY(ids.emplace_back(), ids_of(*open.tokenizer, o, d, ids.size() - 1,
                                      static_cast<size_t>(open.body().info().max_positions)));
    QW_TRY(check_ids(ids.back(), open.body().info().vocab));
  }
  std::vector<double> scores(ids.size());
  Progress progress(program.console(), program.console().text("ui.embed_progress"));
  DocumentRunner runner(open.body(), *open.backend, judge.compute);
  QW_TRY(runner.run(ids, last_rows(ids), [&](size_t i, std::span<const float> row) -> Status {
    scores[i] = judge.score(row);
    progress.set(static_cast<int64_t>(i + 1), static_cast<int64_t>(ids.size()));
    return {};
  }));
  return scores;
}

Status report(Program& program, const std::vector<std::string>& documents,
              const std::vector<double>& scores) {
  std::vector<size_t> order(scores.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::stable_sort(order.begin(), order.end(), [&](size_t a, size_t b) { return scores[a] > scores[b]; });
  Json results = Json::array();
  for (const size_t i : order) {
    if (program.json()) {
      results.push_back({{"index", i}, {"score", scores[i]}});
    } else {
      QW_TRY(program.console().write(fmt::format("{:.6f}\t{}\t{}\n", scores[i], i, documents[i])));
    }
  }
  return program.json() ? program.console().write(to_json_line(Json{{"results", results}}) + "\n") : Status();
}

}  // namespace

Result<int> rerank_command(Program& program, Args args) {
  Options o;
  std::vector<std::string> words;
  CommandLine line("rerank");
  line.arguments("MODEL [DOCUMENT…]", &words);
  line.text("--query", "TEXT", &o.query, "help.rerank.query");
  line.text("--instruct", "TEXT", &o.instruct, "help.rerank.instruct");
  line.flag("--truncate", &o.truncate, "help.embed.truncate");
  line.flag("--jsonl", &o.jsonl, "help.embed.jsonl");
  o.flags.add_compute_options(line);
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  o.model = words.front();
  o.documents.assign(words.begin() + 1, words.end());
  if (!o.query) return fail("cli.missing_argument", {{"shown", "--query TEXT"}, {"command", "rerank"}});
  if (o.jsonl && !o.documents.empty())
    return fail("cli.exclusive", {{"option", "--jsonl"}, {"other", "DOCUMENT"}});
  TextInput input(o.documents, o.jsonl);
  std::vector<std::string> documents;
  while (true) {
    QW_TRY(std::optional<std::string> text, input.next());
    if (!text) break;
    documents.push_back(*std::move(text));
  }
  QW_TRY(OpenScorer open, open_scorer(program, o.model, o.flags));
  QW_TRY(const std::vector<double> scores, scores_of(program, open, o, documents));
  QW_TRY(report(program, documents, scores));
  return kExitOk;
}

}  // namespace qw::apps
