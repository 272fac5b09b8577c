// SHA-256 of texts and of a model's files. Test: tests/apps/eval_task_test.cc
#pragma once

#include <filesystem>
#include <functional>
#include <string>
#include <string_view>

#include "base/json.h"
#include "io/checkpoint.h"

namespace qw::eval {

// Lower-case hexadecimal.
std::string sha256_of(std::string_view bytes);

// {"name": "hash"} of every file that a model is made of, in the order of names: a GGUF file with its further
// parts, or a folder's weights, JSON files, merges and templates; then those of the adapter (a PEFT folder or
// a GGUF file), as "adapter/name". `progress` is told the bytes read so far. Errors: file.*.
Result<Json> sha256_of_model(const Checkpoint& checkpoint, const std::optional<std::string>& adapter,
                             const std::function<void(int64_t done, int64_t total)>& progress);

}  // namespace qw::eval
