#include "apps/chat_prompt.h"

#include <algorithm>
#include <utility>
#include <vector>

#include "apps/console.h"
#include "apps/paths.h"
#include "apps/tokenizer_files.h"
#include "base/json.h"
#include "base/json_spelling.h"
#include "text/template_files.h"
#include "text/tool_calls.h"

namespace qw::apps {
namespace {

// What stands between the braces of a valid JSON object.
std::string_view inside(std::string_view object) {
  const size_t begin = object.find('{') + 1;
  return object.substr(begin, object.rfind('}') - begin);
}

void append_member(std::string& to, std::string_view text) {
  if (text.find_first_not_of(" \t\r\n") == text.npos) return;
  if (!to.empty()) to += ',';
  to += text;
}

Result<ChatRenderer> make_renderer(std::vector<ChatTemplateSource> templates,
                                   std::vector<std::pair<std::string, std::string>> named_tokens,
                                   const std::optional<std::string>& template_file) {
  if (template_file) {
    QW_TRY(std::string source, read_input(*template_file));
    templates = {{"default", std::move(source)}};
  }
  return ChatRenderer::create(templates, std::move(named_tokens));
}

}  // namespace

Result<ChatRenderer> open_renderer(std::string_view model, const std::optional<std::string>& template_file) {
  QW_TRY(const auto path, resolve_model(model));
  QW_TRY(const Checkpoint checkpoint, open_tokenizer_files(path));
  if (checkpoint.kind == CheckpointKind::gguf) {
    QW_TRY(const Tokenizer tokenizer, checkpoint_tokenizer(checkpoint));
    return renderer_of(tokenizer, template_file);
  }
  QW_TRY(TemplateFiles files, read_template_files(checkpoint.tokenizer_folder));
  return make_renderer(std::move(files.chat_templates), std::move(files.named_tokens), template_file);
}

Result<ChatRenderer> renderer_of(const Tokenizer& tokenizer,
                                 const std::optional<std::string>& template_file) {
  return make_renderer(tokenizer.chat_templates(), tokenizer.named_tokens(), template_file);
}

bool renders_tool_calls(const ChatRenderer& renderer, std::string_view tools) {
  const std::string call = R"([{"type":"function","function":{"name":"f","arguments":{"a":"b"}}}])";
  ChatRequest request{.messages = {{.role = "user", .content = "x"}}};
  const auto without = renderer.render(request);
  request.tools = tools;
  const auto with = renderer.render(request);
  if (!without || !with || without->text == with->text) return false;
  request.messages.push_back({.role = "assistant", .content = "", .tool_calls = call});
  request.messages.push_back({.role = "tool", .content = "{}", .name = "f"});
  const auto called = renderer.render(request);
  if (!called) return false;
  OutputEventParser parser({.reasoning = false}, ToolTypes());
  std::vector<OutputEvent> events = parser.push(called->text);
  for (OutputEvent& e : parser.finish()) events.push_back(std::move(e));
  return std::any_of(events.begin(), events.end(), [](const OutputEvent& e) {
    return e.kind == OutputEvent::Kind::tool_call && e.call.name == "f" &&
           parse_json(e.call.arguments, "") == Json{{"a", "b"}};
  });
}

Result<std::string> answer_object(std::string_view object, std::string_view file, const PromptUse& use) {
  QW_TRY(const Json parsed, parse_json(object, file));
  if (!parsed.is_object()) return fail("prompt.no_object", {{"file", file}});
  // Of equal keys the last one counts, so that what wins stands last.
  std::string members, kwargs = R"("add_generation_prompt":true)";
  for (const auto& [key, value] : spelled_members(object)) {
    if (key == "kwargs" && parsed["kwargs"].is_object()) {
      append_member(kwargs, inside(value));
    } else if (key == "messages" || key == "tools" || key == "documents") {
      append_member(members, fmt::format("\"{}\":{}", key, value));
    } else if (key == "kwargs" && !parsed["kwargs"].is_null()) {
      return fail("prompt.no_object", {{"file", fmt::format("{}: kwargs", file)}});
    }
  }
  if (!use.kwargs.empty()) {
    const auto flag = parse_json(use.kwargs, "--kwargs");
    if (!flag || !flag->is_object()) return fail("cli.bad_kwargs", {{"value", use.kwargs}});
    append_member(kwargs, inside(use.kwargs));
  }
  if (use.no_think) append_member(kwargs, R"("enable_thinking":false)");
  append_member(members, fmt::format("\"kwargs\":{{{}}}", kwargs));
  return fmt::format("{{{}}}", members);
}

}  // namespace qw::apps
