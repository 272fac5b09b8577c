#include "train/tokenizer_corpus.h"

#include <algorithm>

#include "base/json.h"
#include "base/mmap.h"
#include "text/pretokenizer.h"
#include "text/unicode.h"
#include "text/utf8.h"

namespace qw::train {
namespace {

constexpr size_t kPartBytes = size_t{1} << 20;

text::TokenFinder finder_of(const std::vector<std::string>& added) {
  const text::AddedToken any;
  std::vector<std::pair<std::string, const text::AddedToken*>> patterns;
  for (const std::string& content : added) patterns.emplace_back(content, &any);
  return text::TokenFinder(patterns);
}

// Ends of parts of about kPartBytes. A text may be cut behind a newline that printable ASCII follows: every
// alternative of Qwen's regex ends its match there, and NFC never changes ASCII nor joins it to what stands
// before. A list of lines may be cut behind any newline.
std::vector<size_t> part_ends(std::string_view text, bool lines) {
  std::vector<size_t> ends;
  size_t begin = 0;
  while (text.size() - begin > kPartBytes) {
    size_t at = begin + kPartBytes;
    const auto cut = [&](size_t newline) {
      return lines || (newline + 1 < text.size() && text[newline + 1] > ' ' && text[newline + 1] <= '~');
    };
    while ((at = text.find('\n', at)) != text.npos && !cut(at)) ++at;
    if (at == text.npos) break;
    begin = at + 1;
    ends.push_back(begin);
  }
  if (begin < text.size()) ends.push_back(text.size());
  return ends;
}

size_t n_newlines(std::string_view text) {
  return static_cast<size_t>(std::count(text.begin(), text.end(), '\n'));
}

// As Python's json.dumps(ensure_ascii=False), which chat templates use.
std::string python_json(const Json& value) {
  std::string out;
  if (value.is_object()) {
    for (const auto& [key, member] : value.items())
      out += fmt::format("{}{}: {}", out.empty() ? "" : ", ", Json(key).dump(), python_json(member));
    return fmt::format("{{{}}}", out);
  }
  if (value.is_array()) {
    for (const Json& member : value) out += fmt::format("{}{}", out.empty() ? "" : ", ", python_json(member));
    return fmt::format("[{}]", out);
  }
  return value.dump(-1, ' ', false, Json::error_handler_t::replace);
}

bool is_text(const Json& object, const char* key) {
  return object.contains(key) && object[key].is_string();
}

// A content is a text, or a list of parts of which some have a text.
void collect_content(const Json& content, std::vector<std::string>& out) {
  if (content.is_string()) out.push_back(content.get<std::string>());
  if (!content.is_array()) return;
  for (const Json& part : content)
    if (part.is_object() && is_text(part, "text")) out.push_back(part["text"].get<std::string>());
}

void collect_message(const Json& message, std::vector<std::string>& out) {
  if (is_text(message, "role")) out.push_back(message["role"].get<std::string>() + "\n");
  if (is_text(message, "reasoning_content")) out.push_back(message["reasoning_content"].get<std::string>());
  if (message.contains("content")) collect_content(message["content"], out);
  if (!message.contains("tool_calls") || !message["tool_calls"].is_array()) return;
  for (const Json& entry : message["tool_calls"]) {
    const Json& call = entry.is_object() && entry.contains("function") ? entry["function"] : entry;
    if (!call.is_object() || !is_text(call, "name")) continue;
    const Json arguments = call.value("arguments", Json::object());
    out.push_back(fmt::format("<tool_call>\n{{\"name\": {}, \"arguments\": {}}}\n</tool_call>",
                              call["name"].dump(),
                              arguments.is_string() ? arguments.get<std::string>() : python_json(arguments)));
  }
}

// The texts of one line; false where it has none of the two forms.
bool collect_line(const Json& line, std::vector<std::string>& out) {
  if (!line.is_object()) return false;
  const bool text = is_text(line, "text");
  if (text) out.push_back(line["text"].get<std::string>());
  if (!line.contains("messages")) return text;
  if (!line["messages"].is_array()) return false;
  if (line.contains("tools") && line["tools"].is_array())
    for (const Json& tool : line["tools"]) out.push_back(python_json(tool));
  for (const Json& message : line["messages"]) {
    if (!message.is_object()) return false;
    collect_message(message, out);
  }
  return true;
}

}  // namespace

TokenizerCorpus::TokenizerCorpus(ThreadPool& pool, const std::vector<std::string>& added, Progress progress)
    : pool_(pool),
      progress_(std::move(progress)),
      finder_(finder_of(added)),
      counts_(static_cast<size_t>(pool.threads())) {}

void TokenizerCorpus::count(std::string_view valid_utf8, WordCounts& counts) const {
  const auto words = [&](std::string_view text) {
    std::string normal;
    if (!text::is_nfc_quick(text)) {
      normal = text::nfc(text);
      text = normal;
    }
    for (size_t pos = 0; pos < text.size();) {
      const size_t end = text::piece_end(text::SplitRule::qwen2, text, pos);
      counts.add(text.substr(pos, end - pos));
      pos = end;
    }
  };
  finder_.split(valid_utf8, true, words, [](int32_t) {});
}

TokenizerCorpus::Failure TokenizerCorpus::add_text(std::string_view text, WordCounts& counts) const {
  if (!text::utf8_valid(text)) {
    size_t at = 0;
    for (text::Utf8Step step; (step = text::utf8_step(text.substr(at))).valid;)
      at += static_cast<size_t>(step.length);
    return {.line = n_newlines(text.substr(0, at)) + 1, .expected = ""};
  }
  count(text, counts);
  return {};
}

TokenizerCorpus::Failure TokenizerCorpus::add_lines(std::string_view part, WordCounts& counts) const {
  size_t number = 0;
  std::vector<std::string> texts;
  while (!part.empty()) {
    ++number;
    const std::string_view line = part.substr(0, part.find('\n'));
    part.remove_prefix(std::min(line.size() + 1, part.size()));
    if (line.find_first_not_of(" \t\r") == line.npos) continue;
    if (!text::utf8_valid(line)) return {.line = number, .expected = ""};
    const Result<Json> json = parse_json(line, "");
    if (!json) return {.line = number, .expected = "JSON"};
    texts.clear();
    if (!collect_line(*json, texts)) return {.line = number, .expected = "{\"text\"} / {\"messages\"}"};
    for (const std::string& text : texts)
      if (text::utf8_valid(text)) count(text, counts);
  }
  return {};
}

Status TokenizerCorpus::add_file(const std::filesystem::path& file) {
  QW_TRY(const auto mapped, MappedFile::open(file));
  const std::string_view text(reinterpret_cast<const char*>(mapped->bytes().data()), mapped->bytes().size());
  const bool lines = file.extension() == ".jsonl";
  const std::vector<size_t> ends = part_ends(text, lines);
  std::vector<Failure> failures(ends.size());
  const auto begin_of = [&](size_t part) { return part == 0 ? 0 : ends[part - 1]; };
  pool_.parallel_for(static_cast<int64_t>(ends.size()), 1, [&](int64_t first, int64_t last, int thread) {
    WordCounts& counts = counts_[static_cast<size_t>(thread)];
    for (auto i = static_cast<size_t>(first); i < static_cast<size_t>(last); ++i) {
      const std::string_view part = text.substr(begin_of(i), ends[i] - begin_of(i));
      failures[i] = lines ? add_lines(part, counts) : add_text(part, counts);
      bytes_ += static_cast<int64_t>(part.size());
      if (progress_) progress_(bytes_);
    }
  });
  for (size_t i = 0; i < ends.size(); ++i) {
    if (failures[i].line == 0) continue;
    const size_t line = n_newlines(text.substr(0, begin_of(i))) + failures[i].line;
    if (failures[i].expected.empty())
      return fail("tokenizer.not_utf8", {{"file", file.string()}, {"line", line}});
    return fail("tokenizer.bad_line",
                {{"file", file.string()}, {"line", line}, {"expected", failures[i].expected}});
  }
  return {};
}

WordCounts TokenizerCorpus::take() {
  WordCounts all = std::move(counts_.front());
  for (size_t i = 1; i < counts_.size(); ++i) all.add_all(counts_[i]);
  counts_ = std::vector<WordCounts>(counts_.size());
  return all;
}

}  // namespace qw::train
