// qw merge: a model with an adapter folded into its weights, or as it is, written as a Hugging Face folder or
// as a GGUF file; or the adapter alone in the other of its two forms.
// Test: tests/e2e/merge_test.cc
#include "apps/commands/commands.h"
#include "apps/memory.h"
#include "apps/model_export.h"
#include "apps/model_files.h"
#include "apps/progress.h"

namespace qw::apps {
namespace {

namespace fs = std::filesystem;

struct Options {
  std::string model, adapter, out;
  std::optional<std::string> to, type;
  ModelFlags compute;
  std::atomic<bool> stop = false;  // set by ctrl-C
};

bool adapter_alone(const Options& o) {
  return o.to == "peft" || o.to == "gguf-adapter";
}

bool to_gguf(const Options& o) {
  return o.to ? *o.to == "gguf" : fs::path(o.out).extension() == ".gguf";
}

std::vector<Shape> shapes_of(const WeightRows& rows) {
  std::vector<Shape> out;
  for (const WeightRows::Item& item : rows.items()) out.push_back(item.shape);
  return out;
}
std::vector<Shape> shapes_of(const AdapterSet& set) {
  std::vector<Shape> out;
  for (const auto& [name, lora] : set.all()) out.insert(out.end(), {lora.a.shape, lora.b.shape});
  return out;
}

Status report(Program& program, const Options& o, QuantFormat format, const std::vector<Shape>& shapes) {
  int64_t elements = 0;
  for (const Shape& shape : shapes) elements += shape.elements();
  const size_t tensors = shapes.size();
  if (program.json()) {
    const Json json{
        {"out", o.out}, {"type", traits(format).name}, {"tensors", tensors}, {"elements", elements}};
    return program.console().write(to_json_line(json) + "\n");
  }
  const std::string millions = fmt::format("{:.1f}", static_cast<double>(elements) / 1e6);
  return program.console().write(
      program.console().text(
          "ui.merged",
          {{"file", o.out}, {"tensors", tensors}, {"millions", millions}, {"type", traits(format).name}}) +
      "\n");
}

Result<int> write_adapter(Program& program, const Options& o, const OpenModel& open) {
  const QuantFormat format = o.type ? *format_named(*o.type) : QuantFormat::f32;
  QW_TRY(o.to == "peft"
             ? write_peft_adapter(o.out, *open.adapter, *open.backend)
             : write_gguf_adapter(o.out, *open.adapter, open.checkpoint.config, *open.backend, format));
  QW_TRY(report(program, o, format, shapes_of(*open.adapter->set)));
  return kExitOk;
}

Result<int> write_model(Program& program, const Options& o) {
  QW_TRY(const OpenModel open, open_model(program, o.model, o.compute, {.tokenizer = false}));
  if (adapter_alone(o)) return write_adapter(program, o, open);
  const QuantFormat format = o.type ? *format_named(*o.type) : usual_format(open.checkpoint);
  WeightList weights;
  open.model->visit(weights);
  WeightRows rows(weights.weights(), *open.backend, open.adapter ? open.adapter->set : nullptr);
  {
    Progress progress(program.console(), program.console().text("ui.writing", {{"file", o.out}}));
    const auto write = to_gguf(o) ? export_gguf : export_folder;
    QW_TRY(write(o.out, open.checkpoint, format, rows, shown_by(progress, o.stop)));
  }
  QW_TRY(report(program, o, format, shapes_of(rows)));
  return kExitOk;
}

}  // namespace

Result<int> merge_command(Program& program, Args args) {
  Options o;
  CommandLine line("merge");
  line.argument("MODEL", &o.model, true);
  line.argument("ADAPTER", &o.adapter, true);
  line.argument("OUT", &o.out, true);
  line.choice("--to", {"hf", "gguf", "peft", "gguf-adapter"}, &o.to, "help.merge.to");
  line.choice("--type", {"f32", "f16", "bf16", "q8_0"}, &o.type, "help.merge.type");
  line.flag("--strict", &o.compute.strict, "help.strict");
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  o.compute.mmap = true;  // weights pass through, a few rows at a time: they need not fit
  if (o.type == "q8_0" && !to_gguf(o) && o.to != "gguf-adapter")
    return fail("cli.only_with", {{"option", "--type q8_0"}, {"other", "--to gguf"}});
  if (o.to == "peft" && o.type)
    return fail("cli.exclusive", {{"option", "--type"}, {"other", "--to " + *o.to}});
  if (adapter_alone(o) && o.adapter == "-")
    return fail("cli.missing_argument", {{"shown", "ADAPTER"}, {"command", "merge"}});
  QW_TRY(check_out(o.out, to_gguf(o) || o.to == "gguf-adapter"));
  if (o.adapter != "-") o.compute.adapter = o.adapter;
  const Interrupts::Scope interrupts(program.interrupts(), [&o] { o.stop = true; });
  return unless_stopped(program.console(), write_model(program, o));
}

}  // namespace qw::apps
