// The --jsonl form of a command: one JSON object a line in, one a line out, in order. A line that cannot be
// answered gives {"error": sentence, "code": code} and the rest goes on. Test: tests/e2e (tokenize, render)
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "apps/console.h"
#include "base/json.h"

namespace qw::apps {

using NextLine = std::function<Result<std::optional<std::string>>()>;

// The error of one line, in the language of the console; codes are never translated.
Json error_json(const Console& console, const Error& error);

// Errors: those of `next` and of writing; those of `answer` become lines.
Status answer_jsonl(Console& console, const NextLine& next,
                    const std::function<Result<Json>(const std::string& line)>& answer);

}  // namespace qw::apps
