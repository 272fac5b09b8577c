// The small files beside a tokenizer: tokenizer_config.json, special_tokens_map.json, added_tokens.json,
// chat_template.jinja, additional_chat_templates/. What wins over what is transformers 5.12
// (tokenization_utils_base.py).
#include <algorithm>
#include <charconv>

#include "base/json.h"
#include "base/mmap.h"
#include "text/tokenizer_parts.h"

namespace qw {
namespace {

using text::AddedToken;

auto wrong(const std::filesystem::path& file, std::string_view key, std::string_view expected) {
  return fail("text.json", {{"file", file.string()}, {"key", key}, {"expected", expected}});
}

bool present(const std::filesystem::path& file) {
  std::error_code ignored;
  return std::filesystem::exists(file, ignored);
}

// The content of a token given as a string or as {"content": …}; none for anything else.
std::optional<std::string> content_of(const Json& value) {
  if (value.is_string()) return value.get<std::string>();
  if (value.is_object() && value.contains("content") && value["content"].is_string()) {
    return value["content"].get<std::string>();
  }
  return std::nullopt;
}

bool flag(const Json& object, const char* name, bool otherwise) {
  return object.contains(name) && object[name].is_boolean() ? object[name].get<bool>() : otherwise;
}

AddedToken token_of(const Json& entry, std::string content) {
  const bool special = flag(entry, "special", false);
  return {.content = std::move(content),
          .special = special,
          .lstrip = flag(entry, "lstrip", false),
          .rstrip = flag(entry, "rstrip", false),
          .single_word = flag(entry, "single_word", false),
          .normalized = flag(entry, "normalized", !special)};
}

void set_named(TokenizerConfig& out, const std::string& name, std::string content) {
  for (auto& [key, value] : out.named) {
    if (key == name) {
      value = std::move(content);
      return;
    }
  }
  out.named.emplace_back(name, std::move(content));
}

// Named special tokens: every "*_token", and the members of extra_special_tokens where that is an object.
void read_named(const Json& json, TokenizerConfig& out) {
  for (const auto& [key, value] : json.items()) {
    if (!key.ends_with("_token")) continue;
    if (std::optional<std::string> content = content_of(value)) set_named(out, key, *std::move(content));
  }
  for (const char* group :
       {"extra_special_tokens", "model_specific_special_tokens", "additional_special_tokens"}) {
    if (!json.contains(group)) continue;
    const Json& members = json[group];
    if (!members.is_object() && !members.is_array()) continue;
    for (const auto& [key, value] : members.items()) {
      std::optional<std::string> content = content_of(value);
      if (!content) continue;
      if (members.is_object()) {
        set_named(out, key, *std::move(content));
      } else {
        out.extra_special.push_back(*std::move(content));
      }
    }
  }
}

Status read_added(const Json& json, const std::filesystem::path& file, TokenizerConfig& out) {
  const Json& entries = json["added_tokens_decoder"];
  if (!entries.is_object()) return wrong(file, "added_tokens_decoder", "object");
  std::vector<std::pair<int64_t, AddedToken>> tokens;
  for (const auto& [key, value] : entries.items()) {
    int64_t id = -1;
    const auto [end, code] = std::from_chars(key.data(), key.data() + key.size(), id);
    std::optional<std::string> content = content_of(value);
    if (code != std::errc() || end != key.data() + key.size() || !content || !value.is_object()) {
      return wrong(file, "added_tokens_decoder." + key, "{\"content\": …}");
    }
    tokens.emplace_back(id, token_of(value, *std::move(content)));
  }
  std::stable_sort(tokens.begin(), tokens.end(),
                   [](const auto& a, const auto& b) { return a.first < b.first; });
  for (auto& [id, token] : tokens) out.added.push_back(std::move(token));
  return {};
}

// {"token": id}: special are those that have a name.
Status read_added_tokens_json(const std::filesystem::path& file, TokenizerConfig& out) {
  QW_TRY(const Json json, parse_json_file(file));
  if (!json.is_object()) return wrong(file, "(top)", "object");
  std::vector<std::pair<int64_t, std::string>> tokens;
  for (const auto& [content, id] : json.items()) {
    if (!id.is_number_integer()) return wrong(file, content, "id");
    tokens.emplace_back(id.get<int64_t>(), content);
  }
  std::sort(tokens.begin(), tokens.end());
  for (const auto& entry : tokens) {
    const std::string& content = entry.second;
    const auto names = [&](const auto& named) { return named.second == content; };
    const bool special =
        std::any_of(out.named.begin(), out.named.end(), names) ||
        std::find(out.extra_special.begin(), out.extra_special.end(), content) != out.extra_special.end();
    out.added.push_back({.content = content, .special = special, .normalized = !special});
  }
  return {};
}

// A template file, read as Python reads text: every kind of line end becomes \n.
Result<std::string> read_template(const std::filesystem::path& file) {
  constexpr size_t kMaxBytes = size_t{16} << 20;
  QW_TRY(const std::string raw, read_file(file, kMaxBytes));
  std::string out;
  out.reserve(raw.size());
  for (size_t i = 0; i < raw.size(); ++i) {
    if (raw[i] == '\r') {
      out.push_back('\n');
      if (i + 1 < raw.size() && raw[i + 1] == '\n') ++i;
    } else {
      out.push_back(raw[i]);
    }
  }
  return out;
}

Status read_config_templates(const Json& json, const std::filesystem::path& file, TokenizerConfig& out) {
  if (!json.contains("chat_template") || json["chat_template"].is_null()) return {};
  const Json& value = json["chat_template"];
  if (value.is_string()) {
    out.chat_templates.push_back({"default", value.get<std::string>()});
    return {};
  }
  if (!value.is_array()) return wrong(file, "chat_template", "string or array");
  for (const Json& entry : value) {
    if (!entry.is_object() || !entry.contains("name") || !entry["name"].is_string() ||
        !entry.contains("template") || !entry["template"].is_string()) {
      return wrong(file, "chat_template", "{\"name\": …, \"template\": …}");
    }
    out.chat_templates.push_back({entry["name"].get<std::string>(), entry["template"].get<std::string>()});
  }
  return {};
}

// Template files take the place of all templates in tokenizer_config.json.
Status read_template_files(const std::filesystem::path& folder, TokenizerConfig& out) {
  std::vector<ChatTemplateSource> found;
  if (present(folder / "chat_template.jinja")) {
    QW_TRY(std::string source, read_template(folder / "chat_template.jinja"));
    found.push_back({"default", std::move(source)});
  }
  std::error_code ignored;
  std::vector<std::filesystem::path> more;
  for (const auto& entry :
       std::filesystem::directory_iterator(folder / "additional_chat_templates", ignored)) {
    if (entry.path().extension() == ".jinja") more.push_back(entry.path());
  }
  std::sort(more.begin(), more.end());
  for (const std::filesystem::path& file : more) {
    QW_TRY(std::string source, read_template(file));
    found.push_back({file.stem().string(), std::move(source)});
  }
  if (!found.empty()) out.chat_templates = std::move(found);
  return {};
}

}  // namespace

Result<TokenizerConfig> load_tokenizer_config(const std::filesystem::path& folder) {
  TokenizerConfig out;
  const std::filesystem::path file = folder / "tokenizer_config.json";
  bool has_decoder = false;
  if (present(file)) {
    QW_TRY(const Json json, parse_json_file(file));
    if (!json.is_object()) return wrong(file, "(top)", "object");
    read_named(json, out);
    has_decoder = json.contains("added_tokens_decoder");
    if (has_decoder) QW_TRY(read_added(json, file, out));
    QW_TRY(read_config_templates(json, file, out));
    out.add_bos_token = flag(json, "add_bos_token", false);
    out.add_prefix_space = flag(json, "add_prefix_space", false);
    if (json.contains("tokenizer_class") && json["tokenizer_class"].is_string()) {
      out.tokenizer_class = json["tokenizer_class"].get<std::string>();
    }
  }
  // Older folders: read only where tokenizer_config.json does not describe the added tokens.
  if (!has_decoder && present(folder / "special_tokens_map.json")) {
    QW_TRY(const Json json, parse_json_file(folder / "special_tokens_map.json"));
    if (!json.is_object()) return wrong(folder / "special_tokens_map.json", "(top)", "object");
    read_named(json, out);
  }
  if (!has_decoder && present(folder / "added_tokens.json")) {
    QW_TRY(read_added_tokens_json(folder / "added_tokens.json", out));
  }
  QW_TRY(read_template_files(folder, out));
  return out;
}

}  // namespace qw
