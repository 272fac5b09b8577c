// qw logits: the logits of every position of given ids, and all named values inside the model, as
// safetensors. Test: tests/e2e/golden_test.cc
#include <chrono>

#include "apps/commands/commands.h"
#include "apps/forward_runner.h"
#include "apps/ids_input.h"
#include "apps/model_files.h"
#include "apps/progress.h"
#include "io/hf/safetensors_writer.h"

namespace qw::apps {
namespace {

constexpr size_t kChunkRows = 128;  // of one step; bounds the memory for logits and taps

// Rows of one named value of one step.
struct Rows {
  std::string name;
  std::vector<int64_t> shape;  // [rows of the step, …]
  std::vector<float> values;
};

std::vector<Rows> compute_chunk(ForwardRunner& runner, Backend& backend, std::span<const int32_t> ids,
                                bool taps) {
  std::vector<Rows> out;
  Arena arena(backend);
  Ctx cx{backend, arena};
  const auto keep = [&](std::string_view name, const Tensor& value) {
    arena.reset();
    const auto dims = value.shape().dims();
    out.push_back({std::string(name), {dims.begin(), dims.end()}, to_host(cx, value)});
  };
  const Trace trace = keep;
  keep("logits", runner.step(ids, ForwardRunner::Rows::all, taps ? &trace : nullptr));
  std::rotate(out.begin(), out.end() - 1, out.end());  // logits first
  return out;
}

std::vector<SafetensorsPlan> plan_of(const std::vector<Rows>& first, size_t n_tokens) {
  std::vector<SafetensorsPlan> plans;
  for (const Rows& rows : first) {
    plans.push_back({rows.name, "F32", rows.shape});
    plans.back().shape[0] = static_cast<int64_t>(n_tokens);
  }
  return plans;
}

Status write_logits(Program& program, const OpenModel& open, std::span<const int32_t> ids, DType kv,
                    bool taps, const std::string& out_file) {
  QW_TRY(const auto runner, ForwardRunner::create(*open.model, *open.backend,
                                                  {.streams = 1,
                                                   .max_tokens = static_cast<int>(ids.size()),
                                                   .kv = kv,
                                                   .adapter = open.adapter ? open.adapter->set : nullptr}));
  Progress progress(program.console(), program.console().text("ui.logits_progress"));
  std::optional<SafetensorsWriter> writer;
  for (size_t begin = 0; begin < ids.size(); begin += kChunkRows) {
    progress.set(static_cast<int64_t>(begin), static_cast<int64_t>(ids.size()));
    const auto chunk = ids.subspan(begin, std::min(kChunkRows, ids.size() - begin));
    const std::vector<Rows> values = compute_chunk(*runner, *open.backend, chunk, taps);
    if (!writer) {
      QW_TRY(writer, SafetensorsWriter::create(out_file, plan_of(values, ids.size())));
    }
    for (size_t i = 0; i < values.size(); ++i) {
      const auto width = static_cast<int64_t>(values[i].values.size() / chunk.size());
      QW_TRY(writer->write(i, static_cast<int64_t>(begin) * width, std::span(values[i].values)));
    }
  }
  return writer->finish();
}

}  // namespace

Result<int> logits_command(Program& program, Args args) {
  std::string model_name;
  std::optional<std::string> ids_value, out_file;
  ModelFlags flags;
  bool taps = false;
  CommandLine line("logits");
  line.argument("MODEL", &model_name, true);
  line.text("--ids", "FILE", &ids_value, "help.ids");
  line.text("--out", "FILE", &out_file, "help.logits.out");
  line.flag("--taps", &taps, "help.logits.taps");
  flags.add_compute_options(line);
  flags.add_adapter_option(line);
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  if (!ids_value) return fail("cli.missing_argument", {{"shown", "--ids FILE"}, {"command", "logits"}});
  if (!out_file) return fail("cli.missing_argument", {{"shown", "--out FILE"}, {"command", "logits"}});
  QW_TRY(const DType kv, flags.kv_dtype(DType::f32));
  QW_TRY(const std::vector<int32_t> ids, read_ids(*ids_value));
  QW_TRY(const OpenModel open, open_model(program, model_name, flags, {.tokenizer = false}));
  const ModelInfo& info = open.model->info();
  QW_TRY(check_ids(ids, info.vocab));
  if (ids.size() > static_cast<size_t>(info.max_positions))
    return fail("model.too_long", {{"tokens", ids.size()}, {"limit", info.max_positions}});
  QW_TRY(write_logits(program, open, ids, kv, taps, *out_file));
  if (program.json()) {
    const Json out{{"file", *out_file}, {"tokens", ids.size()}, {"vocab", info.vocab}};
    QW_TRY(program.console().write(to_json_line(out) + "\n"));
  }
  return kExitOk;
}

}  // namespace qw::apps
