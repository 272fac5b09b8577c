// A conversation as the sum of its records: everything that happens to it is one JSON record, applied here
// and written to the journal (journal.h), so that a replay gives the same conversation.
// Test: tests/apps/chat_journal_test.cc
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace qw::chat {

struct Call {
  std::string name;
  std::string arguments;  // JSON object, as the model spelled it

  bool operator==(const Call&) const = default;
};

struct Message {
  std::string role;  // user, assistant or tool
  std::string content;
  std::string reasoning = {};
  std::vector<Call> calls = {};  // assistant
  std::string name = {};         // tool
  std::string shown = {};        // tool: the line that the person saw

  bool operator==(const Message&) const = default;
};

class Conversation {
 public:
  // Records, by the key "t":
  //   {"t":"system","content":TEXT}            "": none
  //   {"t":"user","content":TEXT}
  //   {"t":"answer","keep":N,"ids":[…]}        begins; the prompt was the first N known ids, then these
  //   {"t":"delta","ids":[…],"text":TEXT,"reasoning":TEXT,"calls":[{"name","arguments"}]}   calls: where any
  //   {"t":"tool","name":NAME,"content":TEXT,"shown":TEXT}   the result of a call, one behind the other
  //   {"t":"end","reason":"stop|length|cancelled|interrupted|error"}
  //   {"t":"take_back","messages":N}           the newest N messages are gone
  //   {"t":"drop","messages":N}                the oldest N
  //   {"t":"compact","messages":N,"request":TEXT,"summary":TEXT}   the oldest N became one exchange
  //   {"t":"load","system":TEXT,"messages":[{"role","content","reasoning_content","tool_calls","name"}]}
  // Errors: chat.bad_record (args record); the conversation is as it was then.
  Status apply(const Json& record);

  const std::string& system() const { return system_; }
  const std::vector<Message>& messages() const { return messages_; }
  // The ids of the last prompt and of the answer to it, as they were computed.
  const std::vector<int32_t>& known_ids() const { return known_ids_; }
  // An answer has begun and not ended.
  bool answering() const { return answering_; }
  // How the last answer ended; "" before.
  const std::string& end_reason() const { return end_reason_; }
  bool empty() const { return messages_.empty(); }
  // Where each turn begins: the user's messages.
  std::vector<size_t> turns() const;
  // How many of the newest messages have no answer: none where the last one is an answer that calls no tool,
  // else all from the user's message on.
  size_t n_unanswered() const;

  // The array that chat templates take; the arguments of calls are texts, as in OpenAI's API.
  Json to_messages() const;

 private:
  Status apply_delta(const Json& record);
  Status apply_load(const Json& record);
  void end_answer(std::string_view reason);

  std::string system_;
  std::vector<Message> messages_;
  std::vector<int32_t> known_ids_;
  bool answering_ = false;
  std::string end_reason_;
};

// Reads {"messages":[…]} as `qw render` takes it: system first if at all, then user and assistant in turn,
// texts only; tool messages behind an assistant's calls. The "load" record of it. Errors: chat.bad_file (args
// file, expected).
Result<Json> load_record(const Json& object, std::string_view file);

}  // namespace qw::chat
