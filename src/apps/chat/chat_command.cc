// qw chat: options, and the parts put together. Test: tests/e2e/chat_test.cc
#include "apps/chat/chat.h"
#include "apps/chat_prompt.h"
#include "apps/commands/commands.h"
#include "apps/hub/suggest.h"
#include "apps/memory.h"
#include "apps/model_files.h"
#include "apps/paths.h"
#include "apps/sampling_flags.h"
#include "apps/tools/builtin_tools.h"
#include "base/env.h"
#include "text/utf8.h"

namespace qw::apps {
namespace {

using chat::Chat;

constexpr int kMinContext = 256;  // shorter ones are no conversation

struct ChatFlags {
  std::optional<std::string> model;
  bool resume = false, no_think = false, no_tools = false;
  std::optional<std::string> system, kwargs, template_file;
  std::optional<int64_t> max_tokens;
  std::vector<std::string> stop;
  SamplingFlags sampling;
  ModelFlags compute;

  void add_to(CommandLine& line) {
    line.argument("MODEL", &model);
    line.flag("--continue", &resume, "help.chat.continue");
    line.text("--system", "TEXT", &system, "help.system");
    line.flag("--no-think", &no_think, "help.no_think");
    line.flag("--no-tools", &no_tools, "help.chat.no_tools");
    line.integer("--max-tokens", &max_tokens, {.min = 1, .max = std::numeric_limits<int32_t>::max()},
                 "help.max_tokens");
    line.texts("--stop", "TEXT", &stop, "help.stop");
    line.text("--kwargs", "JSON", &kwargs, "help.kwargs");
    line.text("--template", "FILE", &template_file, "help.template");
    sampling.add_to(line);
    compute.add_context_option(line);
    compute.add_compute_options(line);
    compute.add_adapter_option(line);
    compute.add_draft_options(line);
  }
};

// A conversation of the past, taken up.
struct Past {
  std::optional<chat::Journal> journal;
  chat::Conversation conversation;
};

bool has_editor(const Console& console) {
  const auto term = env("TERM");
  return console.in_is_terminal() && console.out_is_terminal() && term && *term != "dumb";
}

// The variables for the template: --kwargs, and --no-think, which wins. Errors: cli.bad_kwargs, cli.not_utf8.
Result<std::string> template_arguments(const ChatFlags& flags) {
  if (flags.system && !text::utf8_valid(*flags.system)) return fail("cli.not_utf8");
  Json object = Json::object();
  if (flags.kwargs) {
    const Result<Json> given = parse_json(*flags.kwargs, "--kwargs");
    if (!given || !given->is_object()) return fail("cli.bad_kwargs", {{"value", *flags.kwargs}});
    object = *given;
  }
  if (flags.no_think) object["enable_thinking"] = false;
  return object.dump();
}

// One sequence, as long as the model and the memory allow.
Result<OpenEngine> make_engine(Program& program, const ChatFlags& flags, const OpenModel& open) {
  EngineOptions options{.max_seqs = 1};
  options.adapter_rank = adapter_rank(open.adapter);
  QW_TRY(set_speculation(flags.compute, open, options));
  QW_TRY(options.kv_dtype, flags.compute.kv_dtype(DType::f16));
  const int limit = open.model->info().max_positions;
  const int64_t ctx = flags.compute.ctx.value_or(limit);
  if (ctx > limit) return fail("engine.context_too_long", {{"tokens", ctx}, {"limit", limit}});
  options.ctx_tokens = static_cast<int>(ctx);
  QW_TRY(fit_memory(program.console(), *open.model, options, flags.compute.ctx.has_value(), kMinContext,
                    open.memory));
  return open_engine(open, options);
}

Result<Past> find_past(const std::filesystem::path& folder) {
  Past past;
  QW_TRY(past.journal, chat::Journal::open_last(folder, past.conversation));
  if (!past.journal) return fail("chat.no_past", {{"folder", folder.string()}});
  return past;
}

std::string absolute_text(const std::filesystem::path& path) {
  return path.empty() ? std::string() : std::filesystem::absolute(path).lexically_normal().string();
}

// The same of a file that will be there again: no pipe.
std::string lasting_text(const std::filesystem::path& path) {
  std::error_code ec;
  return std::filesystem::is_regular_file(path, ec) ? absolute_text(path) : std::string();
}

// The model of the past with what it ran with, which the command line may replace. Errors: chat.part_gone
// (args option, file).
Status take_up_origin(ChatFlags& flags, const chat::Origin& origin) {
  flags.model = origin.model;
  const auto take = [](std::optional<std::string>& flag, const std::string& file,
                       const char* option) -> Status {
    if (flag || file.empty()) return {};
    std::error_code ec;
    if (!std::filesystem::exists(file, ec))
      return fail("chat.part_gone", {{"option", option}, {"file", file}});
    flag = file;
    return {};
  };
  QW_TRY(take(flags.compute.adapter, origin.adapter, "--adapter"));
  return take(flags.template_file, origin.template_file, "--template");
}

// The model of a chat that names none.
struct UsualModel {
  std::string path;
  std::optional<std::string> larger;  // the model that could be had instead
};

// The one last used, else the one that came with qw, about which a line says what larger one there is or
// could be. Errors: cli.chat_no_model.
Result<UsualModel> usual_model(Program& program) {
  Console& console = program.console();
  const auto last = remembered_model(), shipped = shipped_model(program_file());
  const auto model = last ? last : shipped;
  if (!model) return fail("cli.chat_no_model");
  console.note(console.text(model == shipped ? "chat.shipped_model" : "chat.last_model",
                            {{"model", model->string()}}));
  return UsualModel{model->string(), model == shipped ? suggest_larger(program) : std::nullopt};
}

struct Talk {
  bool succeeded = false;  // every question was answered, or a person saw why not
  bool answered = false;   // one was
};

Result<Talk> converse(Program& program, const ChatFlags& flags, const std::filesystem::path& home, Past past,
                      std::unique_ptr<chat::Terminal> terminal) {
  Console& console = program.console();
  QW_TRY(const OpenModel open, open_model(program, *flags.model, flags.compute));
  QW_TRY(const ChatRenderer renderer, renderer_of(*open.tokenizer, flags.template_file));
  QW_TRY(SamplingParams sampling, resolve_sampling(flags.sampling, open.checkpoint.generation));
  QW_TRY(std::string kwargs, template_arguments(flags));
  chat::ChatOptions options{.sampling = std::move(sampling),
                            .max_tokens = static_cast<int>(flags.max_tokens.value_or(-1)),
                            .stop = flags.stop,
                            .kwargs = std::move(kwargs),
                            .folder = home / "chats",
                            .tools = !flags.no_tools && renders_tool_calls(renderer, tools::builtin_tools()),
                            .clock = tools::ClockSource::system()};
  QW_TRY(const OpenEngine opened, make_engine(program, flags, open));
  remember_model(open.checkpoint.path);
  const chat::ChatModel model{.origin = {.model = absolute_text(open.checkpoint.path),
                                         .adapter = absolute_text(flags.compute.adapter.value_or("")),
                                         .template_file = lasting_text(flags.template_file.value_or(""))},
                              .tokenizer = *open.tokenizer,
                              .renderer = renderer,
                              .engine = *opened.engine,
                              .stop_ids = open.checkpoint.generation.stop_ids,
                              .adapter = opened.adapter};
  chat::History history;
  if (terminal) {
    QW_TRY(history, chat::History::open(home / "chat_history.jsonl"));
  }
  const bool in_terminal = terminal != nullptr;
  const auto ui = in_terminal ? chat::make_terminal_ui(program, std::move(terminal), history)
                              : chat::make_plain_ui(program);
  if (in_terminal)
    ui->say(console.text("chat.greeting",
                         {{"model", open.checkpoint.name}, {"limit", opened.engine->context_tokens()}}));
  Chat conversation(console, *ui, model, std::move(options));
  if (past.journal) conversation.take_up(*std::move(past.journal), std::move(past.conversation));
  if (flags.system) conversation.set_system(*flags.system);
  QW_TRY(const bool all_answered, conversation.run());
  return Talk{all_answered || in_terminal, conversation.answered()};
}

}  // namespace

Result<int> chat_command(Program& program, Args args) {
  ChatFlags flags;
  CommandLine line("chat");
  flags.add_to(line);
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  QW_TRY(const auto home, qw_home());
  Past past;
  if (flags.resume) {
    QW_TRY(past, find_past(home / "chats"));
    if (!flags.model) QW_TRY(take_up_origin(flags, past.journal->origin()));
  }
  UsualModel usual;
  if (!flags.model) {
    QW_TRY(usual, usual_model(program));
    flags.model = usual.path;
  }
  std::unique_ptr<chat::Terminal> terminal;
  if (has_editor(program.console())) {
    QW_TRY(terminal, chat::Terminal::open());
  }
  QW_TRY(const Talk talk, converse(program, flags, home, std::move(past), std::move(terminal)));
  if (talk.answered && usual.larger) offer_larger(program, *usual.larger);
  return talk.succeeded ? kExitOk : kExitFailure;
}

}  // namespace qw::apps
