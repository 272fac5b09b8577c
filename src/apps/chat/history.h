// The messages typed before, oldest first, each once: in memory and in a file that several chats share (a
// JSON string a line; appended under a lock). Test: tests/apps/chat_journal_test.cc
#pragma once

#include <deque>
#include <filesystem>
#include <string>
#include <string_view>

#include "base/result.h"

namespace qw::chat {

inline constexpr size_t kMaxHistory = 1000;

class History {
 public:
  // Without a file: of this session alone.
  History() = default;
  // Reads the file; lines that are torn are passed over. Where it has grown to many times the limit it is
  // written anew. Errors: file.open, file.write.
  static Result<History> open(std::filesystem::path file);

  // An entry that is there already becomes the newest. The line is in the file before this returns.
  Status add(const std::string& entry);
  const std::deque<std::string>& entries() const { return entries_; }

 private:
  void remember(std::string entry);
  Status rewrite() const;

  std::deque<std::string> entries_;
  std::filesystem::path file_;
};

}  // namespace qw::chat
