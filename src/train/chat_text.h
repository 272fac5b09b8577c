// A conversation as the model sees it: the text of its own template, cut where the assistant speaks.
// Test: tests/train/data_test.cc
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "text/chat_renderer.h"

namespace qw::train {

// How a conversation becomes a text: by this template, at this time (strftime_now).
struct ChatView {
  const ChatRenderer& renderer;
  LocalTime now = {};
};

struct ChatPart {
  std::string text;
  bool target = false;  // the assistant's own: what is learnt
};

// `chat` is {"messages", "tools"?, "kwargs"?} and becomes one text or several, each a list of parts. A
// template with {% generation %} blocks says itself what the assistant wrote. Otherwise an answer is what
// the text gains over the prompt the model would have been given (add_generation_prompt); where an earlier
// answer reads differently in the whole conversation than when it was given (templates drop past reasoning),
// every answer becomes a text of its own. Errors: those of the template; train.no_assistant.
Result<std::vector<std::vector<ChatPart>>> chat_texts(const ChatView& view, const Json& chat);

// The whole conversation as one text. Errors: those of the template.
Result<std::string> whole_chat(const ChatView& view, const Json& chat);

// Where the answer begins in `text`, the conversation with it: where it differs from the prompt. Of a
// reasoning block that the prompt opens and the text does not nothing is kept: what the text has there may
// begin like it ("<think>", "<tool_call>"), and a tag is not to be cut in two.
size_t answer_begin(std::string_view prompt, std::string_view text);

// The whole conversation as one text, of which the answers from message `first` on are learnt as in
// chat_texts(); one that reads differently in the whole than when it was given is not. Errors: the same.
Result<std::vector<ChatPart>> answer_parts(const ChatView& view, const Json& chat, size_t first);

// The prompt that asks for message `index` of the conversation. Errors: those of the template.
Result<std::string> chat_prompt(const ChatView& view, const Json& chat, size_t index);

}  // namespace qw::train
