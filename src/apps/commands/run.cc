// qw run: one answer to one prompt. Test: tests/e2e/run_test.cc, tests/e2e/smollm2_test.cc
#include "apps/chat/graphemes.h"
#include "apps/chat_prompt.h"
#include "apps/commands/commands.h"
#include "apps/generate.h"
#include "apps/ids_input.h"
#include "apps/memory.h"
#include "apps/model_files.h"
#include "apps/paths.h"
#include "apps/progress.h"
#include "apps/sampling_flags.h"
#include "text/utf8.h"

namespace qw::apps {
namespace {

struct Options {
  std::string model;
  std::optional<std::string> prompt, more;
  bool raw = false, no_think = false, ignore_eos = false, stats = false, dry_run = false;
  std::optional<std::string> system, ids, messages, kwargs, template_file;
  std::vector<std::string> stops;
  std::optional<int64_t> max_tokens, logprobs;
  SamplingFlags sampling;
  ModelFlags compute;
};

void declare(CommandLine& line, Options& o) {
  line.argument("MODEL", &o.model, true);
  line.argument("PROMPT", &o.prompt);
  line.argument("-", &o.more);
  line.text("--system", "TEXT", &o.system, "help.system");
  line.flag("--no-think", &o.no_think, "help.no_think");
  line.flag("--raw", &o.raw, "help.raw");
  line.text("--ids", "IDS", &o.ids, "help.run.ids");
  line.text("--messages", "FILE", &o.messages, "help.run.messages");
  line.text("--kwargs", "JSON", &o.kwargs, "help.kwargs");
  line.text("--template", "FILE", &o.template_file, "help.template");
  line.heading("help.answer");
  line.integer("--max-tokens", &o.max_tokens, {.min = 0, .max = std::numeric_limits<int32_t>::max()},
               "help.max_tokens");
  line.texts("--stop", "TEXT", &o.stops, "help.stop");
  line.flag("--ignore-eos", &o.ignore_eos, "help.ignore_eos");
  line.integer("--logprobs", &o.logprobs, {.min = 0, .max = 1000}, "help.logprobs");
  line.flag("--stats", &o.stats, "help.stats");
  o.sampling.add_to(line);
  line.heading("help.computing");
  o.compute.add_context_option(line);
  o.compute.add_compute_options(line);
  o.compute.add_adapter_option(line);
  o.compute.add_draft_options(line);
  line.flag("--dry-run", &o.dry_run, "help.dry_run");
}

// Options that contradict each other.
Status check_use(const Program& program, const Options& o) {
  const auto exclusive = [](std::string_view a, std::string_view b) -> Status {
    return fail("cli.exclusive", {{"option", a}, {"other", b}});
  };
  if (o.more && *o.more != "-") return fail("cli.extra_argument", {{"value", *o.more}, {"command", "run"}});
  if (o.ids && o.prompt) return exclusive("--ids", "PROMPT");
  if (o.messages && o.prompt) return exclusive("--messages", "PROMPT");
  if (o.ids && o.messages) return exclusive("--ids", "--messages");
  if (o.messages && o.system) return exclusive("--messages", "--system");
  const std::string_view plain = o.ids ? "--ids" : o.raw ? "--raw" : "";
  if (!plain.empty()) {
    if (o.messages) return exclusive(plain, "--messages");
    if (o.system) return exclusive(plain, "--system");
    if (o.no_think) return exclusive(plain, "--no-think");
    if (o.kwargs) return exclusive(plain, "--kwargs");
    if (o.template_file) return exclusive(plain, "--template");
  }
  for (const std::string& stop : o.stops)
    if (stop.empty()) return fail("cli.empty_stop");
  if (o.logprobs && !program.json())
    return fail("cli.only_with", {{"option", "--logprobs"}, {"other", "--json"}});
  return {};
}

// Valid UTF-8 from stdin, one final newline dropped.
Result<std::string> prompt_from_stdin() {
  QW_TRY(std::string in, read_stdin());
  if (!text::utf8_valid(in)) return fail("input.not_utf8");
  if (in.ends_with('\n')) in.pop_back();
  return in;
}

// The text of PROMPT and stdin.
Result<std::string> read_prompt(Program& program, const Options& o) {
  if (!o.prompt && program.console().in_is_terminal())
    return fail("cli.missing_argument", {{"shown", "PROMPT"}, {"command", "run"}});
  if (!o.prompt || *o.prompt == "-") return prompt_from_stdin();
  if (!text::utf8_valid(*o.prompt)) return fail("cli.not_utf8");
  std::string out = *o.prompt;
  if (o.more) {
    QW_TRY(const std::string in, prompt_from_stdin());
    out += in;
  }
  return out;
}

// What the model continues, read before the model is opened: ids, plain text, or the object that render
// takes.
struct Input {
  std::optional<std::vector<int32_t>> ids;
  std::optional<std::string> text;
  std::string render_json;
};

Result<Input> take_input(Program& program, const Options& o) {
  Input in;
  const PromptUse use{.no_think = o.no_think, .kwargs = o.kwargs.value_or("")};
  if (o.ids) {
    QW_TRY(in.ids, read_ids(*o.ids));
    return in;
  }
  if (o.messages) {
    QW_TRY(const std::string object, read_input(*o.messages));
    QW_TRY(in.render_json, answer_object(object, *o.messages, use));
    return in;
  }
  QW_TRY(std::string prompt, read_prompt(program, o));
  if (o.raw) {
    in.text = std::move(prompt);
    return in;
  }
  if (o.system && !text::utf8_valid(*o.system)) return fail("cli.not_utf8");
  Json messages = Json::array();
  if (o.system) messages.push_back({{"role", "system"}, {"content", *o.system}});
  messages.push_back({{"role", "user"}, {"content", std::move(prompt)}});
  const std::string object = to_json_line(Json{{"messages", std::move(messages)}});
  QW_TRY(in.render_json, answer_object(object, "PROMPT", use));
  return in;
}

struct Prompt {
  std::vector<int32_t> ids;
  AnswerOptions answer;
};

Result<Prompt> make_prompt(const Options& o, const Input& in, const OpenModel& open) {
  Prompt p;
  p.answer.stops = o.stops;
  p.answer.raw = in.ids || in.text;
  if (in.ids) {
    p.ids = *in.ids;
  } else if (in.text) {
    p.ids = open.tokenizer->encode(*in.text, {.add_bos = open.tokenizer->adds_bos()});
  } else {
    QW_TRY(const ChatRenderer renderer, renderer_of(*open.tokenizer, o.template_file));
    QW_TRY(const Rendered rendered, renderer.render_json(in.render_json, LocalTime::now()));
    p.ids = open.tokenizer->encode(rendered.text);
    p.answer.starts_in_reasoning = prompt_opens_reasoning(rendered.text);
  }
  QW_TRY(check_ids(p.ids, open.model->info().vocab));
  return p;
}

// The engine for one request of this prompt.
Result<EngineOptions> engine_options(Program& program, const Options& o, OpenModel& open, int n_prompt) {
  EngineOptions e{.max_seqs = 1};
  e.adapter_rank = adapter_rank(open.adapter);
  QW_TRY(set_speculation(o.compute, open, e));
  QW_TRY(e.kv_dtype, o.compute.kv_dtype(DType::f16));
  const int limit = open.model->info().max_positions;
  const int64_t ctx = o.compute.ctx.value_or(limit);
  if (ctx > limit) return fail("engine.context_too_long", {{"tokens", ctx}, {"limit", limit}});
  if (n_prompt >= ctx) return fail("engine.prompt_too_long", {{"tokens", n_prompt}, {"limit", ctx}});
  e.ctx_tokens = static_cast<int>(o.max_tokens ? std::min(ctx, n_prompt + *o.max_tokens + 1) : ctx);
  const bool fixed = o.compute.ctx || o.max_tokens;
  QW_TRY(fit_memory(program.console(), *open.model, e, fixed, n_prompt + 1, open.memory));
  return e;
}

Result<int> dry_run(Program& program, const Options& o, OpenModel& open) {
  EngineOptions e{.max_seqs = 1};
  e.adapter_rank = adapter_rank(open.adapter);
  QW_TRY(set_speculation(o.compute, open, e));
  QW_TRY(e.kv_dtype, o.compute.kv_dtype(DType::f16));
  e.ctx_tokens =
      static_cast<int>(std::min<int64_t>(o.compute.ctx.value_or(0), std::numeric_limits<int>::max()));
  QW_TRY(const MemoryPlan plan, plan_memory(*open.model, open.backend->real(), e));
  const std::string out = program.json() ? to_json_line(plan_json(plan)) : plan_text(program.console(), plan);
  QW_TRY(program.console().write(out + "\n"));
  return kExitOk;
}

double rate(double tokens, double seconds) {
  return tokens > 0 && seconds > 0 ? tokens / seconds : 0;
}

struct Stats {
  double load_s, prefill_tok_s, decode_tok_s, first_token_s;
  int64_t drafted, accepted;
};

Stats stats_of(const Answer& a, double load_s, const EngineStats& engine) {
  return {load_s,
          rate(a.usage.prompt_tokens - a.usage.cached_tokens, a.timing.prefill_s),
          rate(a.usage.completion_tokens - 1, a.timing.decode_s),
          a.timing.first_token_s,
          engine.drafted_tokens,
          engine.accepted_drafts};
}

std::string_view reason_name(FinishReason reason) {
  return reason == FinishReason::stop ? "stop" : reason == FinishReason::length ? "length" : "cancelled";
}

Json logprobs_json(const Answer& a) {
  Json out = Json::array();
  for (const Sampled& s : a.tokens) {
    Json top = Json::array();
    for (const TokenLogprob& t : s.top) top.push_back({{"id", t.id}, {"logprob", t.logprob}});
    out.push_back({{"id", s.id}, {"logprob", s.logprob}, {"top", std::move(top)}});
  }
  return out;
}

Json answer_json(const Options& o, const Answer& a, uint64_t seed, const Stats& stats) {
  Json out{{"text", a.text},
           {"reasoning", a.reasoning ? Json(*a.reasoning) : Json()},
           {"ids", a.ids()},
           {"finish_reason", reason_name(a.reason)},
           {"seed", seed},
           {"usage",
            {{"prompt_tokens", a.usage.prompt_tokens},
             {"cached_tokens", a.usage.cached_tokens},
             {"completion_tokens", a.usage.completion_tokens}}},
           {"stats",
            {{"load_s", stats.load_s},
             {"prefill_tok_s", stats.prefill_tok_s},
             {"decode_tok_s", stats.decode_tok_s},
             {"first_token_s", stats.first_token_s},
             {"drafted_tokens", stats.drafted},
             {"accepted_drafts", stats.accepted}}}};
  if (o.logprobs) out["logprobs"] = logprobs_json(a);
  return out;
}

std::string stats_text(const Console& console, const Answer& a, const Stats& s) {
  std::string out = console.text("ui.stats", {{"prompt", a.usage.prompt_tokens},
                                              {"prefill", fmt::format("{:.1f}", s.prefill_tok_s)},
                                              {"completion", a.usage.completion_tokens},
                                              {"decode", fmt::format("{:.1f}", s.decode_tok_s)},
                                              {"first", fmt::format("{:.2f}", s.first_token_s)},
                                              {"load", fmt::format("{:.2f}", s.load_s)}});
  if (s.drafted > 0) {
    out += '\n';
    out += console.text("ui.drafts", {{"drafted", s.drafted}, {"accepted", s.accepted}});
  }
  return out;
}

// The answer as it comes: text to stdout, reasoning to stderr, dim, where that is a terminal.
Status show(Console& console, bool dim_reasoning, const OutputDelta& delta) {
  if (dim_reasoning && !delta.reasoning.empty())
    console.write_err(fmt::format("\x1b[2m{}\x1b[0m", chat::printable(delta.reasoning)));
  if (delta.text.empty()) return {};
  return console.write(console.out_is_terminal() ? chat::printable(delta.text) : delta.text);
}

Result<int> answer(Program& program, const Options& o, OpenModel& open, const Prompt& prompt) {
  Console& console = program.console();
  QW_TRY(SamplingParams sampling, resolve_sampling(o.sampling, open.checkpoint.generation));
  sampling.logprobs = static_cast<int>(o.logprobs.value_or(-1));
  QW_TRY(const EngineOptions options, engine_options(program, o, open, static_cast<int>(prompt.ids.size())));
  QW_TRY(const OpenEngine opened, open_engine(open, options));
  Request request{.ids = prompt.ids,
                  .sampling = sampling,
                  .max_new_tokens = static_cast<int>(o.max_tokens.value_or(-1)),
                  .stop_ids = open.checkpoint.generation.stop_ids,
                  .ignore_eos = o.ignore_eos,
                  .key = {.tenant = 0, .adapter = opened.adapter}};
  const bool json = program.json(), dim = !json && console.err_is_terminal();
  std::optional<Progress> progress(std::in_place, console, console.text("ui.answering"));
  bool reasoning_shown = false;
  const ShowDelta sink = [&](const OutputDelta& delta) -> Status {
    if (json) return {};
    if (dim || !delta.text.empty()) progress.reset();
    if (dim && !delta.text.empty() && reasoning_shown) console.write_err("\n\n");
    reasoning_shown = dim && (reasoning_shown || !delta.reasoning.empty()) && delta.text.empty();
    return show(console, dim, delta);
  };
  const Tokenizer* tokenizer = open.tokenizer ? &*open.tokenizer : nullptr;
  QW_TRY(const Answer a,
         generate(*opened.engine, program.interrupts(), tokenizer, std::move(request), prompt.answer, sink));
  progress.reset();
  const Stats stats = stats_of(a, open.load_s, opened.engine->stats());
  QW_TRY(
      console.write(json ? to_json_line(answer_json(o, a, sampling.seed, stats)) + "\n" : std::string("\n")));
  if (o.stats && !json) console.write_err(stats_text(console, a, stats) + "\n");
  return a.reason == FinishReason::cancelled ? kExitInterrupted : kExitOk;
}

}  // namespace

Result<int> run_command(Program& program, Args args) {
  Options o;
  CommandLine line("run");
  declare(line, o);
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  QW_TRY(check_use(program, o));
  QW_TRY(o.compute.kv_dtype(DType::f16));
  Input input;
  if (!o.dry_run) {
    QW_TRY(input, take_input(program, o));
  }
  const OpenOptions files{.tokenizer = !o.dry_run, .tokenizer_may_be_absent = o.ids.has_value()};
  QW_TRY(OpenModel open, open_model(program, o.model, o.compute, files));
  if (o.dry_run) return dry_run(program, o, open);
  QW_TRY(const Prompt prompt, make_prompt(o, input, open));
  if (!prompt.answer.raw) remember_model(open.checkpoint.path);
  return answer(program, o, open, prompt);
}

}  // namespace qw::apps
