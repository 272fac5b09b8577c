// qw eval: a model against task files. Format: docs/eval.md. Test: tests/e2e/eval_test.cc
#include <set>

#include "apps/chat_prompt.h"
#include "apps/commands/commands.h"
#include "apps/eval/evaluator.h"
#include "apps/eval/results.h"
#include "apps/eval/sha256.h"
#include "apps/progress.h"

namespace qw::apps {
namespace {

constexpr size_t kShownBadLines = 20;

struct EvalFlags {
  std::string model;
  std::vector<std::string> tasks;
  std::optional<std::string> out, template_file;
  std::optional<std::string> chat_template = {};  // what --template holds: a pipe is read once
  std::optional<int64_t> limit, max_tokens, batch;
  ModelFlags compute;

  void add_to(CommandLine& line) {
    line.argument("MODEL", &model, true);
    line.arguments("TASKS", &tasks);
    line.text("--out", "FILE", &out, "help.eval.out");
    line.integer("--limit", &limit, {.min = 1}, "help.eval.limit");
    line.integer("--max-tokens", &max_tokens, {.min = 1, .max = 1 << 20}, "help.eval.max_tokens");
    line.integer("--batch", &batch, {.min = 1, .max = 1024}, "help.eval.batch");
    line.text("--template", "FILE", &template_file, "help.template");
    compute.add_compute_options(line);
    compute.add_adapter_option(line);
  }
};

// All files, or an error for every bad line: a score over a part of the items would be a lie.
Result<std::vector<eval::TaskFile>> read_all_tasks(Console& console, const EvalFlags& flags) {
  std::vector<eval::TaskFile> files;
  std::vector<Error> bad;
  size_t n_items = 0;
  for (const std::string& name : flags.tasks) {
    QW_TRY(files.emplace_back(), eval::read_tasks(name, static_cast<size_t>(flags.limit.value_or(0))));
    bad.insert(bad.end(), files.back().bad_lines.begin(), files.back().bad_lines.end());
    n_items += files.back().items.size();
    std::set<std::string> ids;
    for (const eval::Item& item : files.back().items)
      if (!ids.insert(item.id).second)
        bad.emplace_back("eval.bad_line",
                         std::initializer_list<ErrorArg>{
                             {"file", item.file}, {"line", item.line}, {"problem", "\"id\": " + item.id}});
  }
  for (size_t i = 0; i < std::min(bad.size(), kShownBadLines); ++i) console.error(bad[i]);
  if (!bad.empty()) return fail("eval.bad_lines", {{"lines", bad.size()}});
  if (n_items == 0) return fail("eval.no_items");
  return files;
}

Result<Json> header_of(Program& program, const EvalFlags& flags, const OpenModel& open,
                       const std::vector<eval::TaskFile>& files, DType kv) {
  Progress progress(program.console(), program.console().text("ui.hashing"));
  QW_TRY(Json model,
         eval::sha256_of_model(open.checkpoint, flags.compute.adapter, [&](int64_t done, int64_t total) {
           progress.set(done >> 20, (total >> 20) + 1);
         }));
  Json tasks = Json::array();
  for (const eval::TaskFile& file : files)
    tasks.push_back(
        {{"file", std::filesystem::path(file.name).filename().string()}, {"sha256", file.sha256}});
  return Json{{"t", "eval"},
              {"qw", Program::version()},
              {"date", LocalTime::now().format("%Y-%m-%d")},
              {"model", std::move(model)},
              {"tasks", std::move(tasks)},
              {"options",
               {{"max_tokens", flags.max_tokens.value_or(eval::EvalOptions{}.max_tokens)},
                {"exact", flags.compute.exact},
                {"kv", kv == DType::f32 ? "f32" : "f16"},
                {"template", flags.chat_template ? eval::sha256_of(*flags.chat_template) : ""}}}};
}

std::string key_of(size_t task, const std::string& id) {
  return fmt::format("{}\n{}", task, id);
}

// What memory was too short for is tried again.
bool settled(const Json& result) {
  const Json code = result.value("code", Json());
  return !code.is_string() || !code.get<std::string>().starts_with("memory.");
}

// One run: what is left of the items, with the results that were there and those that come.
class Run {
 public:
  Run(std::optional<eval::ResultFile> file, const std::vector<eval::TaskFile>& tasks)
      : file_(std::move(file)) {
    if (file_)
      for (const Json& result : file_->found())
        if (result.contains("task") && result.at("task").is_number_unsigned() && result.contains("id") &&
            result.at("id").is_string())
          results_[key_of(result.at("task").get<size_t>(), result.at("id").get<std::string>())] = &result;
    for (size_t t = 0; t < tasks.size(); ++t)
      for (const eval::Item& item : tasks[t].items) {
        const auto found = results_.find(key_of(t, item.id));
        if (found != results_.end() && settled(*found->second))
          count(*found->second);
        else
          left_.push_back(&item);
        task_of_[&item] = t;
      }
  }

  const std::vector<const eval::Item*>& left() const { return left_; }
  const eval::Summary& summary() const { return summary_; }
  int64_t n_taken_up() const { return static_cast<int64_t>(task_of_.size() - left_.size()); }
  int64_t n_items() const { return static_cast<int64_t>(task_of_.size()); }

  Status add(const eval::Item& item, Json result) {
    Json line{{"task", task_of_.at(&item)}, {"id", item.id}, {"kind", eval::kind_name(item.kind)}};
    if (!item.skill.empty()) line["skill"] = item.skill;
    if (!item.language.empty()) line["language"] = item.language;
    line.update(result);
    count(line);
    return file_ ? file_->append(line) : Status();
  }
  int64_t n_errors() const { return n_errors_; }

 private:
  void count(const Json& result) {
    summary_.add(result);
    if (result.contains("error")) ++n_errors_;
  }

  std::optional<eval::ResultFile> file_;
  std::map<std::string, const Json*> results_;  // the last line of each
  std::vector<const eval::Item*> left_;
  std::map<const eval::Item*, size_t> task_of_;
  eval::Summary summary_;
  int64_t n_errors_ = 0;
};

Status report(Program& program, const EvalFlags& flags, const Json& header, const Run& run) {
  Console& console = program.console();
  if (program.json()) {
    Json out = header;
    out["t"] = "summary";
    out["items"] = run.summary().items();
    out["groups"] = run.summary().json();
    return console.write(to_json_line(out) + "\n");
  }
  QW_TRY(console.write(run.summary().table(console)));
  if (run.n_errors() > 0) console.warn(Error("eval.item_errors", {{"items", run.n_errors()}}));
  if (flags.out) console.note(console.text("eval.written", {{"items", run.n_items()}, {"file", *flags.out}}));
  return {};
}

}  // namespace

Result<int> eval_command(Program& program, Args args) {
  EvalFlags flags;
  CommandLine line("eval");
  flags.add_to(line);
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  Console& console = program.console();
  if (flags.template_file) {
    QW_TRY(flags.chat_template, read_input(*flags.template_file));
  }
  QW_TRY(const DType kv, flags.compute.kv_dtype(DType::f16));
  QW_TRY(const std::vector<eval::TaskFile> files, read_all_tasks(console, flags));
  QW_TRY(OpenModel open, open_model(program, flags.model, flags.compute));
  QW_TRY(Json header, header_of(program, flags, open, files, kv));
  std::optional<eval::ResultFile> out;
  if (flags.out) {
    QW_TRY(out, eval::ResultFile::open(*flags.out, header));
    if (!out->date().empty()) header["date"] = out->date();
  }
  QW_TRY(const LocalTime now, LocalTime::parse(header.at("date").get<std::string>()));
  Run run(std::move(out), files);
  if (run.n_taken_up() > 0) console.note(console.text("eval.taken_up", {{"items", run.n_taken_up()}}));

  std::optional<ChatRenderer> renderer;
  for (const eval::Item* item : run.left()) {
    if (renderer || item->messages.is_null()) continue;
    if (flags.chat_template) {
      QW_TRY(renderer,
             ChatRenderer::create({{"default", *flags.chat_template}}, open.tokenizer->named_tokens()));
    } else {
      QW_TRY(renderer, renderer_of(*open.tokenizer, std::nullopt));
    }
  }
  {
    Progress progress(console, console.text("ui.evaluating"));
    int64_t done = run.n_taken_up();
    progress.set(done, run.n_items());
    const eval::EvalOptions options{
        .max_tokens = static_cast<int>(flags.max_tokens.value_or(eval::EvalOptions{}.max_tokens)),
        .batch = static_cast<int>(flags.batch.value_or(eval::EvalOptions{}.batch)),
        .kv = kv,
        .now = now};
    eval::Evaluator evaluator(console, open, renderer ? &*renderer : nullptr, options,
                              [&](const eval::Item& item, Json result) -> Status {
                                progress.set(++done, run.n_items());
                                return run.add(item, std::move(result));
                              });
    QW_TRY(evaluator.run(run.left()));
  }
  QW_TRY(report(program, flags, header, run));
  return kExitOk;
}

}  // namespace qw::apps
