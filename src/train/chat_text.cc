#include "train/chat_text.h"

#include <algorithm>

#include "text/output_parser.h"

namespace qw::train {
namespace {

Result<ChatPrefixes> parse(const ChatView& view, const Json& chat) {
  return view.renderer.prefixes(chat.dump(-1, ' ', false, Json::error_handler_t::replace), view.now);
}

using Spans = std::vector<std::pair<size_t, size_t>>;

std::vector<ChatPart> cut(const std::string& text, const Spans& spans) {
  std::vector<ChatPart> parts;
  size_t at = 0;
  const auto add = [&](size_t end, bool target) {
    if (end > at) parts.push_back({text.substr(at, end - at), target});
    at = std::max(at, end);
  };
  for (const auto& [begin, end] : spans) {
    add(begin, false);
    add(end, true);
  }
  add(text.size(), false);
  return parts;
}

// What message i adds when it is the last: the prompt that asks for it, and the text with it.
struct Turn {
  std::string prompt, text;
  size_t begin() const { return answer_begin(prompt, text); }
};

// The answers from message `first` on; `whole`: the text of all messages. Errors: those of the template;
// train.no_assistant.
Result<std::vector<Turn>> turns_from(ChatPrefixes& prefixes, const Json& messages, size_t first,
                                     const std::string& whole) {
  std::vector<Turn> turns;
  for (size_t i = first; i < messages.size(); ++i) {
    if (!messages[i].is_object() || messages[i].value("role", Json()) != "assistant") continue;
    QW_TRY(Rendered prompt, prefixes.render(i, true));
    Turn turn{std::move(prompt.text), whole};
    if (i + 1 < messages.size()) {
      QW_TRY(Rendered text, prefixes.render(i + 1, false));
      turn.text = std::move(text.text);
    }
    turns.push_back(std::move(turn));
  }
  if (turns.empty()) return fail("train.no_assistant");
  return turns;
}

}  // namespace

size_t answer_begin(std::string_view prompt, std::string_view text) {
  const auto differs = std::mismatch(prompt.begin(), prompt.end(), text.begin(), text.end());
  const auto begin = static_cast<size_t>(differs.first - prompt.begin());
  if (begin == prompt.size() || !prompt_opens_reasoning(prompt)) return begin;
  return std::min(begin, prompt.rfind("<think>"));
}

Result<std::string> whole_chat(const ChatView& view, const Json& chat) {
  QW_TRY(ChatPrefixes prefixes, parse(view, chat));
  QW_TRY(Rendered whole, prefixes.render(chat["messages"].size(), false));
  return std::move(whole.text);
}

Result<std::string> chat_prompt(const ChatView& view, const Json& chat, size_t index) {
  QW_TRY(ChatPrefixes prefixes, parse(view, chat));
  QW_TRY(Rendered prompt, prefixes.render(index, true));
  return std::move(prompt.text);
}

Result<std::vector<std::vector<ChatPart>>> chat_texts(const ChatView& view, const Json& chat) {
  QW_TRY(ChatPrefixes prefixes, parse(view, chat));
  const Json& messages = chat["messages"];
  QW_TRY(const Rendered whole, prefixes.render(messages.size(), false));
  if (!whole.generation.empty()) return std::vector<std::vector<ChatPart>>{cut(whole.text, whole.generation)};

  QW_TRY(const std::vector<Turn> turns, turns_from(prefixes, messages, 0, whole.text));
  const bool grows = std::all_of(turns.begin(), turns.end(), [&](const Turn& t) {
    return whole.text.starts_with(t.text) && whole.text.starts_with(t.prompt);
  });
  Spans spans;
  std::vector<std::vector<ChatPart>> out;
  for (const Turn& t : turns) {
    if (grows)
      spans.emplace_back(t.begin(), t.text.size());
    else
      out.push_back(cut(t.text, {{t.begin(), t.text.size()}}));
  }
  if (grows) out.push_back(cut(whole.text, spans));
  return out;
}

Result<std::vector<ChatPart>> answer_parts(const ChatView& view, const Json& chat, size_t first) {
  QW_TRY(ChatPrefixes prefixes, parse(view, chat));
  const Json& messages = chat["messages"];
  QW_TRY(const Rendered whole, prefixes.render(messages.size(), false));
  QW_TRY(const std::vector<Turn> turns, turns_from(prefixes, messages, first, whole.text));
  Spans spans;
  if (whole.generation.empty()) {
    for (const Turn& t : turns)
      if (whole.text.starts_with(t.text)) spans.emplace_back(t.begin(), t.text.size());
  } else {
    const size_t asked = Turn{turns.front().prompt, whole.text}.begin();
    for (const auto& [begin, end] : whole.generation)
      if (end > asked) spans.emplace_back(std::max(begin, asked), end);
  }
  return cut(whole.text, spans);
}

}  // namespace qw::train
