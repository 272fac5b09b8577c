#include "apps/eval/task.h"

#include <algorithm>
#include <filesystem>
#include <initializer_list>

#include "apps/eval/sha256.h"
#include "base/mmap.h"

namespace qw::eval {
namespace {

constexpr int kMaxAnswerTokens = 1 << 20;
constexpr std::pair<std::string_view, Kind> kKinds[] = {{"exact", Kind::exact},
                                                        {"choice", Kind::choice},
                                                        {"tool_call", Kind::tool_call},
                                                        {"refusal", Kind::refusal},
                                                        {"perplexity", Kind::perplexity}};

// Reads the members of one line; the first problem is kept.
class Reader {
 public:
  Reader(const Json& line, const std::string& file, size_t number)
      : line_(line), file_(file), number_(number) {}

  void problem(std::string text) {
    if (problem_.empty()) problem_ = std::move(text);
  }
  Status status() const {
    if (problem_.empty()) return {};
    return fail("eval.bad_line", {{"file", file_}, {"line", number_}, {"problem", problem_}});
  }
  bool has(const char* key) const { return line_.contains(key) && !line_.at(key).is_null(); }

  std::string text(const char* key, bool required) {
    if (!has(key) && !required) return {};
    if (has(key) && line_.at(key).is_string()) return line_.at(key).get<std::string>();
    problem(fmt::format("\"{}\": \"…\"", key));
    return {};
  }
  std::vector<std::string> texts(const char* key, bool required) {
    std::vector<std::string> out;
    if (!has(key) && !required) return out;
    bool good = has(key) && line_.at(key).is_array() && !line_.at(key).empty();
    if (good)
      for (const Json& one : line_.at(key)) {
        good = good && one.is_string() && !one.get_ref<const std::string&>().empty();
        if (good) out.push_back(one.get<std::string>());
      }
    if (!good) problem(fmt::format("\"{}\": [\"…\"]", key));
    return out;
  }
  bool flag(const char* key, bool required) {
    if (!has(key) && !required) return false;
    if (has(key) && line_.at(key).is_boolean()) return line_.at(key).get<bool>();
    problem(fmt::format("\"{}\": true|false", key));
    return false;
  }
  // A whole number in [least, most].
  int count(const char* key, int least, int most, int otherwise) {
    if (!has(key)) return otherwise;
    const Json& value = line_.at(key);
    if (value.is_number_integer() && value.get<int64_t>() >= least && value.get<int64_t>() <= most)
      return value.get<int>();
    problem(fmt::format("\"{}\": {} … {}", key, least, most));
    return otherwise;
  }
  Json objects(const char* key, bool required) {
    if (!has(key) && !required) return {};
    const bool good = has(key) && line_.at(key).is_array() &&
                      std::all_of(line_.at(key).begin(), line_.at(key).end(),
                                  [](const Json& one) { return one.is_object(); });
    if (good) return line_.at(key);
    problem(fmt::format("\"{}\": [{{…}}]", key));
    return {};
  }
  // A key that nobody reads is a mistake in the file, not a wish that may be passed over.
  void only(std::initializer_list<std::string_view> keys) {
    for (const auto& [key, value] : line_.items())
      if (key != "note" && std::find(keys.begin(), keys.end(), key) == keys.end())
        problem(fmt::format("\"{}\"?", key));
  }

 private:
  const Json& line_;
  const std::string& file_;
  size_t number_;
  std::string problem_;
};

void read_messages(Reader& in, const Settings& settings, Item& item) {
  item.messages = in.objects("messages", true);
  item.tools = in.objects("tools", false);
  if (!item.messages.is_array() || item.messages.empty()) return in.problem("\"messages\": [{…}]");
  for (const Json& message : item.messages)
    if (!message.contains("role") || !message.at("role").is_string())
      return in.problem("\"messages\": [{\"role\": \"…\", \"content\": \"…\"}]");
  const std::string last = item.messages.back().at("role").get<std::string>();
  if (last != "user" && last != "tool") in.problem("\"messages\": […, {\"role\": \"user\"|\"tool\"}]");
  if (!settings.system.empty() && item.messages.front().at("role") != "system")
    item.messages.insert(item.messages.begin(), Json{{"role", "system"}, {"content", settings.system}});
}

void read_exact(Reader& in, Item& item) {
  in.only({"kind", "id", "skill", "language", "messages", "tools", "answers", "match", "ignore_case",
           "max_tokens"});
  item.answers = in.texts("answers", true);
  item.ignore_case = in.flag("ignore_case", false);
  const std::string match = in.text("match", false);
  if (match == "contains")
    item.match = Match::contains;
  else if (match == "prefix")
    item.match = Match::prefix;
  else if (!match.empty() && match != "equal")
    in.problem("\"match\": \"equal\"|\"contains\"|\"prefix\"");
}

void read_choice(Reader& in, const Settings& settings, Item& item) {
  in.only({"kind", "id", "skill", "language", "messages", "tools", "prompt", "choices", "answer"});
  if (in.has("messages") == in.has("prompt")) in.problem("\"messages\" / \"prompt\"");
  if (in.has("prompt"))
    item.prompt = in.text("prompt", true);
  else
    read_messages(in, settings, item);
  item.choices = in.texts("choices", true);
  if (item.choices.size() < 2) return in.problem("\"choices\": [\"…\", \"…\"]");
  if (!in.has("answer")) in.problem("\"answer\": 0, 1, …");
  item.right_choice =
      static_cast<size_t>(in.count("answer", 0, static_cast<int>(item.choices.size()) - 1, 0));
}

void read_calls(Reader& in, Item& item) {
  in.only({"kind", "id", "skill", "language", "messages", "tools", "tool_calls", "max_tokens"});
  if (!in.has("tools")) in.problem("\"tools\": [{…}]");
  item.calls = in.objects("tool_calls", true);
  if (!item.calls.is_array()) return;
  for (const Json& call : item.calls)
    if (!call.contains("name") || !call.at("name").is_string() || !call.contains("arguments") ||
        !call.at("arguments").is_object())
      in.problem("\"tool_calls\": [{\"name\": \"…\", \"arguments\": {…}}]");
}

}  // namespace

std::string_view kind_name(Kind kind) {
  for (const auto& [name, k] : kKinds)
    if (k == kind) return name;
  return {};
}

Result<Settings> parse_settings(const Json& line, const std::string& file, size_t number) {
  Reader in(line, file, number);
  in.only({"kind", "refusal_phrases", "system", "max_tokens"});
  Settings out;
  out.refusal_phrases = in.texts("refusal_phrases", false);
  out.system = in.text("system", false);
  if (in.has("max_tokens")) out.max_tokens = in.count("max_tokens", 1, kMaxAnswerTokens, 0);
  QW_TRY(in.status());
  return out;
}

Result<Item> parse_item(const Json& line, const Settings& settings, const std::string& file, size_t number) {
  Reader in(line, file, number);
  Item item;
  item.file = file;
  item.line = number;
  const std::string kind = in.text("kind", true);
  const auto* known = std::find_if(std::begin(kKinds), std::end(kKinds),
                                   [&](const auto& entry) { return entry.first == kind; });
  if (known == std::end(kKinds)) {
    in.problem("\"kind\": \"exact\"|\"choice\"|\"tool_call\"|\"refusal\"|\"perplexity\"");
    QW_TRY(in.status());
    return item;
  }
  item.kind = known->second;
  item.id = in.text("id", false);
  if (item.id.empty())
    item.id = fmt::format("{}:{}", std::filesystem::path(file).filename().string(), number);
  item.skill = in.text("skill", false);
  item.language = in.text("language", false);
  if (item.generates()) {
    read_messages(in, settings, item);
    item.max_tokens = in.count("max_tokens", 1, kMaxAnswerTokens, settings.max_tokens.value_or(0));
  }
  if (item.kind == Kind::exact) read_exact(in, item);
  if (item.kind == Kind::choice) read_choice(in, settings, item);
  if (item.kind == Kind::tool_call) read_calls(in, item);
  if (item.kind == Kind::refusal) {
    in.only({"kind", "id", "skill", "language", "messages", "tools", "refuse", "max_tokens"});
    item.refuse = in.flag("refuse", true);
    item.refusal_phrases = settings.refusal_phrases;
    if (item.refusal_phrases.empty()) in.problem("{\"kind\": \"settings\", \"refusal_phrases\": [\"…\"]}");
  }
  if (item.kind == Kind::perplexity) {
    in.only({"kind", "id", "skill", "language", "text"});
    item.text = in.text("text", true);
  }
  QW_TRY(in.status());
  return item;
}

Result<TaskFile> read_tasks(const std::string& file, size_t limit) {
  QW_TRY(const std::string content, read_file(file));
  TaskFile out{.name = file, .sha256 = sha256_of(content), .items = {}, .bad_lines = {}};
  Settings settings;
  size_t number = 0;
  const auto bad = [&](const Error& error) { out.bad_lines.push_back(error); };
  for (size_t begin = 0; begin < content.size() && (limit == 0 || out.items.size() < limit);) {
    const size_t end = std::min(content.find('\n', begin), content.size());
    const std::string_view text = std::string_view(content).substr(begin, end - begin);
    begin = end + 1;
    ++number;
    if (text.find_first_not_of(" \t\r") == text.npos) continue;
    const Result<Json> line = parse_json(text, file);
    if (!line || !line->is_object()) {
      bad(Error("eval.bad_line", {{"file", file}, {"line", number}, {"problem", "{…}"}}));
      continue;
    }
    if (number == 1 && line->contains("kind") && line->at("kind") == "settings") {
      Result<Settings> parsed = parse_settings(*line, file, number);
      if (parsed)
        settings = *std::move(parsed);
      else
        bad(parsed.error());
      continue;
    }
    Result<Item> item = parse_item(*line, settings, file, number);
    if (item)
      out.items.push_back(*std::move(item));
    else
      bad(item.error());
  }
  return out;
}

}  // namespace qw::eval
