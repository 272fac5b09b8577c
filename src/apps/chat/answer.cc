#include "apps/chat/answer.h"

#include <sys/eventfd.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>

namespace qw::chat {

Answer::Answer(Engine& engine, const Tokenizer& tokenizer, std::vector<int32_t> stop_ids,
               const OutputOptions& output, std::optional<ToolTypes> tools)
    : engine_(engine),
      stop_ids_(std::move(stop_ids)),
      detokenizer_(tokenizer, /*skip_special=*/true, output_tag_ids(tokenizer)),
      parser_(output, std::move(tools)),
      events_(std::make_shared<Events>()) {}

Result<std::unique_ptr<Answer>> Answer::start(Engine& engine, const Tokenizer& tokenizer, Request request,
                                              const OutputOptions& output, std::optional<ToolTypes> tools) {
  std::unique_ptr<Answer> answer(new Answer(engine, tokenizer, request.stop_ids, output, std::move(tools)));
  answer->events_->fd = Descriptor(::eventfd(0, EFD_NONBLOCK | EFD_CLOEXEC));
  if (!answer->events_->fd.open()) return fail("chat.events", {{"reason", std::strerror(errno)}});
  answer->id_ = engine.submit(std::move(request), [events = answer->events_](Event event) {
    const std::lock_guard guard(events->mutex);
    events->queue.push_back(std::move(event));
    constexpr uint64_t kOne = 1;
    (void)!::write(events->fd.get(), &kOne, sizeof kOne);
  });
  return answer;
}

Answer::~Answer() {
  if (!end_) engine_.cancel(id_);
}

AnswerPiece Answer::take() {
  std::deque<Event> events;
  {
    const std::lock_guard guard(events_->mutex);
    events.swap(events_->queue);
    uint64_t count = 0;
    (void)!::read(events_->fd.get(), &count, sizeof count);
  }
  AnswerPiece piece;
  for (const Event& event : events) {
    if (event.kind == Event::Kind::token)
      take_token(event.token.id, piece);
    else
      finish(event, piece);
  }
  return piece;
}

void Answer::add(std::vector<OutputEvent> events, AnswerPiece& piece) {
  for (OutputEvent& e : events) {
    if (e.kind == OutputEvent::Kind::tool_call)
      piece.calls.push_back(std::move(e.call));
    else
      (e.kind == OutputEvent::Kind::reasoning ? piece.reasoning : piece.text) += e.text;
  }
}

void Answer::take_token(int32_t id, AnswerPiece& piece) {
  if (parser_.output().stopped()) return;  // computed before the engine heard of the stop string
  piece.ids.push_back(id);
  if (std::find(stop_ids_.begin(), stop_ids_.end(), id) != stop_ids_.end()) return;
  add(parser_.push(detokenizer_.push(id)), piece);
  if (parser_.output().stopped()) engine_.cancel(id_);
}

void Answer::finish(const Event& event, AnswerPiece& piece) {
  const bool stopped = parser_.output().stopped();
  if (!stopped) add(parser_.push(detokenizer_.flush()), piece);
  add(parser_.finish(), piece);
  end_ = {stopped ? FinishReason::stop : event.reason, event.error, event.usage, event.timing, event.reuse};
}

}  // namespace qw::chat
