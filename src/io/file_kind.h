// What a file that should be a checkpoint really is, so that an error can say what to do about it: an
// unfetched git-lfs pointer, a web page saved instead of a model, a PyTorch archive, … Test:
// tests/io/file_kind_test.cc
#pragma once

#include <cstddef>
#include <filesystem>
#include <span>
#include <string_view>

#include "base/result.h"

namespace qw {

// The error for a file that is neither GGUF nor safetensors, by its first bytes. Codes (args file):
// file_kind.empty, file_kind.lfs_pointer, file_kind.html, file_kind.zip (PyTorch), file_kind.pickle,
// file_kind.compressed, file_kind.safetensors, file_kind.gguf, file_kind.json, file_kind.text,
// file_kind.unknown (also args begin: first bytes in hexadecimal).
Error foreign_file_error(std::span<const std::byte> bytes, std::string_view file);

// Whether `path` is a file that begins as GGUF files do.
bool is_gguf(const std::filesystem::path& path);

}  // namespace qw
