#include "apps/model_export.h"

#include <algorithm>

#include "apps/interrupts.h"
#include "apps/sentence_files.h"
#include "apps/tokenizer_files.h"
#include "io/gguf/export.h"
#include "io/hf/folder_writer.h"

namespace qw::apps {

std::optional<QuantFormat> format_named(std::string_view name) {
  for (const QuantFormat f : {QuantFormat::f32, QuantFormat::f16, QuantFormat::bf16, QuantFormat::q8_0})
    if (traits(f).name == name) return f;
  return std::nullopt;
}

QuantFormat usual_format(const Checkpoint& checkpoint) {
  QuantFormat best = QuantFormat::f32;
  int64_t most = 0;
  for (const auto& [name, count] : checkpoint.formats) {
    const auto format = format_named(name);
    if (!format || !traits(*format).is_float) return QuantFormat::bf16;
    if (count.elements > most) best = *format;
    most = std::max(most, count.elements);
  }
  return best;
}

Status check_out(const std::filesystem::path& out, bool one_file) {
  namespace fs = std::filesystem;
  std::error_code ec;
  const fs::path folder = out.parent_path();
  if (one_file && !folder.empty() && !fs::is_directory(folder, ec))
    return fail("merge.no_folder", {{"folder", folder.string()}});
  if (!fs::exists(out, ec) || (!one_file && fs::is_directory(out, ec) && fs::is_empty(out, ec))) return {};
  return fail("merge.out_exists", {{"file", out.string()}});
}

Status export_folder(const std::filesystem::path& out, const Checkpoint& checkpoint, QuantFormat format,
                     WeightRows& rows, const WriteProgress& progress) {
  HfFolderPlan plan{.files_from = checkpoint.tokenizer_folder, .config = checkpoint.config, .format = format};
  if (checkpoint.kind == CheckpointKind::gguf) {
    // Only the result of a llama3 scaling is left in a GGUF file.
    if (plan.config["rope_parameters"]["rope_type"] == "explicit_factors")
      return fail("merge.gguf_to_folder", {{"file", checkpoint.path.string()}});
    QW_TRY(plan.files, folder_files(checkpoint));
  }
  return write_hf_folder(out, plan, rows, progress);
}

Status export_gguf(const std::filesystem::path& out, const Checkpoint& checkpoint, QuantFormat format,
                   WeightRows& rows, const WriteProgress& progress) {
  GgufModelPlan plan{.config = checkpoint.config,
                     .generation = checkpoint.generation,
                     .tokenizer = {},
                     .name = checkpoint.name,
                     .format = format};
  QW_TRY(plan.tokenizer, tokenizer_for_gguf(checkpoint));
  plan.pooling_type = checkpoint.pooling_type;
  if (checkpoint.kind == CheckpointKind::hf_folder && has_sentence_setup(checkpoint.path))
    // Of modules that qw embed does not know, such as a ranker's, GGUF says nothing.
    if (const auto setup = read_sentence_setup(checkpoint.path))
      plan.pooling_type = ggml_pooling_type(setup->pooling);
  return write_gguf(out, plan, rows, progress);
}

WriteProgress shown_by(Progress& progress, const std::atomic<bool>& stop) {
  return [&progress, &stop](int64_t done, int64_t total) -> Status {
    progress.set(done >> 20, std::max<int64_t>(total >> 20, 1));
    if (stop.load()) return fail("export.stopped");
    return {};
  };
}

Result<int> unless_stopped(Console& console, Result<int> done) {
  if (done || done.error().code() != "export.stopped") return done;
  console.note(message(console.lang, done.error()));
  return kExitInterrupted;
}

}  // namespace qw::apps
