// Messages → prompt, with the templates and named tokens of one model. The variables of a template are
// messages, tools (null), documents (null), add_generation_prompt (false), every named special token, then
// the extra arguments, which win. Spec: transformers 5.12 apply_chat_template. Test:
// tests/text/chat_renderer_test.cc
#pragma once

#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/chat_template.h"
#include "text/tokenizer.h"

namespace qw {

// One message; texts are UTF-8. Members that are absent do not exist for the template.
struct ChatMessage {
  std::string role;
  std::string content;
  std::optional<std::string> reasoning_content = std::nullopt;
  std::string tool_calls = {};  // JSON array; empty: none
  std::optional<std::string> tool_call_id = std::nullopt;
  std::optional<std::string> name = std::nullopt;
};

struct ChatRequest {
  std::vector<ChatMessage> messages;
  std::string tools = {};   // JSON array; empty: null
  std::string kwargs = {};  // JSON object of further variables; empty: none
  bool add_generation_prompt = true;
  LocalTime now = {};
};

class ChatPrefixes;

class ChatRenderer {
 public:
  // Templates by name, as Tokenizer::chat_templates(): "tool_use" serves where tools are given, else
  // "default" (or the only one). Errors: template.missing, template.syntax.
  static Result<ChatRenderer> create(const std::vector<ChatTemplateSource>& templates,
                                     std::vector<std::pair<std::string, std::string>> named_tokens);

  // Errors: those of ChatTemplate::render; json.parse, json.too_deep; template.input (args what, expected).
  Result<Rendered> render(const ChatRequest& request) const;

  // {"messages": […], "tools": […], "kwargs": {…}}: the object that `qw render` reads. Other members are
  // ignored.
  Result<Rendered> render_json(std::string_view object, const LocalTime& now) const;

  // The same object, to be rendered in several lengths; the renderer must outlive the answer.
  Result<ChatPrefixes> prefixes(std::string_view object, const LocalTime& now) const;

 private:
  friend class ChatPrefixes;
  ChatRenderer() = default;
  RenderInputs inputs(const LocalTime& now) const;
  Result<Rendered> run(bool with_tools, const RenderInputs& inputs) const;

  std::map<std::string, ChatTemplate, std::less<>> templates_;
  std::vector<std::pair<std::string, std::string>> named_tokens_;
};

// A conversation that was parsed once.
class ChatPrefixes {
 public:
  // The first `n` messages; `ask`: with the prompt for the next one (add_generation_prompt).
  Result<Rendered> render(size_t n, bool ask);

 private:
  friend class ChatRenderer;
  ChatPrefixes(const ChatRenderer& renderer, RenderInputs inputs, const text::jinja::List* messages,
               bool with_tools)
      : renderer_(renderer), inputs_(std::move(inputs)), messages_(messages), with_tools_(with_tools) {}

  const ChatRenderer& renderer_;
  RenderInputs inputs_;
  const text::jinja::List* messages_;  // on the heap of inputs_
  bool with_tools_;
};

}  // namespace qw
