// The commands of a chat (chat.h).
#include <algorithm>

#include "apps/chat/chat.h"
#include "apps/chat/graphemes.h"
#include "base/env.h"
#include "base/mmap.h"

namespace qw::chat {
namespace {

constexpr int kMinSummary = 32, kMaxSummary = 1024;  // tokens

// "~/x" is in the home folder.
std::filesystem::path file_of(const std::string& name) {
  const auto home = env("HOME");
  return name.starts_with("~/") && home ? std::filesystem::path(*home) / name.substr(2)
                                        : std::filesystem::path(name);
}

std::string as_markdown(const Json& messages) {
  std::string out;
  for (const Json& m : messages) {
    out += fmt::format("## {}\n\n", m.at("role").get<std::string>());
    if (const auto text = m.at("content").get<std::string>(); !text.empty()) out += text + "\n\n";
    if (!m.contains("tool_calls")) continue;
    for (const Json& call : m.at("tool_calls"))
      out += fmt::format("`{} {}`\n\n", call.at("function").at("name").get<std::string>(),
                         call.at("function").at("arguments").get<std::string>());
  }
  return out;
}

}  // namespace

Status Chat::command(const ChatCommand& command) {
  switch (command.code) {
    case CommandCode::help:
      help();
      break;
    case CommandCode::system:
      system(command.argument);
      break;
    case CommandCode::save:
      save(command.argument);
      break;
    case CommandCode::load:
      load(command.argument);
      break;
    case CommandCode::retry:
      return retry();
    case CommandCode::stats:
      stats();
      break;
    case CommandCode::compact:
      return compact();
    case CommandCode::drop:
      drop(command.argument);
      break;
    case CommandCode::fresh: {
      const std::string system = conversation_.system();
      journal_.reset();
      conversation_ = {};
      last_.reset();
      if (!system.empty()) set_system(system);
      say("chat.fresh");
      break;
    }
    case CommandCode::exit:
      leaving_ = true;
      break;
  }
  return {};
}

void Chat::help() {
  std::string out;
  for (const CommandRow& row : command_table()) {
    const std::string name = fmt::format("{} {}", row.name, row.shown);
    out += fmt::format("  {:<16}{}\n", name, console_.text(row.help));
  }
  ui_.say(out + console_.text("chat.help.keys"));
}

void Chat::system(const std::string& text) {
  if (text.empty() && conversation_.system().empty()) return say("chat.no_system");
  if (text.empty()) return say("chat.system", {{"text", conversation_.system()}});
  set_system(text == "-" ? "" : text);
  say(text == "-" ? "chat.system_removed" : "chat.system_set");
}

Status Chat::retry() {
  if (conversation_.turns().empty()) {
    fail_turn(Error("chat.nothing_to_retry"));
    return {};
  }
  const size_t n = conversation_.messages().size() - conversation_.turns().back() - 1;
  if (n > 0) record({{"t", "take_back"}, {"messages", n}});
  return answer();
}

void Chat::stats() {
  const int limit = model_.engine.context_tokens();
  const auto rate = [](int tokens, double seconds) {
    return seconds > 0 ? fmt::format("{:.1f}", tokens / seconds) : std::string("–");
  };
  if (last_) {
    const Usage& u = last_->usage;
    say("chat.stats.answer", {{"tokens", u.completion_tokens},
                              {"decode", rate(u.completion_tokens - 1, last_->timing.decode_s)},
                              {"first", fmt::format("{:.2f}", last_->timing.first_token_s)}});
    say("chat.stats.prompt", {{"tokens", u.prompt_tokens},
                              {"cached", u.cached_tokens},
                              {"prefill", rate(u.prompt_tokens - u.cached_tokens, last_->timing.prefill_s)}});
  }
  if (last_) say(reuse_code(last_->reuse.limit), {{"tokens", last_->reuse.tokens}, {"at", last_->reuse.at}});
  if (const EngineStats s = model_.engine.stats(); s.drafted_tokens > 0)
    say("ui.drafts", {{"drafted", s.drafted_tokens}, {"accepted", s.accepted_drafts}});
  say("chat.stats.context",
      {{"messages", conversation_.messages().size()}, {"tokens", size_in_tokens()}, {"limit", limit}});
  if (journal_) say("chat.stats.file", {{"file", journal_->file().string()}});
}

// Of the conversation as a prompt.
std::string Chat::size_in_tokens() const {
  const Result<Prompt> prompt = make_prompt(conversation_.to_messages());
  if (prompt) return fmt::to_string(prompt->ids.size());
  const std::string_view tokens = prompt.error().arg("tokens");
  return tokens.empty() ? "?" : std::string(tokens);
}

// The oldest messages, as many as fit together with the request, are summed up by the model; the last
// exchange stays as it is where there is more than one.
Status Chat::compact() {
  const std::string request = console_.text("chat.compact_request");
  const int limit = model_.engine.context_tokens();
  const int room = std::clamp(limit / 4, kMinSummary, kMaxSummary);
  // Where the turns end, but the last one where there is another.
  std::vector<size_t> ends = conversation_.turns();
  if (!ends.empty()) ends.erase(ends.begin());
  if (ends.empty() && !conversation_.empty()) ends.push_back(conversation_.messages().size());
  const Json messages = conversation_.to_messages();
  const size_t n_system = conversation_.system().empty() ? 0 : 1;
  size_t n = 0;
  const std::string before = size_in_tokens();
  Result<Prompt> prompt = fail("chat.nothing_to_compact");
  for (; !ends.empty(); ends.pop_back()) {
    n = ends.back();
    Json part(Json::array_t(messages.begin(), messages.begin() + static_cast<std::ptrdiff_t>(n_system + n)));
    part.push_back({{"role", "user"}, {"content", request}});
    prompt = make_prompt(part, /*may_think=*/false);  // a summary has little room
    if (prompt && prompt->ids.size() + static_cast<size_t>(room) <= static_cast<size_t>(limit)) break;
    prompt = fail("chat.compact_too_long");
  }
  if (!prompt) {
    fail_turn(prompt.error());
    return {};
  }
  say("chat.compacting", {{"messages", n}});
  QW_TRY(const Outcome outcome, generate(*prompt, room, false));
  const FinishReason reason = outcome.end.reason;
  const bool ended = reason == FinishReason::stop || reason == FinishReason::length;
  if (!ended || outcome.text.empty()) {
    if (!ended)
      report_end(outcome.end);
    else if (reason == FinishReason::length)
      fail_turn(Error("chat.compact_thought", {{"tokens", room}}));
    else
      fail_turn(Error("chat.compact_empty"));
    say("chat.not_compacted");
    return {};
  }
  record({{"t", "compact"}, {"messages", n}, {"request", request}, {"summary", outcome.text}});
  say("chat.compacted", {{"before", before}, {"after", size_in_tokens()}});
  return {};
}

void Chat::drop(const std::string& argument) {
  size_t n = 1;
  if (!argument.empty()) {
    const Result<int64_t> parsed = apps::parse_integer(argument, "/drop", {.min = 1, .max = 1'000'000});
    if (!parsed) return fail_turn(parsed.error());
    n = static_cast<size_t>(*parsed);
  }
  const std::vector<size_t> turns = conversation_.turns();
  const size_t messages = n < turns.size() ? turns[n] : conversation_.messages().size();
  if (messages == 0) return fail_turn(Error("chat.nothing_to_drop"));
  record({{"t", "drop"}, {"messages", messages}});
  say("chat.dropped", {{"messages", messages}, {"left", conversation_.messages().size()}});
}

void Chat::save(const std::string& name) {
  if (name.empty()) return fail_turn(Error("chat.needs_file", {{"command", "/save"}}));
  const std::filesystem::path file = file_of(name);
  std::error_code error;
  if (std::filesystem::exists(file, error)) return fail_turn(Error("chat.exists", {{"file", file.string()}}));
  const Json messages = conversation_.to_messages();
  const std::string content =
      file.extension() == ".md" ? as_markdown(messages) : to_json_line({{"messages", messages}}) + "\n";
  if (const Status written = write_file_atomic(file, content); !written) return fail_turn(written.error());
  say("chat.saved", {{"file", file.string()}, {"messages", messages.size()}});
}

void Chat::load(const std::string& name) {
  if (name.empty()) return fail_turn(Error("chat.needs_file", {{"command", "/load"}}));
  const std::filesystem::path file = file_of(name);
  const Result<Json> object = parse_json_file(file);
  if (!object) return fail_turn(object.error());
  const Result<Json> loaded = load_record(*object, file.string());
  if (!loaded) return fail_turn(loaded.error());
  journal_.reset();  // the conversation so far stays in its own journal
  conversation_ = {};
  record(*loaded);
  say("chat.loaded", {{"file", file.string()}, {"messages", conversation_.messages().size()}});
  take_back_unanswered();
}

}  // namespace qw::chat
