// qw convert and qw quantize: a model written anew, as a Hugging Face folder or a GGUF file, in any number
// format or mixture. Test: tests/e2e/convert_test.cc
#include <unistd.h>

#include <algorithm>
#include <atomic>

#include "apps/commands/commands.h"
#include "apps/forward_runner.h"
#include "apps/ids_input.h"
#include "apps/model_export.h"
#include "apps/model_files.h"
#include "apps/paths.h"
#include "apps/progress.h"
#include "backend/cpu/cpu_backend.h"
#include "io/file_kind.h"
#include "quant/requantise.h"

namespace qw::apps {
namespace {

namespace fs = std::filesystem;

constexpr int kWindow = 512;  // tokens that are read at once for an importance matrix

struct Options {
  std::string model, out;
  std::optional<std::string> to, type, imatrix, imatrix_text, save_imatrix;
  ModelFlags compute;
  std::atomic<bool> stop = false;  // set by ctrl-C
};

std::vector<std::string> type_names() {
  std::vector<std::string> out;
  for (const quant::Recipe& r : quant::recipes()) out.emplace_back(r.name);
  return out;
}

Result<quant::Imatrix> measure(Program& program, const Options& o) {
  QW_TRY(const std::string text, read_input(*o.imatrix_text));
  ModelFlags compute = o.compute;
  compute.mmap = false;  // here every weight is computed with, again and again
  QW_TRY(const OpenModel open, open_model(program, o.model, compute));
  std::vector<int32_t> ids = open.tokenizer->encode(text, {.parse_special = true});
  QW_TRY(check_ids(ids, open.model->info().vocab));
  const int n = std::min(kWindow, open.model->info().max_positions);
  const int64_t windows = static_cast<int64_t>(ids.size()) / n;
  if (windows == 0)
    return fail("perplexity.too_short", {{"file", *o.imatrix_text}, {"tokens", ids.size()}, {"context", n}});
  quant::ImatrixCollector collector(*open.backend);
  QW_TRY(
      const auto runner,
      ForwardRunner::create(*open.model, *open.backend,
                            {.streams = 1, .max_tokens = n, .kv = DType::f32, .inputs = &collector.trace()}));
  {
    Progress progress(program.console(), program.console().text("ui.imatrix_progress"));
    for (int64_t w = 0; w < windows; ++w) {
      if (o.stop.load()) return fail("export.stopped");
      progress.set(w, windows);
      const std::span window(ids.data() + w * n, static_cast<size_t>(n));
      if (open.tokenizer->adds_bos()) window[0] = *open.tokenizer->bos_id();
      runner->reset();
      runner->step(window, ForwardRunner::Rows::none);
    }
  }
  if (o.save_imatrix) QW_TRY(collector.result().save(*o.save_imatrix, *o.imatrix_text, windows, n));
  return collector.result();
}

Result<std::optional<quant::Imatrix>> importance(Program& program, const Options& o) {
  if (o.imatrix) {
    QW_TRY(quant::Imatrix given, quant::Imatrix::load(*o.imatrix));
    return std::optional(std::move(given));
  }
  if (!o.imatrix_text) return std::optional<quant::Imatrix>();
  QW_TRY(quant::Imatrix measured, measure(program, o));
  return std::optional(std::move(measured));
}

Status report(Program& program, const Options& o, std::string_view type, const quant::RequantiseReport& r) {
  const double bits =
      8.0 * static_cast<double>(r.bytes) / static_cast<double>(std::max<int64_t>(r.elements, 1));
  if (program.json()) {
    const Json json{{"out", o.out},
                    {"type", type},
                    {"tensors", r.tensors},
                    {"elements", r.elements},
                    {"bytes", r.bytes},
                    {"bits_per_weight", bits},
                    {"copied", r.passed},
                    {"substitutes", r.substitutes},
                    {"unweighted", r.unweighted}};
    return program.console().write(to_json_line(json) + "\n");
  }
  std::string text = program.console().text(
      "ui.converted", {{"file", o.out},
                       {"tensors", r.tensors},
                       {"millions", fmt::format("{:.1f}", static_cast<double>(r.elements) / 1e6)},
                       {"type", type},
                       {"bits", fmt::format("{:.2f}", bits)},
                       {"copied", r.passed}});
  for (const auto& [code, n] : {std::pair("ui.substitutes", r.substitutes), {"ui.unweighted", r.unweighted}})
    if (n > 0) text += fmt::format("\n{}", program.console().text(code, {{"count", n}}));
  return program.console().write(fmt::format("{}\n", text));
}

quant::RequantiseReport counts_of(const WeightRows& rows, QuantFormat format) {
  quant::RequantiseReport r;
  for (const WeightRows::Item& item : rows.items()) {
    ++r.tensors;
    r.elements += item.shape.elements();
    r.bytes += item.shape.elements() * traits(format).block_bytes / traits(format).block;
  }
  return r;
}

Result<quant::RequantiseReport> requantise(Program& program, const Options& o, const fs::path& source,
                                           const quant::RequantisePlan& plan) {
  QW_TRY(const auto file, GgufFile::open(source));
  QW_TRY(const auto backend, make_cpu_backend({.threads = program.threads(), .isa = {}}));
  Progress progress(program.console(), program.console().text("ui.writing", {{"file", o.out}}));
  return quant::requantise_gguf(o.out, file, *backend, plan, shown_by(progress, o.stop));
}

// A file beside the result, which goes with the object.
class ScratchFile {
 public:
  explicit ScratchFile(const fs::path& out)
      : path_(out.parent_path() / fmt::format(".{}.{}.float.gguf", out.filename().string(), ::getpid())) {}
  ~ScratchFile() {
    std::error_code ec;
    fs::remove(path_, ec);
  }
  ScratchFile(const ScratchFile&) = delete;
  ScratchFile& operator=(const ScratchFile&) = delete;
  const fs::path& path() const { return path_; }

 private:
  fs::path path_;
};

Status write_float_gguf(Program& program, const Options& o, const fs::path& to, const OpenModel& open,
                        QuantFormat format, WeightRows& rows) {
  Progress progress(program.console(), program.console().text("ui.writing", {{"file", o.out}}));
  return export_gguf(to, open.checkpoint, format, rows, shown_by(progress, o.stop));
}

// From anything that is no GGUF file: first all numbers as floats, which lose nothing, then those.
Result<quant::RequantiseReport> folder_to_gguf(Program& program, const Options& o,
                                               const quant::RequantisePlan& plan) {
  const ScratchFile scratch(o.out);
  {
    QW_TRY(const OpenModel open, open_model(program, o.model, o.compute, {.tokenizer = false}));
    WeightList weights;
    open.model->visit(weights);
    WeightRows rows(weights.weights(), *open.backend);
    if (traits(plan.recipe->base).is_float) {
      QW_TRY(write_float_gguf(program, o, o.out, open, plan.recipe->base, rows));
      return counts_of(rows, plan.recipe->base);
    }
    const bool floats = std::all_of(weights.weights().begin(), weights.weights().end(),
                                    [](const Weight* w) { return traits(w->format).is_float; });
    const QuantFormat format = floats ? usual_format(open.checkpoint) : QuantFormat::f32;
    QW_TRY(write_float_gguf(program, o, scratch.path(), open, format, rows));
  }
  return requantise(program, o, scratch.path(), plan);
}

Result<quant::RequantiseReport> to_folder(Program& program, const Options& o, QuantFormat format) {
  QW_TRY(const OpenModel open, open_model(program, o.model, o.compute, {.tokenizer = false}));
  WeightList weights;
  open.model->visit(weights);
  WeightRows rows(weights.weights(), *open.backend);
  Progress progress(program.console(), program.console().text("ui.writing", {{"file", o.out}}));
  QW_TRY(export_folder(o.out, open.checkpoint, format, rows, shown_by(progress, o.stop)));
  return counts_of(rows, format);
}

Result<int> write_gguf_model(Program& program, const Options& o, const quant::Recipe& recipe) {
  QW_TRY(const auto source, resolve_model(o.model));
  QW_TRY(const std::optional<quant::Imatrix> imatrix, importance(program, o));
  const quant::RequantisePlan plan{
      .recipe = &recipe, .imatrix = imatrix ? &*imatrix : nullptr, .threads = program.threads()};
  const bool gguf = is_gguf(source);
  QW_TRY(const quant::RequantiseReport done,
         gguf ? requantise(program, o, source, plan) : folder_to_gguf(program, o, plan));
  QW_TRY(report(program, o, recipe.name, done));
  return kExitOk;
}

Result<int> write_folder_model(Program& program, const Options& o, const quant::Recipe& recipe) {
  QW_TRY(const quant::RequantiseReport done, to_folder(program, o, recipe.base));
  QW_TRY(report(program, o, recipe.name, done));
  return kExitOk;
}

}  // namespace

Result<int> quantize_command(Program& program, Args args) {
  Options o;
  CommandLine line("quantize");
  line.argument("MODEL", &o.model, true);
  line.argument("OUT", &o.out, true);
  line.choice("--type", type_names(), &o.type, "help.quantize.type");
  line.text("--imatrix", "FILE", &o.imatrix, "help.quantize.imatrix");
  line.text("--imatrix-text", "FILE", &o.imatrix_text, "help.quantize.imatrix_text");
  line.text("--save-imatrix", "FILE", &o.save_imatrix, "help.quantize.save_imatrix");
  line.flag("--strict", &o.compute.strict, "help.strict");
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  o.compute.mmap = true;  // weights pass through, a few rows at a time: they need not fit
  if (o.imatrix && o.imatrix_text)
    return fail("cli.exclusive", {{"option", "--imatrix"}, {"other", "--imatrix-text"}});
  if (o.save_imatrix && !o.imatrix_text)
    return fail("cli.only_with", {{"option", "--save-imatrix"}, {"other", "--imatrix-text"}});
  QW_TRY(check_out(o.out, true));
  const Interrupts::Scope interrupts(program.interrupts(), [&o] { o.stop = true; });
  const quant::Recipe& recipe = *quant::find_recipe(o.type.value_or("q4_k_m"));
  return unless_stopped(program.console(), write_gguf_model(program, o, recipe));
}

Result<int> convert_command(Program& program, Args args) {
  Options o;
  CommandLine line("convert");
  line.argument("MODEL", &o.model, true);
  line.argument("OUT", &o.out, true);
  line.choice("--to", {"hf", "gguf"}, &o.to, "help.convert.to");
  line.choice("--type", type_names(), &o.type, "help.convert.type");
  line.flag("--strict", &o.compute.strict, "help.strict");
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  o.compute.mmap = true;  // weights pass through, a few rows at a time: they need not fit
  const bool gguf = o.to ? *o.to == "gguf" : fs::path(o.out).extension() == ".gguf";
  const quant::Recipe& recipe = *quant::find_recipe(o.type.value_or("bf16"));
  if (!gguf && !traits(recipe.base).is_float)
    return fail("cli.only_with", {{"option", fmt::format("--type {}", recipe.name)}, {"other", "--to gguf"}});
  QW_TRY(check_out(o.out, gguf));
  const Interrupts::Scope interrupts(program.interrupts(), [&o] { o.stop = true; });
  return unless_stopped(program.console(),
                        gguf ? write_gguf_model(program, o, recipe) : write_folder_model(program, o, recipe));
}

}  // namespace qw::apps
