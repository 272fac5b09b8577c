#include "hub/name.h"

#include <algorithm>
#include <filesystem>
#include <optional>
#include <vector>

#include "hub/url.h"

namespace qw::hub {
namespace {

constexpr size_t kMaxPart = 128;

bool is_word(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '.' || c == '_' ||
         c == '-';
}

// One part of a repository's name: it becomes a folder, so "." and ".." are none.
bool is_part(std::string_view s) {
  return !s.empty() && s.size() <= kMaxPart && s.front() != '.' && s.front() != '-' &&
         std::all_of(s.begin(), s.end(), is_word);
}

// A branch, tag or commit; slashes as in refs/pr/3.
bool is_revision(std::string_view s) {
  if (s.empty() || s.size() > kMaxPart || s.front() == '/' || s.back() == '/' || s.front() == '-')
    return false;
  if (s.find("..") != s.npos || s.find("//") != s.npos) return false;
  return std::all_of(s.begin(), s.end(), [](char c) { return is_word(c) || c == '/'; });
}

std::vector<std::string_view> split(std::string_view text, char at) {
  std::vector<std::string_view> out;
  while (true) {
    const size_t end = text.find(at);
    out.push_back(text.substr(0, end));
    if (end == text.npos) return out;
    text.remove_prefix(end + 1);
  }
}

// ORG/NAME or NAME.
bool set_repository(ModelName& name, std::string_view text) {
  const auto parts = split(text, '/');
  if (parts.size() > 2 || !std::all_of(parts.begin(), parts.end(), is_part)) return false;
  name.org = parts.size() == 2 ? parts.front() : std::string_view();
  name.repo = parts.back();
  return true;
}

// REPOSITORY[@REVISION][:QUANT]
bool set_hub_name(ModelName& name, std::string_view text) {
  if (const size_t colon = text.rfind(':'); colon != text.npos) {
    name.quant = text.substr(colon + 1);
    if (!is_part(name.quant)) return false;
    text = text.substr(0, colon);
  }
  if (const size_t at = text.find('@'); at != text.npos) {
    name.revision = text.substr(at + 1);
    if (!is_revision(name.revision)) return false;
    text = text.substr(0, at);
  }
  return set_repository(name, text);
}

bool set_ollama_name(ModelName& name, std::string_view text) {
  name.revision = "latest";
  if (const size_t colon = text.rfind(':'); colon != text.npos) {
    name.revision = text.substr(colon + 1);
    text = text.substr(0, colon);
  }
  if (!is_part(name.revision) || !set_repository(name, text)) return false;
  if (name.org.empty()) name.org = "library";
  return true;
}

bool is_hugging_face(std::string_view host) {
  return host == "huggingface.co" || host == "www.huggingface.co" || host == "hf.co" ||
         host == "hf-mirror.com";
}
bool is_modelscope(std::string_view host) {
  return host == "modelscope.cn" || host == "www.modelscope.cn" || host == "modelscope.ai" ||
         host == "www.modelscope.ai";
}

// The page of a repository or of a file in it: /ORG/NAME[/tree|blob|resolve/REVISION[/file]]; ModelScope:
// /ORG/NAME[/summary|files], /ORG/NAME/file/view/REVISION/file. None for another page. Errors:
// hub.no_revision.
Result<std::optional<ModelName>> page_name(Source source, std::string_view path) {
  auto parts = split(path, '/');
  std::erase_if(parts, [](std::string_view p) { return p.empty(); });
  std::optional<ModelName> name = ModelName{.source = source};
  if (parts.size() < 2 || !set_repository(*name, std::string(parts[0]) + "/" + std::string(parts[1])))
    return std::nullopt;
  if (parts.size() == 2 || parts[2] == "summary" || parts[2] == "files") return name;
  if (parts[2] != "tree" && parts[2] != "blob" && parts[2] != "resolve" && parts[2] != "file")
    return std::nullopt;
  size_t at = 3;
  if (parts[2] == "file" && parts.size() > at && parts[at] == "view") ++at;
  if (parts.size() <= at) return name;
  name->revision = percent_decode(parts[at]).value_or("");  // "refs%2Fpr%2F3"
  if (!is_revision(name->revision))
    return fail("hub.no_revision", {{"name", name->repository()}, {"revision", parts[at]}});
  while (++at < parts.size()) {
    const Result<std::string> part = percent_decode(parts[at]);
    if (!part) return std::nullopt;
    name->file += (name->file.empty() ? "" : "/") + *part;
  }
  return name;
}

Result<ModelName> parse_address(std::string_view text) {
  QW_TRY(const Url url, parse_url(text));
  std::optional<ModelName> page;
  if (is_hugging_face(url.host)) {
    QW_TRY(page, page_name(Source::huggingface, url.path));
  } else if (is_modelscope(url.host) && url.path.starts_with("/models/")) {
    QW_TRY(page, page_name(Source::modelscope, std::string_view(url.path).substr(7)));
  }
  if (page) return *std::move(page);
  ModelName name{.source = Source::url, .place = std::string(text)};
  QW_TRY(const std::string path, percent_decode(url.path));
  name.org = url.host;
  name.repo = path.substr(path.rfind('/') + 1);
  std::replace_if(
      name.repo.begin(), name.repo.end(), [](char c) { return !is_word(c); }, '_');
  if (!is_part(name.org) || !is_part(name.repo)) return fail("hub.bad_url", {{"url", text}});
  return name;
}

bool is_on_disk(std::string_view text) {
  if (text.starts_with('/') || text.starts_with("./") || text.starts_with("../") || text.starts_with("~/"))
    return true;
  std::error_code ec;
  return (text.ends_with(".gguf") || text == "." || text == "..") &&
         std::filesystem::exists(std::filesystem::path(text), ec);
}

// Without its prefix, where it has one of these.
std::optional<std::string_view> after_prefix(std::string_view text,
                                             std::initializer_list<std::string_view> prefixes) {
  for (const std::string_view p : prefixes)
    if (text.starts_with(p)) return text.substr(p.size());
  return std::nullopt;
}

}  // namespace

std::string_view source_name(Source source) {
  switch (source) {
    case Source::huggingface:
      return "huggingface";
    case Source::modelscope:
      return "modelscope";
    case Source::ollama:
      return "ollama";
    case Source::url:
      return "url";
    case Source::disk:
      return "local";
  }
  return {};
}

std::string ModelName::text() const {
  if (source == Source::url || source == Source::disk) return place;
  std::string out;
  if (source == Source::modelscope) out = "modelscope:";
  if (source == Source::ollama) {
    const std::string_view shown = org == "library" ? repo : std::string_view();
    return "ollama:" + (shown.empty() ? repository() : std::string(shown)) + ":" + revision;
  }
  if (source == Source::huggingface && org.empty()) out = "hf:";
  out += repository();
  if (!revision.empty()) out += "@" + revision;
  if (!quant.empty()) out += ":" + quant;
  return out;
}

Result<ModelName> parse_name(std::string_view text) {
  ModelName name;
  if (text.starts_with("http://") || text.starts_with("https://")) return parse_address(text);
  if (is_on_disk(text)) return ModelName{.source = Source::disk, .place = std::string(text)};
  bool ok = false;
  if (const auto rest = after_prefix(text, {"modelscope:", "ms:"})) {
    name.source = Source::modelscope;
    ok = set_hub_name(name, *rest) && !name.org.empty();
  } else if (const auto tag = after_prefix(text, {"ollama:", "ollama.com/library/", "registry.ollama.ai/"})) {
    name.source = Source::ollama;
    ok = set_ollama_name(name, *tag);
  } else if (const auto hub = after_prefix(text, {"hf:", "hf.co/", "huggingface.co/", "huggingface:"})) {
    ok = set_hub_name(name, *hub);
  } else {
    ok = set_hub_name(name, text) && !name.org.empty();
  }
  if (!ok) return fail("hub.bad_name", {{"name", text}});
  return name;
}

bool looks_like_name(std::string_view text) {
  const Result<ModelName> name = parse_name(text);
  return name && name->source != Source::disk;
}

}  // namespace qw::hub
