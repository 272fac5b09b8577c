#include "apps/chat/conversation.h"

#include <algorithm>

namespace qw::chat {
namespace {

tl::unexpected<Error> bad(const Json& record) {
  constexpr size_t kShown = 80;
  return fail("chat.bad_record", {{"record", to_json_line(record).substr(0, kShown)}});
}

bool is_text(const Json& record, const char* key) {
  return record.contains(key) && record.at(key).is_string();
}
// A whole number in [0, max].
bool is_whole(const Json& value, uint64_t max) {
  if (value.is_number_unsigned()) return value.get<uint64_t>() <= max;
  return value.is_number_integer() && value.get<int64_t>() >= 0 && value.get<uint64_t>() <= max;
}
bool is_count(const Json& record, const char* key, size_t max) {
  return record.contains(key) && is_whole(record.at(key), max);
}
bool is_ids(const Json& record) {
  if (!record.contains("ids") || !record.at("ids").is_array()) return false;
  return std::all_of(record.at("ids").begin(), record.at("ids").end(),
                     [](const Json& id) { return is_whole(id, uint64_t{INT32_MAX}); });
}
// The calls of a delta or of a message to load; false where they have another form.
bool read_calls(const Json& list, std::vector<Call>& out) {
  if (!list.is_array()) return false;
  for (const Json& entry : list) {
    const Json& call = entry.is_object() && entry.contains("function") ? entry.at("function") : entry;
    if (!call.is_object() || !is_text(call, "name") || !call.contains("arguments")) return false;
    const Json& arguments = call.at("arguments");
    std::string text = arguments.is_string() ? arguments.get<std::string>() : to_json_line(arguments);
    const Result<Json> object = parse_json(text, "");
    if (!object || !object->is_object()) return false;
    out.push_back({call.at("name").get<std::string>(), std::move(text)});
  }
  return true;
}
void append_ids(const Json& record, std::vector<int32_t>& ids) {
  for (const Json& id : record.at("ids")) ids.push_back(id.get<int32_t>());
}

}  // namespace

Status Conversation::apply(const Json& record) {
  if (!record.is_object() || !is_text(record, "t")) return bad(record);
  const std::string kind = record.at("t").get<std::string>();
  const auto drop_first = [this](size_t n) {
    messages_.erase(messages_.begin(), messages_.begin() + static_cast<std::ptrdiff_t>(n));
  };
  if (kind == "delta") return apply_delta(record);
  if (kind == "load") return apply_load(record);
  if (kind == "end" && is_text(record, "reason")) {
    end_answer(record.at("reason").get<std::string>());
    return {};
  }
  if (kind == "system" && is_text(record, "content")) {
    system_ = record.at("content").get<std::string>();
    return {};
  }
  // What follows ends an answer that a crash left open.
  if (answering_) end_answer("interrupted");
  if (kind == "user" && is_text(record, "content")) {
    messages_.push_back({"user", record.at("content").get<std::string>()});
  } else if (kind == "answer" && is_count(record, "keep", known_ids_.size()) && is_ids(record)) {
    known_ids_.resize(record.at("keep").get<size_t>());
    append_ids(record, known_ids_);
    messages_.push_back({"assistant", ""});
    answering_ = true;
  } else if (kind == "tool" && is_text(record, "name") && is_text(record, "content") &&
             is_text(record, "shown")) {
    messages_.push_back({.role = "tool",
                         .content = record.at("content").get<std::string>(),
                         .name = record.at("name").get<std::string>(),
                         .shown = record.at("shown").get<std::string>()});
  } else if (kind == "take_back" && is_count(record, "messages", messages_.size())) {
    messages_.resize(messages_.size() - record.at("messages").get<size_t>());
  } else if (kind == "drop" && is_count(record, "messages", messages_.size())) {
    drop_first(record.at("messages").get<size_t>());
  } else if (kind == "compact" && is_count(record, "messages", messages_.size()) &&
             is_text(record, "request") && is_text(record, "summary")) {
    drop_first(record.at("messages").get<size_t>());
    messages_.insert(messages_.begin(), {{"user", record.at("request").get<std::string>()},
                                         {"assistant", record.at("summary").get<std::string>()}});
  } else {
    return bad(record);
  }
  return {};
}

Status Conversation::apply_delta(const Json& record) {
  if (!answering_ || !is_ids(record) || !is_text(record, "text") || !is_text(record, "reasoning"))
    return bad(record);
  std::vector<Call> calls;
  if (record.contains("calls") && !read_calls(record.at("calls"), calls)) return bad(record);
  append_ids(record, known_ids_);
  for (Call& call : calls) messages_.back().calls.push_back(std::move(call));
  messages_.back().content += record.at("text").get<std::string>();
  messages_.back().reasoning += record.at("reasoning").get<std::string>();
  return {};
}

Status Conversation::apply_load(const Json& record) {
  if (!is_text(record, "system") || !record.contains("messages") || !record.at("messages").is_array())
    return bad(record);
  std::vector<Message> messages;
  for (const Json& m : record.at("messages")) {
    if (!m.is_object() || !is_text(m, "role") || !is_text(m, "content")) return bad(record);
    const auto text = [&](const char* key) { return is_text(m, key) ? m.at(key).get<std::string>() : ""; };
    Message message{text("role"), text("content"), text("reasoning_content")};
    if (m.contains("tool_calls") && !read_calls(m.at("tool_calls"), message.calls)) return bad(record);
    message.name = text("name");
    message.shown = message.role == "tool" ? fmt::format("{} → {}", message.name, message.content) : "";
    messages.push_back(std::move(message));
  }
  system_ = record.at("system").get<std::string>();
  messages_ = std::move(messages);
  answering_ = false;
  return {};
}

// An answer without a single character is no message.
void Conversation::end_answer(std::string_view reason) {
  if (!answering_) return;
  answering_ = false;
  end_reason_ = reason;
  const Message& last = messages_.back();
  if (last.content.empty() && last.reasoning.empty() && last.calls.empty()) messages_.pop_back();
}

std::vector<size_t> Conversation::turns() const {
  std::vector<size_t> out;
  for (size_t i = 0; i < messages_.size(); ++i)
    if (messages_[i].role == "user") out.push_back(i);
  return out;
}

size_t Conversation::n_unanswered() const {
  if (messages_.empty() || (messages_.back().role == "assistant" && messages_.back().calls.empty())) return 0;
  const std::vector<size_t> starts = turns();
  return messages_.size() - (starts.empty() ? 0 : starts.back());
}

Json Conversation::to_messages() const {
  Json out = Json::array();
  if (!system_.empty()) out.push_back({{"role", "system"}, {"content", system_}});
  for (const Message& m : messages_) {
    Json one = {{"role", m.role}, {"content", m.content}};
    if (!m.reasoning.empty()) one["reasoning_content"] = m.reasoning;
    if (!m.name.empty()) one["name"] = m.name;
    for (const Call& call : m.calls)
      one["tool_calls"].push_back(
          {{"type", "function"}, {"function", {{"name", call.name}, {"arguments", call.arguments}}}});
    out.push_back(std::move(one));
  }
  return out;
}

Result<Json> load_record(const Json& object, std::string_view file) {
  const auto wrong = [&] { return fail("chat.bad_file", {{"file", file}}); };
  if (!object.is_object() || !object.contains("messages") || !object.at("messages").is_array())
    return wrong();
  Json record = {{"t", "load"}, {"system", ""}, {"messages", Json::array()}};
  std::string_view expected = "user";
  bool calls = false;  // the message before calls tools, or is a tool's
  for (const Json& m : object.at("messages")) {
    if (!m.is_object() || !is_text(m, "role") || !is_text(m, "content")) return wrong();
    const std::string role = m.at("role").get<std::string>();
    if (role == "system" && &m == &object.at("messages").front()) {
      record["system"] = m.at("content");
      continue;
    }
    const bool is_result = role == "tool" && calls;
    if (role != expected && !is_result) return wrong();
    Json message = m;
    if (m.contains("tool_calls") && m.at("tool_calls").empty()) message.erase("tool_calls");  // null, or []
    calls = is_result || (role == "assistant" && message.contains("tool_calls"));
    expected = role == "assistant" && !calls ? "user" : "assistant";
    record["messages"].push_back(std::move(message));
  }
  if (!Conversation().apply(record)) return wrong();
  return record;
}

}  // namespace qw::chat
