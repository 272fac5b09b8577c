// One answer while it is generated: the engine's events as text and reasoning, and a descriptor to poll
// beside the terminal. Test: tests/e2e/chat_test.cc
#pragma once

#include <deque>
#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <vector>

#include "apps/chat/files.h"
#include "engine/engine.h"
#include "text/detokenizer.h"
#include "text/tokenizer.h"
#include "text/tool_calls.h"

namespace qw::chat {

// What became certain since the last look.
struct AnswerPiece {
  std::vector<int32_t> ids;
  std::string text;
  std::string reasoning;
  std::vector<ToolCall> calls;

  bool empty() const { return ids.empty() && text.empty() && reasoning.empty() && calls.empty(); }
};

struct AnswerEnd {
  FinishReason reason = FinishReason::stop;
  std::optional<Error> error;
  Usage usage;
  Timing timing;
  Reuse reuse;
};

class Answer {
 public:
  // `engine` and its model outlive the answer. Without `tools` calls are text. Errors: chat.events (args
  // reason).
  static Result<std::unique_ptr<Answer>> start(Engine& engine, const Tokenizer& tokenizer, Request request,
                                               const OutputOptions& output, std::optional<ToolTypes> tools);
  ~Answer();  // cancels what still runs
  Answer(const Answer&) = delete;
  Answer& operator=(const Answer&) = delete;

  // Readable when take() has something new.
  int fd() const { return events_->fd.get(); }
  AnswerPiece take();
  void cancel() { engine_.cancel(id_); }
  // Set by the take() that met the end.
  const std::optional<AnswerEnd>& end() const { return end_; }

 private:
  // Shared with the engine's thread, which may outlive the answer.
  struct Events {
    Descriptor fd;
    std::mutex mutex;
    std::deque<Event> queue;  // guarded by mutex
  };

  Answer(Engine& engine, const Tokenizer& tokenizer, std::vector<int32_t> stop_ids,
         const OutputOptions& output, std::optional<ToolTypes> tools);
  static void add(std::vector<OutputEvent> events, AnswerPiece& piece);
  void take_token(int32_t id, AnswerPiece& piece);
  void finish(const Event& event, AnswerPiece& piece);

  Engine& engine_;
  RequestId id_ = 0;
  std::vector<int32_t> stop_ids_;
  Detokenizer detokenizer_;
  OutputEventParser parser_;
  std::shared_ptr<Events> events_;
  std::optional<AnswerEnd> end_;
};

}  // namespace qw::chat
