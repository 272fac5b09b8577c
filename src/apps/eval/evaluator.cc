#include "apps/eval/evaluator.h"

#include <algorithm>
#include <cmath>

#include "apps/chat_prompt.h"
#include "apps/eval/judge.h"
#include "apps/eval/scorer.h"
#include "apps/ids_input.h"
#include "apps/jsonl.h"
#include "core/kv_pool.h"
#include "text/detokenizer.h"

namespace qw::eval {
namespace {

constexpr int kWindow = 1024;  // tokens of a perplexity text that are scored together

size_t index_of_max(const std::vector<double>& values) {
  return static_cast<size_t>(std::max_element(values.begin(), values.end()) - values.begin());
}

Json choice_result(const Item& item, const std::vector<double>& log_p) {
  std::vector<double> per_byte;
  for (size_t i = 0; i < log_p.size(); ++i)
    per_byte.push_back(log_p[i] / static_cast<double>(item.choices[i].size()));
  const size_t choice = index_of_max(log_p), by_byte = index_of_max(per_byte);
  return {{"choice", choice},
          {"choice_per_byte", by_byte},
          {"log_p", log_p},
          {"pass", choice == item.right_choice},
          {"pass_per_byte", by_byte == item.right_choice}};
}

Json perplexity_result(const Item& item, const std::vector<double>& log_p, size_t n_scored) {
  double nll = 0;
  for (const double window : log_p) nll -= window;
  return {{"nll", nll},
          {"tokens", n_scored},
          {"bytes", item.text.size()},
          {"perplexity", std::exp(nll / static_cast<double>(n_scored))}};
}

}  // namespace

struct Evaluator::Job {
  const Item* item = nullptr;
  std::vector<Sequence> sequences{};
  size_t n_scored = 0;
};

struct Evaluator::Waiting {
  const Item* item = nullptr;
  Prompt prompt;
  int max_tokens = 0;
};

struct Evaluator::Running {
  Running(const Item& i, const Tokenizer& tokenizer, bool opens_reasoning)
      : item(&i),
        detokenizer(tokenizer, /*skip_special=*/true, output_tag_ids(tokenizer)),
        parser({.starts_in_reasoning = opens_reasoning}, tool_types(i)) {}

  static std::optional<ToolTypes> tool_types(const Item& i) {
    if (!i.tools.is_array() || i.tools.empty()) return std::nullopt;
    return ToolTypes(i.tools);
  }

  void take(const std::vector<OutputEvent>& events) {
    for (const OutputEvent& e : events) {
      if (e.kind == OutputEvent::Kind::tool_call) written.calls.push_back(e.call);
      if (e.kind == OutputEvent::Kind::malformed_call) written.malformed = true;
      if (e.kind != OutputEvent::Kind::reasoning) written.text += e.text;
    }
  }
  Json result(FinishReason reason) const {
    Json out{{"answer", written.text}};
    if (!written.calls.empty()) {
      out["calls"] = Json::array();
      for (const ToolCall& call : written.calls)
        out["calls"].push_back(
            {{"name", call.name}, {"arguments", parse_json(call.arguments, "").value_or(Json())}});
    }
    out["finish"] = reason == FinishReason::stop ? "stop" : "length";
    out["tokens"] = n_tokens;
    out["pass"] = passes(*item, written);
    return out;
  }

  const Item* item;
  Detokenizer detokenizer;
  OutputEventParser parser;
  Written written{};
  int n_tokens = 0;
};

Status Evaluator::failed(const Item& item, const Error& error) {
  Json result = apps::error_json(console_, error);
  if (item.kind != Kind::perplexity) result["pass"] = false;
  return done_(item, std::move(result));
}

Result<Evaluator::Prompt> Evaluator::prompt_of(const Item& item) const {
  if (item.prompt) {
    const bool bos = open_.tokenizer->adds_bos();
    return Prompt{open_.tokenizer->encode(*item.prompt, {.add_bos = bos}), false};
  }
  Json object{{"messages", item.messages}};
  if (item.tools.is_array()) object["tools"] = item.tools;
  QW_TRY(const std::string rendered_from,
         apps::answer_object(object.dump(-1, ' ', false, Json::error_handler_t::replace), item.file,
                             {.no_think = true, .kwargs = {}}));
  QW_TRY(const Rendered rendered, renderer_->render_json(rendered_from, options_.now));
  return Prompt{open_.tokenizer->encode(rendered.text), prompt_opens_reasoning(rendered.text)};
}

// Behind a chat prompt a choice is tokenised on its own; a plain prompt and its choice together, as one text.
Result<Evaluator::Job> Evaluator::choice_job(const Item& item) const {
  QW_TRY(const Prompt prompt, prompt_of(item));
  Job job{.item = &item};
  const bool bos = open_.tokenizer->adds_bos();
  for (const std::string& choice : item.choices) {
    Sequence s{.ids = prompt.ids, .scored_from = prompt.ids.size()};
    if (item.prompt) {
      const size_t text = item.prompt->find_last_not_of(" \t\n") + 1;  // spaces belong to the choice's words
      s.scored_from = open_.tokenizer->encode(item.prompt->substr(0, text), {.add_bos = bos}).size();
      s.ids = open_.tokenizer->encode(*item.prompt + choice, {.add_bos = bos});
      s.scored_from = std::min(s.scored_from, s.ids.size() - std::min<size_t>(1, s.ids.size()));
    } else {
      const std::vector<int32_t> more = open_.tokenizer->encode(choice, {.parse_special = false});
      s.ids.insert(s.ids.end(), more.begin(), more.end());
    }
    s.scored_from = std::max<size_t>(1, s.scored_from);
    if (s.scored_from >= s.ids.size()) return fail("eval.no_tokens");
    if (const int limit = open_.model->info().max_positions; s.ids.size() > static_cast<size_t>(limit))
      return fail("engine.prompt_too_long", {{"tokens", s.ids.size()}, {"limit", limit}});
    job.sequences.push_back(std::move(s));
  }
  return job;
}

Result<Evaluator::Job> Evaluator::perplexity_job(const Item& item) const {
  const bool bos = open_.tokenizer->adds_bos();
  const std::vector<int32_t> ids =
      open_.tokenizer->encode(item.text, {.parse_special = false, .add_bos = bos});
  const auto window = static_cast<size_t>(std::min(kWindow, open_.model->info().max_positions));
  Job job{.item = &item};
  for (size_t begin = 0; begin + 1 < ids.size(); begin += window - 1) {
    const size_t end = std::min(begin + window, ids.size());
    // The last token of a window is the first of the next, so that all but the first of the text are scored.
    const auto at = [&](size_t i) { return ids.begin() + static_cast<std::ptrdiff_t>(i); };
    job.sequences.push_back({.ids = {at(begin), at(end)}, .scored_from = 1});
    job.n_scored += end - begin - 1;
  }
  if (job.n_scored == 0) return fail("eval.no_tokens");
  return job;
}

Result<Evaluator::Job> Evaluator::job_of(const Item& item) const {
  QW_TRY(Job job, item.kind == Kind::choice ? choice_job(item) : perplexity_job(item));
  for (const Sequence& s : job.sequences) QW_TRY(apps::check_ids(s.ids, open_.model->info().vocab));
  return job;
}

Status Evaluator::score(const std::vector<const Item*>& items) {
  std::vector<Job> jobs;
  std::vector<Sequence> sequences;
  for (const Item* item : items) {
    Result<Job> job = job_of(*item);
    if (!job) {
      QW_TRY(failed(*item, job.error()));
      continue;
    }
    sequences.insert(sequences.end(), job->sequences.begin(), job->sequences.end());
    jobs.push_back(*std::move(job));
  }
  const auto adapter = open_.adapter ? open_.adapter->set : nullptr;
  std::vector<Result<double>> sums;
  size_t at = 0;
  const Scorer::Done done = [&](size_t, const Result<double>& sum) -> Status {
    sums.push_back(sum);
    if (sums.size() < jobs[at].sequences.size()) return {};
    QW_TRY(scored(jobs[at++], sums));
    sums.clear();
    return {};
  };
  return Scorer(*open_.model, *open_.backend, adapter).score(sequences, done);
}

Status Evaluator::scored(const Job& job, const std::vector<Result<double>>& sums) {
  std::vector<double> log_p;
  for (const Result<double>& sum : sums) {
    if (!sum) return failed(*job.item, sum.error());
    log_p.push_back(*sum);
  }
  return done_(*job.item, job.item->kind == Kind::choice ? choice_result(*job.item, log_p)
                                                         : perplexity_result(*job.item, log_p, job.n_scored));
}

// Those that can be answered; the others have their results then.
Result<std::deque<Evaluator::Waiting>> Evaluator::prompts_of(const std::vector<const Item*>& items) {
  std::deque<Waiting> out;
  const int limit = open_.model->info().max_positions;
  for (const Item* item : items) {
    Result<Prompt> prompt = prompt_of(*item);
    if (prompt && prompt->ids.size() >= static_cast<size_t>(limit))
      prompt = fail("engine.prompt_too_long", {{"tokens", prompt->ids.size()}, {"limit", limit}});
    if (!prompt) {
      QW_TRY(failed(*item, prompt.error()));
      continue;
    }
    out.push_back({item, *std::move(prompt), item->max_tokens > 0 ? item->max_tokens : options_.max_tokens});
  }
  return out;
}

Status Evaluator::take_event(const Event& event, std::unordered_map<RequestId, Running>& running) {
  const auto found = running.find(event.request);
  QW_CHECK(found != running.end(), "an event of request {}", event.request);
  Running& one = found->second;
  if (event.kind == Event::Kind::token) {
    const std::vector<int32_t>& stop_ids = open_.checkpoint.generation.stop_ids;
    ++one.n_tokens;
    if (std::find(stop_ids.begin(), stop_ids.end(), event.token.id) == stop_ids.end())
      one.take(one.parser.push(one.detokenizer.push(event.token.id)));
    return {};
  }
  if (event.reason == FinishReason::error) {
    QW_TRY(failed(*one.item, *event.error));
  } else {
    one.take(one.parser.push(one.detokenizer.flush()));
    one.take(one.parser.finish());
    QW_TRY(done_(*one.item, one.result(event.reason)));
  }
  running.erase(found);
  return {};
}

// Options of an engine for the answers that wait; none where none waits any more. One that does not fit into
// memory even alone has its result then, and the plan is made for the others.
Result<std::optional<EngineOptions>> Evaluator::plan_engine(std::deque<Waiting>& waiting) {
  const int64_t limit = open_.model->info().max_positions;
  const auto tokens = [&](const Waiting& w) {
    return std::min(limit, static_cast<int64_t>(w.prompt.ids.size()) + w.max_tokens + 1);
  };
  while (!waiting.empty()) {
    const auto longest =
        std::max_element(waiting.begin(), waiting.end(),
                         [&](const Waiting& a, const Waiting& b) { return tokens(a) < tokens(b); });
    EngineOptions options{.ctx_tokens = static_cast<int>(tokens(*longest)),
                          .kv_dtype = options_.kv,
                          .max_seqs = options_.batch};
    options.adapter_rank = apps::adapter_rank(open_.adapter);
    const Status fits = fit_pages(console_, *open_.model, options, open_.memory);
    if (fits) return options;
    if (fits.error().code() != "memory.answer") return tl::unexpected<Error>(fits.error());
    QW_TRY(failed(*longest->item, fits.error()));
    waiting.erase(longest);
  }
  return std::nullopt;
}

Status Evaluator::generate(const std::vector<const Item*>& items) {
  QW_TRY(std::deque<Waiting> waiting, prompts_of(items));
  QW_TRY(const std::optional<EngineOptions> options, plan_engine(waiting));
  if (!options) return {};
  const auto queue = std::make_shared<EventQueue>();
  QW_TRY(const apps::OpenEngine opened, apps::open_engine(open_, *options));
  std::unordered_map<RequestId, Running> running;
  while (!waiting.empty() || !running.empty()) {
    // As many again wait inside the engine, so that a place that becomes free is taken at once.
    while (!waiting.empty() && running.size() < size_t{2} * static_cast<size_t>(options_.batch)) {
      const Waiting next = std::move(waiting.front());
      waiting.pop_front();
      Request request;
      request.ids = next.prompt.ids;
      request.max_new_tokens = next.max_tokens;
      request.stop_ids = open_.checkpoint.generation.stop_ids;
      request.key.adapter = opened.adapter;
      running.try_emplace(opened.engine->submit(std::move(request), sink_to(queue)), *next.item,
                          *open_.tokenizer, next.prompt.opens_reasoning);
    }
    QW_TRY(take_event(queue->pop(), running));
  }
  return {};
}

Status Evaluator::run(const std::vector<const Item*>& items) {
  std::vector<const Item*> scored, generated;
  for (const Item* item : items) (item->generates() ? generated : scored).push_back(item);
  QW_TRY(score(scored));
  return generate(generated);
}

Status fit_pages(apps::Console& console, Model& model, EngineOptions& options,
                 const apps::WeightMemory& weights) {
  const auto pages = static_cast<size_t>((int64_t{options.ctx_tokens} + kPageTokens - 1) / kPageTokens);
  const size_t context = pages * KvPool::page_bytes(model.cache_spec(), options.kv_dtype);
  for (size_t n = static_cast<size_t>(options.max_seqs); n > 0; n /= 2) {
    options.kv_bytes = n * context;
    const Result<MemoryPlan> plan = apps::fit_memory(console, model, options, true, 1, weights);
    if (plan) return {};
    if (!plan.error().code().starts_with("memory.")) return tl::unexpected<Error>(plan.error());
  }
  QW_TRY(const MemoryPlan least, plan_memory(model, DType::f32, options));
  return fail("memory.answer", {{"needed", apps::bytes_text(least.total_bytes())}});
}

}  // namespace qw::eval
