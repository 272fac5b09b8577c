#include "text/chat_renderer.h"

#include "text/jinja/json.h"
#include "text/utf8.h"

namespace qw {

namespace jinja = text::jinja;

namespace {

auto wrong_input(std::string_view what, std::string_view expected) {
  return fail("template.input", {{"what", what}, {"expected", expected}});
}

// A member of the case object; missing where it is absent or null.
jinja::Value member(const jinja::Dict& object, std::string_view name) {
  const jinja::Value* v = object.find(name);
  return v == nullptr || v->is(jinja::Kind::none) ? jinja::Value::missing() : *v;
}

Status add_kwargs(RenderInputs& inputs, const jinja::Value& kwargs) {
  if (kwargs.is(jinja::Kind::missing)) return {};
  if (!kwargs.is(jinja::Kind::dict)) return wrong_input("kwargs", "object");
  for (const auto& [key, value] : kwargs.dict->items) inputs.set(key.text(), value);
  return {};
}

Result<jinja::Value> message_value(jinja::Heap& heap, const ChatMessage& message) {
  jinja::Dict* out = heap.dict();
  const auto put = [&](std::string_view key, std::string_view text) {
    out->set(heap, heap.string(key), heap.string(text::utf8_valid(text) ? text : text::utf8_lossy(text)));
  };
  put("role", message.role);
  put("content", message.content);
  if (message.reasoning_content) put("reasoning_content", *message.reasoning_content);
  if (message.name) put("name", *message.name);
  if (message.tool_call_id) put("tool_call_id", *message.tool_call_id);
  if (!message.tool_calls.empty()) {
    QW_TRY(const jinja::Value calls, jinja::value_from_json(heap, message.tool_calls));
    if (!calls.is(jinja::Kind::list)) return wrong_input("tool_calls", "array");
    out->set(heap, heap.string("tool_calls"), calls);
  }
  return jinja::Value::of(out);
}

}  // namespace

Result<ChatRenderer> ChatRenderer::create(const std::vector<ChatTemplateSource>& templates,
                                          std::vector<std::pair<std::string, std::string>> named_tokens) {
  ChatRenderer out;
  out.named_tokens_ = std::move(named_tokens);
  for (const ChatTemplateSource& t : templates) {
    const bool used = templates.size() == 1 || t.name == "default" || t.name == "tool_use";
    if (!used) continue;
    auto parsed = ChatTemplate::parse(t.source);
    if (!parsed) return tl::unexpected<Error>(std::move(parsed).error());
    out.templates_.insert_or_assign(templates.size() == 1 ? "default" : t.name, *std::move(parsed));
  }
  if (out.templates_.empty()) return fail("template.missing");
  return out;
}

RenderInputs ChatRenderer::inputs(const LocalTime& now) const {
  RenderInputs out;
  out.now = now;
  out.set_null("tools");
  out.set_null("documents");
  out.set_bool("add_generation_prompt", false);
  for (const auto& [name, content] : named_tokens_) out.set_text(name, content);
  return out;
}

Result<Rendered> ChatRenderer::run(bool with_tools, const RenderInputs& inputs) const {
  auto it = templates_.find(with_tools ? "tool_use" : "default");
  if (it == templates_.end()) it = templates_.find("default");
  if (it == templates_.end()) return fail("template.missing");
  return it->second.render_with_spans(inputs);
}

Result<Rendered> ChatRenderer::render(const ChatRequest& request) const {
  RenderInputs in = inputs(request.now);
  in.set_bool("add_generation_prompt", request.add_generation_prompt);
  jinja::List* messages = in.heap().list();
  for (const ChatMessage& message : request.messages) {
    QW_TRY(const jinja::Value v, message_value(in.heap(), message));
    messages->items.push_back(v);
  }
  in.set("messages", jinja::Value::of(messages));
  if (!request.tools.empty()) QW_TRY(in.set_json("tools", request.tools));
  if (!request.kwargs.empty()) QW_TRY(in.set_all_json(request.kwargs));
  return run(!request.tools.empty(), in);
}

Result<ChatPrefixes> ChatRenderer::prefixes(std::string_view object, const LocalTime& now) const {
  RenderInputs in = inputs(now);
  QW_TRY(const jinja::Value root, jinja::value_from_json(in.heap(), object));
  if (!root.is(jinja::Kind::dict)) return wrong_input("the case", "object");
  const jinja::Value messages = member(*root.dict, "messages");
  if (!messages.is(jinja::Kind::list)) return wrong_input("messages", "array");
  in.set("messages", messages);
  const jinja::Value tools = member(*root.dict, "tools");
  const bool with_tools = !tools.is(jinja::Kind::missing);
  if (with_tools) {
    if (!tools.is(jinja::Kind::list)) return wrong_input("tools", "array or null");
    in.set("tools", tools);
  }
  QW_TRY(add_kwargs(in, member(*root.dict, "kwargs")));
  return ChatPrefixes(*this, std::move(in), messages.list, with_tools);
}

Result<Rendered> ChatRenderer::render_json(std::string_view object, const LocalTime& now) const {
  QW_TRY(const ChatPrefixes chat, prefixes(object, now));
  return run(chat.with_tools_, chat.inputs_);
}

Result<Rendered> ChatPrefixes::render(size_t n, bool ask) {
  jinja::List* first = inputs_.heap().list();
  first->items.assign(messages_->items.begin(), messages_->items.begin() + static_cast<std::ptrdiff_t>(n));
  inputs_.set("messages", jinja::Value::of(first));
  inputs_.set_bool("add_generation_prompt", ask);
  return renderer_.run(with_tools_, inputs_);
}

}  // namespace qw
