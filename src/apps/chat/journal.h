// The journal of one conversation: its records, appended to $QW_HOME/chats/TIME-RANDOM.jsonl, a line each. A
// record is in the file when append() returns, so it outlives the process however that ends; sync() also
// outlives the machine. The file is locked while a chat uses it. Test: tests/apps/chat_journal_test.cc
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "apps/chat/conversation.h"
#include "apps/chat/files.h"

namespace qw::chat {

// What a conversation runs on: paths that are good from any folder; "": none.
struct Origin {
  std::string model;
  std::string adapter = {};
  std::string template_file = {};
};

class Journal {
 public:
  // A new conversation; `origin` is written into its first record. Errors: file.open, file.write.
  static Result<Journal> create(const std::filesystem::path& folder, const Origin& origin);
  // The newest conversation of the folder that holds a message and that no other chat uses, replayed into
  // `conversation`; none where there is none. Errors as open().
  static Result<std::optional<Journal>> open_last(const std::filesystem::path& folder,
                                                  Conversation& conversation);
  // One conversation by its file. A torn last line is passed over, and an answer that was not ended is.
  // Errors: file.open, chat.in_use, chat.bad_journal (args file, line).
  static Result<Journal> open(const std::filesystem::path& file, Conversation& conversation);

  // Errors: file.write.
  Status append(const Json& record);
  void sync();
  const std::filesystem::path& file() const { return file_; }
  const Origin& origin() const { return origin_; }

 private:
  Journal(std::filesystem::path file, Descriptor fd) : file_(std::move(file)), fd_(std::move(fd)) {}
  Status replay(Conversation& conversation);

  std::filesystem::path file_;
  Descriptor fd_;
  Origin origin_;
};

}  // namespace qw::chat
