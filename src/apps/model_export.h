// In what form a model is written: by qw merge, and by a training. Test: tests/e2e/merge_test.cc,
// tests/e2e/train_test.cc
#pragma once

#include <optional>
#include <string_view>

#include "core/dtype.h"
#include "io/checkpoint.h"
#include "io/gguf_export.h"

namespace qw::apps {

// f32, f16, bf16 and q8_0 by name.
std::optional<QuantFormat> format_named(std::string_view name);

// The float format that most numbers of the checkpoint have; bf16 where blocks are among them, f32 where it
// has no weights.
QuantFormat usual_format(const Checkpoint& checkpoint);

// The checkpoint as one GGUF file, its tokenizer included. Errors: text.*.
Result<GgufModelPlan> gguf_plan(const Checkpoint& checkpoint, QuantFormat format);

}  // namespace qw::apps
