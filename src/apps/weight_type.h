// The number format in which a model's weights are written. Test: tests/e2e/merge_test.cc,
// tests/e2e/train_test.cc
#pragma once

#include <optional>
#include <string_view>

#include "core/dtype.h"
#include "io/checkpoint.h"

namespace qw::apps {

// f32, f16, bf16 and q8_0 by name.
std::optional<QuantFormat> format_named(std::string_view name);

// The float format that most numbers of the checkpoint have; bf16 where blocks are among them, f32 where it
// has no weights.
QuantFormat usual_format(const Checkpoint& checkpoint);

}  // namespace qw::apps
