// qw embed: a vector for each text, as Qwen3-Embedding and sentence-transformers make it: the text behind its
// instruction, the model's end token, the last hidden state of one token or the mean, cut, at length 1.
// Test: tests/e2e/embed_test.cc
#include <cmath>

#include "apps/commands/commands.h"
#include "apps/document_runner.h"
#include "apps/ids_input.h"
#include "apps/progress.h"
#include "apps/sentence_files.h"

namespace qw::apps {
namespace {

struct Options {
  std::string model;
  std::vector<std::string> texts;
  std::optional<std::string> instruct, prompt, pooling;
  std::optional<int64_t> dim;
  bool jsonl = false, raw = false, truncate = false;
  ModelFlags flags;
};

class Embedder {
 public:
  Embedder(Program& program, OpenModel& open, const Options& o, const SentenceSetup& setup,
           std::string prefix)
      : program_(program),
        open_(open),
        options_(o),
        setup_(setup),
        prefix_(std::move(prefix)),
        runner_(
            *open.model, *open.backend, [this](Ctx& cx, const Batch& b) { return features(cx, b); },
            open.adapter ? open.adapter->set : nullptr) {
    limit_ = static_cast<size_t>(std::min(open.model->info().max_positions,
                                          setup.max_tokens.value_or(std::numeric_limits<int>::max())));
  }

  Status add(const std::string& text) {
    const std::optional<int32_t> end = open_.tokenizer->end_id();
    std::vector<int32_t> ids =
        open_.tokenizer->encode(prefix_ + text, {.add_bos = open_.tokenizer->adds_bos()});
    const size_t room = limit_ - (end ? 1 : 0);
    if (ids.size() > room) {
      if (!options_.truncate)
        return fail("embed.too_long", {{"index", n_ + 1}, {"tokens", ids.size()}, {"limit", room}});
      ids.resize(room);
    }
    if (end) ids.push_back(*end);
    if (ids.empty()) return fail("embed.empty", {{"index", n_ + 1}});
    QW_TRY(check_ids(ids, open_.model->info().vocab));
    held_tokens_ += ids.size();
    held_.push_back(std::move(ids));
    ++n_;
    return held_tokens_ >= DocumentRunner::kStepTokens ? flush() : Status();
  }

  Status flush() {
    std::vector<std::vector<int32_t>> wanted = last_rows(held_);
    for (size_t i = 0; i < held_.size(); ++i) {
      if (setup_.pooling == Pooling::first) wanted[i] = {0};
      if (setup_.pooling != Pooling::mean) continue;
      wanted[i].resize(held_[i].size());
      for (size_t row = 0; row < held_[i].size(); ++row) wanted[i][row] = static_cast<int32_t>(row);
    }
    QW_TRY(runner_.run(held_, wanted, [this](size_t i, std::span<const float> rows) {
      return write(held_[i].size(), pooled(rows));
    }));
    held_.clear();
    held_tokens_ = 0;
    return {};
  }

  size_t count() const { return n_; }

 private:
  std::vector<float> features(Ctx& cx, const Batch& batch) const {
    const Tensor x = open_.model->features(cx, batch);
    std::vector<float> out(static_cast<size_t>(x.elements()));
    cx.backend.download(out.data(), x);
    return out;
  }

  // The mean of the rows, cut, at length 1.
  std::vector<float> pooled(std::span<const float> rows) const {
    const auto width = static_cast<size_t>(open_.model->info().hidden);
    const size_t n = rows.size() / width;
    std::vector<double> sum(width, 0.0);
    for (size_t i = 0; i < rows.size(); ++i) sum[i % width] += static_cast<double>(rows[i]);
    sum.resize(static_cast<size_t>(options_.dim.value_or(static_cast<int64_t>(width))));
    double squares = 0;
    for (double& v : sum) {
      v /= static_cast<double>(n);
      squares += v * v;
    }
    const bool unit = setup_.normalize && !options_.raw;
    const double scale = unit ? 1.0 / std::max(std::sqrt(squares), 1e-12) : 1.0;  // 1e-12: torch's normalize
    std::vector<float> out;
    for (const double v : sum) out.push_back(static_cast<float>(v * scale));
    return out;
  }

  Status write(size_t tokens, const std::vector<float>& vector) {
    return program_.console().write(fmt::format("{{\"index\":{},\"tokens\":{},\"embedding\":[{}]}}\n",
                                                written_++, tokens, fmt::join(vector, ",")));
  }

  Program& program_;
  OpenModel& open_;
  const Options& options_;
  const SentenceSetup& setup_;
  std::string prefix_;
  DocumentRunner runner_;
  size_t limit_ = 0, n_ = 0, written_ = 0, held_tokens_ = 0;
  std::vector<std::vector<int32_t>> held_;
};

Result<std::string> prefix_of(const Options& o, const SentenceSetup& setup) {
  if (o.instruct) return fmt::format("Instruct: {}\nQuery:", *o.instruct);
  const std::string name = o.prompt.value_or(setup.default_prompt);
  if (name.empty()) return std::string();
  const auto it = setup.prompts.find(name);
  if (it != setup.prompts.end()) return it->second;
  std::vector<std::string> known;
  for (const auto& [key, text] : setup.prompts) known.push_back(key);
  return fail("embed.no_prompt", {{"found", name}, {"known", fmt::format("{}", fmt::join(known, ", "))}});
}

// What the folder or the GGUF file says; --pooling wins.
Result<SentenceSetup> setup_of(const Checkpoint& checkpoint, const Options& o) {
  SentenceSetup setup;
  if (checkpoint.kind == CheckpointKind::hf_folder) {
    QW_TRY(setup, read_sentence_setup(checkpoint.tokenizer_folder));
  }
  if (o.pooling) {
    setup.pooling = *pooling_named(*o.pooling);
  } else if (checkpoint.pooling_type) {
    QW_TRY(setup.pooling, ggml_pooling(*checkpoint.pooling_type));
  }
  return setup;
}

Status embed_all(Program& program, OpenModel& open, const Options& o, const SentenceSetup& setup) {
  QW_TRY(std::string prefix, prefix_of(o, setup));
  Embedder embedder(program, open, o, setup, std::move(prefix));
  Progress progress(program.console(), program.console().text("ui.embed_progress"));
  TextInput input(o.texts, o.jsonl);
  while (true) {
    QW_TRY(const std::optional<std::string> text, input.next());
    if (!text) break;
    QW_TRY(embedder.add(*text));
    progress.set(static_cast<int64_t>(embedder.count()), static_cast<int64_t>(o.texts.size()));
  }
  return embedder.flush();
}

}  // namespace

Result<int> embed_command(Program& program, Args args) {
  Options o;
  std::vector<std::string> words;
  CommandLine line("embed");
  line.arguments("MODEL [TEXT…]", &words);
  line.text("--instruct", "TEXT", &o.instruct, "help.embed.instruct");
  line.text("--prompt", "NAME", &o.prompt, "help.embed.prompt");
  line.integer("--dim", &o.dim, {.min = 1, .max = std::numeric_limits<int32_t>::max()}, "help.embed.dim");
  line.choice("--pooling", {"last", "mean", "first"}, &o.pooling, "help.embed.pooling");
  line.flag("--raw", &o.raw, "help.embed.raw");
  line.flag("--truncate", &o.truncate, "help.embed.truncate");
  line.flag("--jsonl", &o.jsonl, "help.embed.jsonl");
  o.flags.add_compute_options(line);
  o.flags.add_adapter_option(line);
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  o.model = words.front();
  o.texts.assign(words.begin() + 1, words.end());
  if (o.instruct && o.prompt) return fail("cli.exclusive", {{"option", "--instruct"}, {"other", "--prompt"}});
  if (o.jsonl && !o.texts.empty()) return fail("cli.exclusive", {{"option", "--jsonl"}, {"other", "TEXT"}});
  QW_TRY(OpenModel open, open_model(program, o.model, o.flags));
  const int hidden = open.model->info().hidden;
  if (o.dim && *o.dim > hidden) return fail("embed.dim", {{"found", *o.dim}, {"limit", hidden}});
  QW_TRY(const SentenceSetup setup, setup_of(open.checkpoint, o));
  QW_TRY(embed_all(program, open, o, setup));
  return kExitOk;
}

}  // namespace qw::apps
