#include "train/dataset.h"

#include <xxhash.h>

#include <algorithm>
#include <iterator>
#include <optional>
#include <thread>

#include "base/mmap.h"
#include "train/chat_text.h"

namespace qw::train {
namespace {

constexpr size_t kBlockLines = 4096;  // read, tokenised on all threads, then appended in order

// One document before it has its place.
struct Encoded {
  std::vector<int32_t> ids;
  std::vector<uint8_t> target;

  void add(const std::vector<int32_t>& more, bool counts) {
    ids.insert(ids.end(), more.begin(), more.end());
    target.insert(target.end(), more.size(), counts ? 1 : 0);
  }
};

auto wrong_line(std::string_view expected) {
  return fail("train.line", {{"expected", expected}});
}

// What a template and chat_texts() take for granted.
Status check_chat(const Json& chat) {
  for (const Json& m : chat["messages"])
    if (!m.is_object() || !m.contains("role") || !m["role"].is_string())
      return wrong_line(R"({"messages": [{"role": "…", "content": …}, …]})");
  if (chat.contains("kwargs") && !chat["kwargs"].is_object() && !chat["kwargs"].is_null())
    return wrong_line(R"({"messages": […], "kwargs": {…}})");
  return {};
}

bool blank(std::string_view text) {
  return text.find_first_not_of(" \t\r\n") == std::string_view::npos;
}

class Reader {
 public:
  Reader(const TrainConfig& config, const DataParts& parts) : config_(config), parts_(parts) {}

  // The documents of one line. Errors name no place.
  Result<std::vector<Encoded>> line(std::string_view text) const {
    QW_TRY(const Json json, parse_json(text, ""));
    if (!json.is_object()) return wrong_line("{…}");
    if (config_.task == "dpo") return pair(json);
    const bool is_text = json.contains("text") && json["text"].is_string();
    const bool is_chat = json.contains("messages") && json["messages"].is_array();
    if (config_.task != "sft" && is_text) return std::vector{document(json["text"].get<std::string>())};
    if (!is_chat)
      return wrong_line(config_.task == "sft" ? R"({"messages": […]})"
                                              : R"({"text": "…"} or {"messages": […]})");
    if (parts_.renderer == nullptr) return fail("train.no_template");
    QW_TRY(check_chat(json));
    if (on_policy()) return prompt(json);
    return chat(json);
  }

  Encoded document(std::string_view text) const {
    Encoded out;
    out.add(parts_.tokenizer.encode(text, {.parse_special = false, .add_bos = parts_.tokenizer.adds_bos()}),
            true);
    if (appends_eos()) out.add({*parts_.tokenizer.eos_id()}, true);
    return out;
  }

  bool splits() const { return config_.task == "pretrain"; }
  bool on_policy() const { return config_.on_policy(); }
  // A text that the student goes on with has not ended.
  bool appends_eos() const {
    return config_.append_eos && (config_.task == "pretrain" || config_.task == "distill") && !on_policy();
  }

 private:
  ChatView view() const { return {*parts_.renderer, parts_.now}; }
  std::vector<int32_t> encode(const std::string& text) const { return parts_.tokenizer.encode(text); }

  // Behind the answer's last special token ("<|im_end|>") may come white space that no model is asked for.
  void add_answer(Encoded& out, const std::string& text) const {
    const std::vector<int32_t> ids = encode(text);
    const auto last =
        std::find_if(ids.rbegin(), ids.rend(), [&](int32_t id) { return parts_.tokenizer.is_special(id); });
    const std::vector<int32_t> tail(last == ids.rend() ? ids.end() : last.base(), ids.end());
    const bool said = !blank(parts_.tokenizer.decode(tail, false));
    out.add({ids.begin(), ids.end() - static_cast<std::ptrdiff_t>(said ? 0 : tail.size())}, true);
    if (!said) out.add(tail, false);
  }

  Encoded encode_parts(const std::vector<ChatPart>& parts) const {
    Encoded out;
    for (const ChatPart& p : parts) {
      if (p.target)
        add_answer(out, p.text);
      else
        out.add(encode(p.text), false);
    }
    return out;
  }

  Result<std::vector<Encoded>> chat(const Json& json) const {
    if (config_.task == "pretrain") {
      QW_TRY(const std::string text, whole_chat(view(), json));
      Encoded whole;
      whole.add(encode(text), true);
      return std::vector{std::move(whole)};
    }
    QW_TRY(const auto texts, chat_texts(view(), json));
    std::vector<Encoded> out;
    for (const std::vector<ChatPart>& parts : texts) out.push_back(encode_parts(parts));
    return out;
  }

  // What the student is to answer: everything before the last answer.
  Result<std::vector<Encoded>> prompt(const Json& json) const {
    const Json& messages = json["messages"];
    size_t index = messages.size();
    while (index > 0 && messages[index - 1].value("role", "") == "assistant") --index;
    QW_TRY(const std::string text, chat_prompt(view(), json, index));
    Encoded out;
    out.add(encode(text), false);
    // Cut, it would no longer ask for an answer.
    if (out.ids.size() > static_cast<size_t>(config_.seq_len))
      return fail("train.prompt_too_long", {{"tokens", out.ids.size()}, {"limit", config_.seq_len}});
    return std::vector{out};
  }

  Result<Encoded> answered(const Json& json, const char* key) const {
    Json chat = json;
    const Json& answer = json[key];
    if (answer.is_string()) {
      chat["messages"].push_back({{"role", "assistant"}, {"content", answer}});
    } else if (answer.is_object()) {
      chat["messages"].push_back(answer);
    } else {
      for (const Json& m : answer) chat["messages"].push_back(m);
    }
    QW_TRY(check_chat(chat));
    // Only the answer is compared, whatever was said before it.
    QW_TRY(const auto parts, answer_parts(view(), chat, json["messages"].size()));
    return encode_parts(parts);
  }

  Result<std::vector<Encoded>> pair(const Json& json) const {
    const auto answer = [&](const char* key) {
      return json.contains(key) && (json[key].is_string() || json[key].is_object() || json[key].is_array());
    };
    if (!json.contains("messages") || !json["messages"].is_array() || !answer("chosen") ||
        !answer("rejected"))
      return wrong_line(R"({"messages": […], "chosen": …, "rejected": …})");
    if (parts_.renderer == nullptr) return fail("train.no_template");
    QW_TRY(Encoded chosen, answered(json, "chosen"));
    QW_TRY(Encoded rejected, answered(json, "rejected"));
    return std::vector{std::move(chosen), std::move(rejected)};
  }

  const TrainConfig& config_;
  const DataParts& parts_;
};

// Appends what was read, in order, within seq_len.
class Collector {
 public:
  Collector(const TrainConfig& config, const Reader& reader, DataReport& report)
      : limit_(config.seq_len),
        skip_(config.bad_lines == "skip"),
        pairs_(config.task == "dpo"),
        reader_(reader),
        report_(report) {}

  Status take(Result<std::vector<Encoded>> line, const std::string& place) {
    ++report_.lines;
    if (line && !reader_.on_policy()) line = usable_texts(*std::move(line), place);
    if (!line) return bad(line.error(), place);
    for (Encoded& e : *line) add(e, place);
    return {};
  }

  Dataset data;

 private:
  // Of a conversation that became several texts those whose answer lies behind seq_len are left out, as the
  // end of a single text would be; a pair is whole or not there.
  Result<std::vector<Encoded>> usable_texts(std::vector<Encoded> texts, const std::string& place) {
    const auto lost = [this](const Encoded& e) { return !usable(e); };
    const auto n = static_cast<size_t>(std::count_if(texts.begin(), texts.end(), lost));
    if (n == texts.size() || (n > 0 && pairs_)) return fail("train.no_target", {{"limit", limit_}});
    for (const Encoded& e : texts)
      if (lost(e)) note_cut(e, place);
    std::erase_if(texts, lost);
    return texts;
  }

  bool usable(const Encoded& e) const {
    const size_t n = reader_.splits() ? e.ids.size() : std::min(e.ids.size(), static_cast<size_t>(limit_));
    return std::find(e.target.begin() + (n > 0 ? 1 : 0), e.target.begin() + static_cast<std::ptrdiff_t>(n),
                     1) != e.target.begin() + static_cast<std::ptrdiff_t>(n);
  }

  Status bad(Error error, const std::string& place) {
    Error named(error.code());
    for (const ErrorArg& a : error.args())
      if (a.name != "file") named.with(a.name, a.value);
    named.with("file", place);
    if (!skip_) return tl::unexpected<Error>(std::move(named));
    ++report_.n_bad;
    if (report_.bad.size() < DataReport::kMaxBad) report_.bad.push_back(std::move(named));
    return {};
  }

  void note_cut(const Encoded& e, const std::string& place) {
    if (reader_.splits() || e.ids.size() <= static_cast<size_t>(limit_)) return;
    if (report_.cut++ == 0)
      report_.first_cut = Error("train.cut", {{"file", place}, {"tokens", e.ids.size()}, {"limit", limit_}});
  }

  void add(const Encoded& e, const std::string& place) {
    const auto n = static_cast<int64_t>(e.ids.size());
    note_cut(e, place);
    for (int64_t at = 0; at < n; at += limit_) {
      const int64_t length = std::min<int64_t>(limit_, n - at);
      if (reader_.splits() && length < 2) break;  // one token predicts nothing
      data.documents.push_back({static_cast<int64_t>(data.ids.size()), static_cast<int32_t>(length)});
      data.ids.insert(data.ids.end(), e.ids.begin() + at, e.ids.begin() + at + length);
      data.target.insert(data.target.end(), e.target.begin() + at, e.target.begin() + at + length);
      if (!reader_.splits()) break;
    }
  }

  int64_t limit_;
  bool skip_, pairs_;
  const Reader& reader_;
  DataReport& report_;
};

std::vector<std::string_view> lines_of(std::string_view text) {
  std::vector<std::string_view> out;
  for (size_t at = 0; at < text.size();) {
    const size_t end = std::min(text.find('\n', at), text.size());
    out.push_back(text.substr(at, end - at));
    at = end + 1;
  }
  return out;
}

struct Line {
  std::string_view text;
  size_t number;
};

std::vector<std::optional<Result<std::vector<Encoded>>>> read_block(const Reader& reader,
                                                                    std::span<const Line> lines,
                                                                    int n_threads) {
  std::vector<std::optional<Result<std::vector<Encoded>>>> out(lines.size());
  const auto work = [&](size_t thread) {
    for (size_t i = thread; i < lines.size(); i += static_cast<size_t>(n_threads))
      out[i].emplace(reader.line(lines[i].text));
  };
  std::vector<std::jthread> threads;
  for (int t = 1; t < n_threads; ++t) threads.emplace_back(work, static_cast<size_t>(t));
  work(0);
  threads.clear();
  return out;
}

Status read_jsonl(const std::string& file, std::string_view text, const Reader& reader, int threads,
                  Collector& to, const std::function<void(size_t)>& progress) {
  std::vector<Line> lines;
  size_t number = 0;
  for (const std::string_view line : lines_of(text))
    if (++number; !blank(line)) lines.push_back({line, number});
  for (size_t at = 0; at < lines.size(); at += kBlockLines) {
    const auto block = std::span(lines).subspan(at, std::min(kBlockLines, lines.size() - at));
    auto read = read_block(reader, block, threads);
    for (size_t i = 0; i < read.size(); ++i)
      QW_TRY(to.take(*std::move(read[i]), fmt::format("{}:{}", file, block[i].number)));
    progress(static_cast<size_t>(block.back().text.end() - text.begin()));
  }
  return {};
}

}  // namespace

int64_t Dataset::targets_in(const Document& d) const {
  const std::span<const uint8_t> marks = targets_of(d);
  return std::count(marks.begin() + 1, marks.end(), 1);
}

uint64_t Dataset::digest() const {
  uint64_t h = XXH64(ids.data(), ids.size() * sizeof(int32_t), 1);
  h = XXH64(target.data(), target.size(), h);
  for (const Document& d : documents) h = XXH64(&d.length, sizeof d.length, h);
  return h;
}

Result<Dataset> read_dataset(const std::vector<std::string>& files, const TrainConfig& config,
                             const DataParts& parts, DataReport& report, const DataProgress& progress) {
  const Reader reader(config, parts);
  if (reader.appends_eos() && !parts.tokenizer.eos_id()) return fail("train.no_eos");
  Collector collector(config, reader, report);
  collector.data.documents_a_sample = config.task == "dpo" ? 2 : 1;
  std::vector<std::shared_ptr<const MappedFile>> maps;
  int64_t total = 0, before = 0;
  for (const std::string& file : files) {
    QW_TRY(auto map, MappedFile::open(file));
    total += static_cast<int64_t>(map->bytes().size());
    maps.push_back(std::move(map));
  }
  for (size_t i = 0; i < files.size(); ++i) {
    const auto bytes = maps[i]->bytes();
    const std::string_view text(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    const auto step = [&](size_t done) {
      if (progress) progress(before + static_cast<int64_t>(done), total);
    };
    if (files[i].ends_with(".txt")) {
      if (config.task == "sft" || config.task == "dpo")
        return fail("train.text_file", {{"file", files[i]}, {"task", config.task}});
      if (!blank(text)) QW_TRY(collector.take(std::vector{reader.document(text)}, files[i]));
      step(text.size());
    } else {
      QW_TRY(read_jsonl(files[i], text, reader, std::max(parts.threads, 1), collector, step));
    }
    before += static_cast<int64_t>(text.size());
  }
  if (collector.data.documents.empty())
    return fail("train.no_data", {{"files", fmt::format("{}", fmt::join(files, ", "))}});
  return std::move(collector.data);
}

}  // namespace qw::train
