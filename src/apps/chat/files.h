// Small files of qw's own data: appends that are whole or absent, locks. Test:
// tests/apps/chat_journal_test.cc
#pragma once

#include <filesystem>
#include <string_view>

#include "base/descriptor.h"
#include "base/result.h"

namespace qw::chat {

// Opens for appending and reading; made where absent, with its folders, for this user alone. Errors:
// file.open.
Result<Descriptor> open_append(const std::filesystem::path& file);
// Appends the line and a newline in one write; a torn last line, as a crash leaves it, is ended first.
// Errors: file.write (args file, reason).
Status append_line(const Descriptor& fd, std::string_view line, const std::filesystem::path& file);
// Cuts the file to its first `size` bytes. Errors: file.write.
Status cut(const Descriptor& fd, size_t size, const std::filesystem::path& file);
// The whole file from its start. Errors: file.open.
Result<std::string> read_all(const Descriptor& fd, const std::filesystem::path& file);
// An exclusive lock that lives as long as the descriptor. `wait`: false answers at once.
bool lock(const Descriptor& fd, bool wait);

}  // namespace qw::chat
