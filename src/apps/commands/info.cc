// qw info: what the machine can do, and what a model is and takes. Test: tests/e2e/info_test.cc
#include <unistd.h>

#include "apps/bench_plan.h"
#include "apps/commands/commands.h"
#include "apps/memory.h"
#include "apps/model_files.h"
#include "apps/model_shape.h"
#include "apps/paths.h"
#include "apps/progress.h"
#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/peaks.h"
#include "base/thread_pool.h"

namespace qw::apps {
namespace {

size_t machine_memory() {
  return static_cast<size_t>(::sysconf(_SC_PHYS_PAGES)) * static_cast<size_t>(::sysconf(_SC_PAGESIZE));
}

Result<Json> machine_json(Program& program) {
  QW_TRY(const auto backend, make_cpu_backend({.threads = program.threads(), .isa = {}}));
  QW_TRY(const auto home, qw_home());
  const Progress progress(program.console(), program.console().text("ui.peaks_progress"));
  const CpuPeaks peaks = measure_peaks(program.threads());
  return Json{{"version", program.version()},
              {"cores", available_cores()},
              {"threads", program.threads()},
              {"memory_bytes", machine_memory()},
              {"available_bytes", available_memory()},
              {"backend", backend->name()},
              {"isa", std::string(backend->name().substr(backend->name().find('/') + 1))},
              {"isas", supported_isas()},
              {"peaks",
               {{"read_gb_s", peaks.read_gb_s},
                {"f32_gflop_s", peaks.f32_gflop_s},
                {"bf16_gflop_s", peaks.bf16_gflop_s},
                {"int8_gop_s", peaks.int8_gop_s}}},
              {"home", home.string()}};
}

Json formats_json(const Checkpoint& checkpoint) {
  Json out = Json::object();
  for (const auto& [name, count] : checkpoint.formats)
    out[name] = {{"tensors", count.tensors}, {"elements", count.elements}, {"bytes", count.bytes}};
  return out;
}

Result<Json> model_json(Program& program, const std::string& name, const ModelFlags& flags) {
  QW_TRY(OpenModel open,
         open_model(program, name, flags, {.tokenizer = true, .tokenizer_may_be_absent = true}));
  const ModelInfo& info = open.model->info();
  EngineOptions options{.max_seqs = 1};
  QW_TRY(options.kv_dtype, flags.kv_dtype(DType::f16));
  options.ctx_tokens = static_cast<int>(flags.ctx.value_or(0));
  QW_TRY(const MemoryPlan plan, plan_memory(*open.model, open.backend->real(), options));
  const ModelSizes sizes = model_sizes(*open.model);
  Json out{{"name", open.checkpoint.name},
           {"path", open.checkpoint.path.string()},
           {"kind", open.checkpoint.kind == CheckpointKind::gguf ? "gguf" : "folder"},
           {"architecture", info.model_type},
           {"parameters", sizes.parameters},
           {"active_parameters", model_shape(*open.model, open.checkpoint.config).active},
           {"layers", info.n_layers},
           {"hidden", info.hidden},
           {"vocab", info.vocab},
           {"context", info.max_positions},
           {"tied_head", open.model->tied_head()},
           {"file_bytes", open.checkpoint.total_bytes},
           {"files", open.checkpoint.n_files},
           {"quantisation", open.checkpoint.quantisation},
           {"formats", formats_json(open.checkpoint)},
           {"stop_ids", open.checkpoint.generation.stop_ids},
           {"chat_template", open.tokenizer && !open.tokenizer->chat_templates().empty()},
           {"memory", plan_json(plan)}};
  if (!open.checkpoint.other_parts.empty()) out["other_parts"] = open.checkpoint.other_parts;
  if (open.model->has_mtp()) out["mtp"] = true;
  if (open.tokenizer) out["tokens"] = open.tokenizer->vocab_size();
  return out;
}

// The model of a lone config.json: its shape and what it would take.
Result<std::optional<Json>> lone_json(Program& program, const std::string& name) {
  QW_TRY(const auto path, resolve_model(name));
  QW_TRY(const std::optional<Json> config, lone_config(path));
  if (!config) return std::optional<Json>();
  QW_TRY(const LoadedModel made, make_model(*config));
  for (Error warning : made.warnings) program.console().warn(warning.with("file", path.string()));
  Json out = shape_json(*made.model, model_shape(*made.model, *config));
  out["name"] = std::filesystem::is_directory(path) ? path.filename().string() : path.stem().string();
  out["kind"] = "config";
  return std::optional(std::move(out));
}

std::string machine_text(const Console& console, const Json& m) {
  const Json& p = m["peaks"];
  const auto number = [&p](const char* key) { return fmt::format("{:.1f}", p[key].get<double>()); };
  return console.text(
      "ui.info_machine",
      {{"version", m["version"].get<std::string>()},
       {"cores", m["cores"].dump()},
       {"threads", m["threads"].dump()},
       {"isa", m["isa"].get<std::string>()},
       {"isas", fmt::format("{}", fmt::join(m["isas"].get<std::vector<std::string>>(), ", "))},
       {"memory", bytes_text(m["memory_bytes"].get<size_t>())},
       {"available", bytes_text(m["available_bytes"].get<size_t>())},
       {"read", number("read_gb_s")},
       {"f", number("f32_gflop_s")},
       {"bf", number("bf16_gflop_s")},
       {"int", number("int8_gop_s")},
       {"home", m["home"].get<std::string>()}});
}

std::string model_text(const Console& console, const Json& m) {
  std::vector<std::string> formats;
  for (const auto& [name, count] : m["formats"].items())
    formats.push_back(fmt::format("{} × {} ({})", count["tensors"].get<int64_t>(), name,
                                  bytes_text(count["bytes"].get<size_t>())));
  const auto quantisation = m["quantisation"].get<std::string>();
  const std::string scheme = quantisation.empty() ? "" : quantisation + ": ";
  const Json& plan = m["memory"];
  const auto bytes = [&plan](const char* key) { return bytes_text(plan[key].get<size_t>()); };
  std::string text = console.text("ui.info_model",
                                  {{"name", m["name"].get<std::string>()},
                                   {"architecture", m["architecture"].get<std::string>()},
                                   {"parameters", fmt::format("{:.1f}", m["parameters"].get<double>() / 1e6)},
                                   {"path", m["path"].get<std::string>()},
                                   {"layers", m["layers"].dump()},
                                   {"hidden", m["hidden"].dump()},
                                   {"vocab", m["vocab"].dump()},
                                   {"context", m["context"].dump()},
                                   {"formats", scheme + fmt::format("{}", fmt::join(formats, ", "))},
                                   {"plan_context", plan["context"].dump()},
                                   {"weights", bytes("weight_bytes")},
                                   {"kv", bytes("kv_bytes")},
                                   {"activations", bytes("activation_bytes")},
                                   {"total", bytes("total_bytes")}});
  const Json others = m.value("other_parts", Json::object());
  for (const auto& [part, size] : others.items()) {
    text += '\n';
    text += console.text("ui.info_other_part", {{"part", part}, {"size", bytes_text(size.get<size_t>())}});
  }
  return text;
}

}  // namespace

Result<int> info_command(Program& program, Args args) {
  std::optional<std::string> model_name;
  ModelFlags flags;
  CommandLine line("info");
  line.argument("MODEL", &model_name);
  flags.add_context_option(line);
  flags.add_compute_options(line);
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  Json model;
  flags.mmap = true;  // what is only described need not fit
  std::optional<Json> lone;
  if (model_name) {
    QW_TRY(lone, lone_json(program, *model_name));
    if (lone) {
      model = *lone;
    } else {
      QW_TRY(model, model_json(program, *model_name, flags));
    }
  }
  QW_TRY(const Json machine, machine_json(program));
  Console& console = program.console();
  if (program.json()) {
    Json out{{"machine", machine}};
    if (model_name) out["model"] = model;
    QW_TRY(console.write(to_json_line(out) + "\n"));
    return kExitOk;
  }
  QW_TRY(console.write(machine_text(console, machine) + "\n"));
  if (model_name) {
    const std::string text =
        lone ? shape_text(console, model["name"].get<std::string>(), model) : model_text(console, model);
    QW_TRY(console.write(fmt::format("\n{}\n", text)));
  }
  return kExitOk;
}

}  // namespace qw::apps
