#include "apps/chat/chat.h"

#include <algorithm>
#include <chrono>

#include "apps/chat/graphemes.h"
#include "apps/chat/splice.h"
#include "apps/tools/builtin_tools.h"
#include "text/utf8.h"

namespace qw::chat {
namespace {

using Clock = std::chrono::steady_clock;

constexpr auto kJournalEvery = std::chrono::milliseconds(250);  // of a running answer
constexpr int kWaitMs = 200;
constexpr size_t kRecalled = 4;  // messages shown when a conversation is taken up
constexpr int kNearlyFullPercent = 90;
constexpr int kMaxToolRounds = 8;  // of one answer

Json delta_record(const AnswerPiece& piece) {
  Json out = {{"t", "delta"}, {"ids", piece.ids}, {"text", piece.text}, {"reasoning", piece.reasoning}};
  for (const ToolCall& call : piece.calls)
    out["calls"].push_back({{"name", call.name}, {"arguments", call.arguments}});
  return out;
}

// The calls of a message as templates take them, the arguments as values.
std::string calls_json(const Json& tool_calls) {
  std::string out;
  for (const Json& call : tool_calls) {
    const Json& function = call.at("function");
    out += fmt::format(R"({}{{"type":"function","function":{{"name":{},"arguments":{}}}}})",
                       out.empty() ? "" : ",", to_json_line(function.at("name")),
                       function.at("arguments").get<std::string>());
  }
  return fmt::format("[{}]", out);
}

// `kwargs`: a JSON object, or "".
std::string without_thinking(const std::string& kwargs) {
  Json object = parse_json(kwargs, "").value_or(Json::object());
  object["enable_thinking"] = false;
  return to_json_line(object);
}

std::string_view reason_name(FinishReason reason) {
  switch (reason) {
    case FinishReason::stop:
      return "stop";
    case FinishReason::length:
      return "length";
    case FinishReason::cancelled:
      return "cancelled";
    case FinishReason::error:
      return "error";
  }
  return "error";
}

void append(AnswerPiece& to, const AnswerPiece& piece) {
  to.ids.insert(to.ids.end(), piece.ids.begin(), piece.ids.end());
  to.text += piece.text;
  to.reasoning += piece.reasoning;
  to.calls.insert(to.calls.end(), piece.calls.begin(), piece.calls.end());
}

}  // namespace

Chat::Chat(apps::Console& console, Ui& ui, const ChatModel& model, ChatOptions options)
    : console_(console), ui_(ui), model_(model), options_(std::move(options)) {}

void Chat::set_system(const std::string& text) {
  if (text != conversation_.system()) record({{"t", "system"}, {"content", text}});
}

void Chat::take_up(Journal journal, Conversation conversation) {
  journal_ = std::move(journal);
  conversation_ = std::move(conversation);
  const auto& messages = conversation_.messages();
  say("chat.taken_up", {{"messages", messages.size()}, {"file", journal_->file().string()}});
  const size_t unanswered = conversation_.n_unanswered(), end = messages.size() - unanswered;
  for (size_t i = end - std::min(end, kRecalled); i < end; ++i) {
    const Message& m = messages[i];
    const std::string& text = m.role == "tool" ? m.shown : m.content;
    if (!text.empty()) ui_.recall(m.role, text);
  }
  if (unanswered == 0 && conversation_.end_reason() == "interrupted") say("chat.interrupted");
  take_back_unanswered();
}

Result<bool> Chat::run() {
  while (!leaving_) {
    QW_TRY(const std::optional<std::string> line, ui_.read());
    if (!line) break;
    if (line->find_first_not_of(" \t\n") == line->npos) continue;
    if (!text::utf8_valid(*line)) {
      fail_turn(Error("input.not_utf8"));
      continue;
    }
    const ChatLine parsed = parse_line(*line);
    if (const auto* c = std::get_if<ChatCommand>(&parsed)) {
      QW_TRY(command(*c));
    } else if (const auto* unknown = std::get_if<UnknownCommand>(&parsed)) {
      fail_turn(Error("chat.unknown_command", {{"command", unknown->name}}));
    } else {
      QW_TRY(turn(std::get<PlainMessage>(parsed).text));
    }
  }
  return all_answered_;
}

Status Chat::turn(const std::string& text) {
  const Result<Prompt> prompt = prompt_with(text);
  if (!prompt) {
    fail_turn(prompt.error());
    ui_.draft(text);
    return {};
  }
  record({{"t", "user"}, {"content", text}});
  return answer();
}

Status Chat::answer() {
  for (int round = 0;; ++round) {
    QW_TRY(const std::optional<Outcome> outcome, answer_round());
    if (!outcome) break;
    const bool calls = !outcome->calls.empty() && outcome->end.reason == FinishReason::stop;
    if (!calls || leaving_) {
      report_end(outcome->end);
      break;
    }
    if (round == kMaxToolRounds) {
      fail_turn(Error("chat.too_many_calls", {{"rounds", kMaxToolRounds}}));
      break;
    }
    run_tools(outcome->calls);
  }
  take_back_unanswered();
  return {};
}

void Chat::run_tools(const std::vector<ToolCall>& calls) {
  for (const ToolCall& call : calls) {
    const tools::ToolOutcome outcome = tools::run_builtin_tool(call.name, call.arguments, options_.clock);
    const std::string shown = printable(outcome.shown);
    ui_.say(shown);
    record({{"t", "tool"}, {"name", call.name}, {"content", outcome.content}, {"shown", shown}});
  }
}

Result<std::optional<Chat::Outcome>> Chat::answer_round() {
  const Result<Prompt> prompt = make_prompt(conversation_.to_messages());
  if (!prompt) {
    fail_turn(prompt.error());
    return std::nullopt;
  }
  const auto kept = static_cast<std::ptrdiff_t>(prompt->n_kept);
  record({{"t", "answer"},
          {"keep", prompt->n_kept},
          {"ids", std::vector<int32_t>(prompt->ids.begin() + kept, prompt->ids.end())}});
  QW_TRY(Outcome outcome, generate(*prompt, options_.max_tokens, true));
  record({{"t", "end"}, {"reason", reason_name(outcome.end.reason)}});
  if (journal_) journal_->sync();
  return std::optional<Outcome>(std::move(outcome));
}

Result<Chat::Prompt> Chat::make_prompt(const Json& messages, bool may_think) const {
  ChatRequest request;
  for (const Json& m : messages) {
    ChatMessage message;
    message.role = m.at("role").get<std::string>();
    message.content = m.at("content").get<std::string>();
    if (m.contains("reasoning_content"))
      message.reasoning_content = m.at("reasoning_content").get<std::string>();
    if (m.contains("tool_calls")) message.tool_calls = calls_json(m.at("tool_calls"));
    if (m.contains("name")) message.name = m.at("name").get<std::string>();
    request.messages.push_back(std::move(message));
  }
  request.kwargs = may_think ? options_.kwargs : without_thinking(options_.kwargs);
  if (options_.tools) request.tools = tools::builtin_tools();
  request.now = LocalTime::now();
  QW_TRY(const Rendered rendered, model_.renderer.render(request));
  SplicedPrompt spliced = splice_prompt(model_.tokenizer, conversation_.known_ids(), rendered.text);
  const int limit = model_.engine.context_tokens();
  if (spliced.ids.size() >= static_cast<size_t>(limit))
    return fail("chat.full", {{"tokens", spliced.ids.size()}, {"limit", limit}});
  return Prompt{std::move(spliced.ids), spliced.n_kept, prompt_opens_reasoning(rendered.text)};
}

Result<Chat::Prompt> Chat::prompt_with(const std::string& user) const {
  Json messages = conversation_.to_messages();
  messages.push_back({{"role", "user"}, {"content", user}});
  return make_prompt(messages);
}

Result<Chat::Outcome> Chat::generate(const Prompt& prompt, int max_tokens, bool recorded) {
  Request request{.ids = prompt.ids, .sampling = options_.sampling, .max_new_tokens = max_tokens};
  request.stop_ids = model_.stop_ids;
  request.key.adapter = model_.adapter;
  request.sampling.seed += n_answers_++;
  std::optional<ToolTypes> tools;
  if (options_.tools) tools.emplace(tools::builtin_tools());
  QW_TRY(const auto running,
         Answer::start(model_.engine, model_.tokenizer, std::move(request),
                       {.starts_in_reasoning = prompt.opens_reasoning, .stop = options_.stop},
                       std::move(tools)));
  Outcome outcome;
  AnswerPiece unsaved;
  auto saved_at = Clock::now();
  while (!running->end()) {
    const Ui::Wait wait = ui_.wait(running->fd(), kWaitMs);
    if (wait == Ui::Wait::interrupt || wait == Ui::Wait::closed) running->cancel();
    if (wait == Ui::Wait::closed) leaving_ = true;
    const AnswerPiece piece = running->take();
    append(unsaved, piece);
    outcome.text += piece.text;
    outcome.calls.insert(outcome.calls.end(), piece.calls.begin(), piece.calls.end());
    const bool due = running->end() || Clock::now() - saved_at >= kJournalEvery;
    if (recorded && due && !unsaved.empty()) {
      record(delta_record(unsaved));
      unsaved = {};
      saved_at = Clock::now();
    }
    if (!piece.reasoning.empty() || !piece.text.empty()) QW_TRY(ui_.answer(piece.reasoning, piece.text));
  }
  const bool calls = !outcome.calls.empty() && running->end()->reason == FinishReason::stop;
  QW_TRY(ui_.end_answer(calls && recorded && !leaving_));
  outcome.end = *running->end();
  last_ = outcome.end;
  return outcome;
}

void Chat::report_end(const AnswerEnd& end) {
  const int limit = model_.engine.context_tokens();
  const int used = end.usage.prompt_tokens + end.usage.completion_tokens;
  if (end.reason == FinishReason::error) {
    fail_turn(end.error.value_or(Error("engine.non_finite")));
  } else if (end.reason == FinishReason::cancelled) {
    say("chat.stopped");
  } else if (end.reason == FinishReason::length && used >= limit) {
    all_answered_ = false;
    ui_.error(Error("chat.cut", {{"tokens", used}, {"limit", limit}}));
  } else if (end.reason == FinishReason::length) {
    say("chat.max_tokens", {{"tokens", end.usage.completion_tokens}});
  } else if (used >= limit * int64_t{kNearlyFullPercent} / 100) {
    say("chat.nearly_full", {{"tokens", used}, {"limit", limit}});
  }
}

void Chat::take_back_unanswered() {
  const size_t n = conversation_.n_unanswered();
  if (n == 0) return;
  const std::string text = conversation_.messages()[conversation_.messages().size() - n].content;
  record({{"t", "take_back"}, {"messages", n}});
  ui_.draft(text);
}

void Chat::record(const Json& record) {
  const Status applied = conversation_.apply(record);
  QW_CHECK(applied.has_value(), "{}", applied.error().debug());
  if (journal_failed_) return;
  const auto write = [&]() -> Status {
    if (!journal_) {
      QW_TRY(journal_, Journal::create(options_.folder, model_.origin));
    }
    return journal_->append(record);
  };
  if (const Status written = write(); !written) {
    journal_failed_ = true;  // said once; the conversation goes on without
    ui_.error(written.error());
    say("chat.not_kept");
  }
}

void Chat::say(std::string_view code, std::initializer_list<ErrorArg> args) {
  ui_.say(console_.text(code, args));
}

void Chat::fail_turn(const Error& error) {
  all_answered_ = false;
  ui_.error(error);
}

}  // namespace qw::chat
