// Request: what a client asks of the engine. Event: what it gets: tokens, then exactly one terminal event.
// Token ids only: templates, detokenising, stop strings and tool calls are text/, off the engine's thread.
// Test: tests/engine/engine_test.cc
#pragma once

#include <condition_variable>
#include <deque>
#include <functional>
#include <memory>
#include <mutex>
#include <optional>
#include <vector>

#include "base/result.h"
#include "engine/reuse.h"
#include "engine/sampler.h"
#include "engine/sequence.h"

namespace qw {

using RequestId = SeqId;

struct Request {
  std::vector<int32_t> ids = {};  // the prompt
  SamplingParams sampling = {};
  int max_new_tokens = -1;  // −1: to the end of the context
  // Any of these ends the answer and is its last token. In the prompt they show where turns end: there the
  // states of recurrent layers are kept.
  std::vector<int32_t> stop_ids = {};
  bool ignore_eos = false;  // stop_ids are tokens like others
  PrefixKey key = {};       // tenant (fairness, own prefix cache) and adapter
};

enum class FinishReason : uint8_t { stop, length, cancelled, error };

struct Usage {
  int prompt_tokens = 0;
  int cached_tokens = 0;  // of the prompt, not computed again
  int completion_tokens = 0;
};

// Seconds by a steady clock; 0 where it did not come to that.
struct Timing {
  double queued_s = 0.0;       // from submit to the first step
  double first_token_s = 0.0;  // from submit
  double prefill_s = 0.0;      // from the first step to the first token
  double decode_s = 0.0;       // from the first token to the last
};

struct Event {
  enum class Kind : uint8_t { token, finished };
  Kind kind = Kind::token;
  RequestId request = 0;
  Sampled token;  // kind token
  // kind finished:
  FinishReason reason = FinishReason::stop;
  std::optional<Error> error;  // reason error
  Usage usage;
  Timing timing;
  Reuse reuse;  // what the first admission found in the prefix cache
};

// Called on the engine's thread, in order; must not block, nor throw, nor destroy the engine.
using EventSink = std::function<void(Event)>;

// A sink that another thread reads.
class EventQueue {
 public:
  void push(Event event);
  // Waits for the next event.
  Event pop();
  std::optional<Event> try_pop();

 private:
  std::mutex mutex_;
  std::condition_variable ready_;
  std::deque<Event> events_;
};

inline EventSink sink_to(std::shared_ptr<EventQueue> queue) {
  return [queue = std::move(queue)](Event event) { queue->push(std::move(event)); };
}

}  // namespace qw
