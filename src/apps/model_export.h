// In what form a model is written: by qw merge, and by a training. Test: tests/e2e/merge_test.cc,
// tests/e2e/train_test.cc
#pragma once

#include <atomic>
#include <filesystem>
#include <optional>
#include <string_view>

#include "apps/progress.h"
#include "core/dtype.h"
#include "io/checkpoint.h"
#include "io/weight_rows.h"

namespace qw::apps {

// f32, f16, bf16 and q8_0 by name.
std::optional<QuantFormat> format_named(std::string_view name);

// The float format that most numbers of the checkpoint have; bf16 where blocks are among them, f32 where it
// has no weights.
QuantFormat usual_format(const Checkpoint& checkpoint);

// Nothing of the user's is written over, and there is a folder for a result of one file (others make theirs,
// or take one that is empty). Errors: merge.out_exists (args file), merge.no_folder (args folder).
Status check_out(const std::filesystem::path& out, bool one_file);

// The weights as a folder of Hugging Face, with the checkpoint's tokenizer and other files. Errors:
// merge.gguf_to_folder (args file), those of write_hf_folder.
Status export_folder(const std::filesystem::path& out, const Checkpoint& checkpoint, QuantFormat format,
                     WeightRows& rows, const WriteProgress& progress = {});

// The same as one GGUF file, the tokenizer inside. Errors: text.*, those of write_gguf.
Status export_gguf(const std::filesystem::path& out, const Checkpoint& checkpoint, QuantFormat format,
                   WeightRows& rows, const WriteProgress& progress = {});

// Mebibytes on a line of progress. Errors: export.stopped, once `stop`, which ctrl-C sets, is true. Both
// outlive the writer.
WriteProgress shown_by(Progress& progress, const std::atomic<bool>& stop);

// The status of a command that wrote: export.stopped is said in a note, and the exit status 130.
Result<int> unless_stopped(Console& console, Result<int> done);

}  // namespace qw::apps
