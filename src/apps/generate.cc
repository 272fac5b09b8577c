#include "apps/generate.h"

#include <algorithm>

#include "text/detokenizer.h"

namespace qw::apps {
namespace {

// Ids to text and reasoning.
class AnswerText {
 public:
  AnswerText(const Tokenizer& tokenizer, const AnswerOptions& options)
      : raw_(options.raw),
        detokenizer_(tokenizer, !options.raw,
                     options.raw ? std::vector<int32_t>() : reasoning_tag_ids(tokenizer)),
        parser_(
            {.reasoning = true, .starts_in_reasoning = options.starts_in_reasoning, .stop = options.stops}),
        stop_(options.stops) {}

  OutputDelta push(int32_t id) { return divide(detokenizer_.push(id)); }
  OutputDelta finish() {
    OutputDelta out = divide(detokenizer_.flush());
    if (raw_) return out;
    OutputDelta rest = parser_.finish();
    return {out.reasoning + rest.reasoning, out.text + rest.text};
  }
  bool stopped() const { return raw_ ? stop_.stopped() : parser_.stopped(); }
  bool has_reasoning() const { return !raw_ && parser_.has_reasoning(); }

 private:
  OutputDelta divide(std::string text) {
    if (!raw_) return parser_.push(text);
    stop_.push(text);
    return {.reasoning = {}, .text = std::move(text)};
  }

  bool raw_;
  Detokenizer detokenizer_;
  OutputParser parser_;  // not raw
  StopMatcher stop_;     // raw: only finds the end
};

// The answer as its events arrive.
class Collector {
 public:
  Collector(const Tokenizer* tokenizer, const AnswerOptions& options, const ShowDelta& show) : show_(show) {
    if (tokenizer != nullptr) text_.emplace(*tokenizer, options);
  }

  // `visible` is false for the stop id.
  Status token(Sampled sampled, bool visible) {
    const int32_t id = sampled.id;
    answer_.tokens.push_back(std::move(sampled));
    return text_ && visible ? add(text_->push(id)) : Status();
  }
  Status finish() { return text_ ? add(text_->finish()) : Status(); }
  bool stopped() const { return text_ && text_->stopped(); }
  Answer take() {
    if (text_ && text_->has_reasoning() && !answer_.reasoning) answer_.reasoning = "";
    return std::move(answer_);
  }

 private:
  Status add(const OutputDelta& delta) {
    answer_.text += delta.text;
    if (!delta.reasoning.empty()) answer_.reasoning = answer_.reasoning.value_or("") + delta.reasoning;
    return delta.text.empty() && delta.reasoning.empty() ? Status() : show_(delta);
  }

  const ShowDelta& show_;
  std::optional<AnswerText> text_;
  Answer answer_;
};

}  // namespace

std::vector<int32_t> Answer::ids() const {
  std::vector<int32_t> out;
  for (const Sampled& s : tokens) out.push_back(s.id);
  return out;
}

Result<Answer> generate(Engine& engine, Interrupts& interrupts, const Tokenizer* tokenizer, Request request,
                        const AnswerOptions& options, const ShowDelta& show) {
  const auto queue = std::make_shared<EventQueue>();
  const std::vector<int32_t> stop_ids = request.ignore_eos ? std::vector<int32_t>() : request.stop_ids;
  const RequestId id = engine.submit(std::move(request), sink_to(queue));
  const Interrupts::Scope on_interrupt(interrupts, [&engine, id] { engine.cancel(id); });
  Collector collector(tokenizer, options, show);
  Status shown;
  Event event = queue->pop();
  for (; event.kind == Event::Kind::token; event = queue->pop()) {
    if (!shown || collector.stopped()) continue;  // tokens on their way when it was ended
    const bool is_stop = std::find(stop_ids.begin(), stop_ids.end(), event.token.id) != stop_ids.end();
    shown = collector.token(std::move(event.token), !is_stop);
    if (!shown || collector.stopped()) engine.cancel(id);
  }
  if (event.reason == FinishReason::error) return tl::unexpected<Error>(*event.error);
  QW_TRY(shown);
  const bool by_string = collector.stopped();
  QW_TRY(collector.finish());
  Answer answer = collector.take();
  answer.reason = by_string ? FinishReason::stop : event.reason;
  answer.usage = event.usage;
  answer.usage.completion_tokens = static_cast<int>(answer.tokens.size());
  answer.timing = event.timing;
  return answer;
}

}  // namespace qw::apps
