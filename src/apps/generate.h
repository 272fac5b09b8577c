// One answer of the engine: tokens become text and reasoning as they arrive, stop strings end it, ctrl-C ends
// it early. Test: tests/e2e/run_test.cc
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "apps/interrupts.h"
#include "engine/engine.h"
#include "text/output_parser.h"
#include "text/tokenizer.h"

namespace qw::apps {

struct AnswerOptions {
  bool raw = false;  // everything but the stop id is text: special tokens, tags and stop strings too
  bool starts_in_reasoning = false;
  std::vector<std::string> stops;  // strings that end the answer
};

struct Answer {
  std::vector<Sampled> tokens;  // all that were generated, the stop id included
  std::string text;
  std::optional<std::string> reasoning;
  FinishReason reason = FinishReason::stop;  // stop, length, or cancelled by ctrl-C
  Usage usage;
  Timing timing;

  std::vector<int32_t> ids() const;
};

// Called with what became certain; an error ends the answer and is handed on.
using ShowDelta = std::function<Status(const OutputDelta&)>;

// Errors: those of the engine and of `show`. `tokenizer` may be null: then there is no text.
Result<Answer> generate(Engine& engine, Interrupts& interrupts, const Tokenizer* tokenizer, Request request,
                        const AnswerOptions& options, const ShowDelta& show);

}  // namespace qw::apps
