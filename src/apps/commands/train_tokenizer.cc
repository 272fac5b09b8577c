// qw train-tokenizer: a byte-level BPE tokenizer with Qwen's pre-tokenizer, learnt from files.
// Test: tests/e2e/train_tokenizer_test.cc
#include <chrono>
#include <filesystem>

#include "apps/commands/commands.h"
#include "apps/progress.h"
#include "base/atomic_file.h"
#include "base/json.h"
#include "text/chat_template.h"
#include "train/tokenizer_trainer.h"

namespace qw::apps {
namespace {

// The template as it will stand in tokenizer_config.json; one that does not parse would only fail later.
Result<std::string> read_template(const std::optional<std::string>& file) {
  if (!file) return std::string();
  QW_TRY(std::string source, read_input(*file));
  auto parsed = ChatTemplate::parse(source);
  if (!parsed) return tl::unexpected<Error>(parsed.error().with("file", *file));
  return source;
}

// What would come to nothing is known before the training: a tokenizer that is there is not written over, and
// a folder that cannot be written is none.
Status prepare(const std::filesystem::path& out) {
  std::error_code ec;
  for (const char* name : {"tokenizer.json", "tokenizer_config.json"})
    if (std::filesystem::exists(out / name, ec))
      return fail("merge.out_exists", {{"file", (out / name).string()}});
  std::filesystem::create_directories(out, ec);
  if (ec) return fail("file.write", {{"file", out.string()}, {"reason", ec.message()}});
  QW_TRY(AtomicFile::create(out / "tokenizer.json"));
  return {};
}

Status report(Program& program, const train::TrainedTokenizer& t, const std::string& out, double seconds) {
  const double bytes_per_token =
      static_cast<double>(t.n_bytes) / static_cast<double>(std::max<int64_t>(1, t.bpe.n_tokens));
  if (program.json()) {
    const Json json{{"out", out},
                    {"vocab", t.vocab()},
                    {"merges", t.bpe.merges.size()},
                    {"added", t.special.size() + t.tags.size()},
                    {"bytes", t.n_bytes},
                    {"words", t.n_words},
                    {"bytes_per_token", bytes_per_token},
                    {"seconds", seconds}};
    return program.console().write(to_json_line(json) + "\n");
  }
  return program.console().write(
      program.console().text("ui.tokenizer_trained",
                             {{"vocab", t.vocab()},
                              {"merges", t.bpe.merges.size()},
                              {"added", t.special.size() + t.tags.size()},
                              {"megabytes", fmt::format("{:.1f}", static_cast<double>(t.n_bytes) / 1e6)},
                              {"words", t.n_words},
                              {"per_token", fmt::format("{:.2f}", bytes_per_token)},
                              {"seconds", fmt::format("{:.1f}", seconds)},
                              {"folder", out}}) +
      "\n");
}

}  // namespace

Result<int> train_tokenizer_command(Program& program, Args args) {
  std::optional<int64_t> vocab, min_count;
  std::optional<std::string> out, template_file;
  std::vector<std::string> files;
  train::TokenizerOptions options;
  CommandLine line("train-tokenizer");
  line.arguments("FILE", &files);
  line.integer("--vocab", &vocab, {.min = 1, .max = 1 << 20}, "help.train_tokenizer.vocab");
  line.text("--out", "DIR", &out, "help.train_tokenizer.out");
  line.texts("--special", "TOKEN", &options.special, "help.train_tokenizer.special");
  line.flag("--tags", &options.tags, "help.train_tokenizer.tags");
  line.text("--template", "FILE", &template_file, "help.train_tokenizer.template");
  line.integer("--min-count", &min_count, {.min = 1}, "help.train_tokenizer.min_count");
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  for (const auto& [name, missing] : {std::pair("--vocab N", !vocab), std::pair("--out DIR", !out)})
    if (missing) return fail("cli.missing_argument", {{"shown", name}, {"command", line.name()}});
  QW_TRY(const std::string chat_template, read_template(template_file));
  QW_TRY(prepare(*out));
  options.vocab = static_cast<int>(*vocab);
  options.min_count = min_count.value_or(options.min_count);
  options.threads = program.threads();

  Console& console = program.console();
  const auto start = std::chrono::steady_clock::now();
  Result<train::TrainedTokenizer> trained = fail("tokenizer.no_text");
  {
    Progress progress(console, console.text("ui.tokenizer_progress"));
    options.progress = [&](train::TokenizerOptions::Stage stage, int64_t done, int64_t total) {
      const bool merging = stage == train::TokenizerOptions::Stage::merge;
      progress.set(merging ? done : done >> 20, merging ? total : (total >> 20) + 1);
    };
    trained = train::train_tokenizer({files.begin(), files.end()}, options);
  }
  QW_TRY(const train::TrainedTokenizer tokenizer, std::move(trained));
  if (tokenizer.vocab() < options.vocab)
    console.warn(
        Error("tokenizer.vocab_not_reached", {{"vocab", options.vocab}, {"found", tokenizer.vocab()}}));
  QW_TRY(train::save_tokenizer(tokenizer, chat_template, *out));
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  QW_TRY(report(program, tokenizer, *out, seconds.count()));
  return kExitOk;
}

}  // namespace qw::apps
