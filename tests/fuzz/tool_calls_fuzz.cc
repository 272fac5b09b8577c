// What a model writes, any bytes: parsed whole and cut in pieces (whose lengths, like the options, are taken
// from the input's first bytes), the events are the same; reasoning and answer are those of an OutputParser
// alone, of whose answer nothing but newlines is lost.
#include <algorithm>
#include <cstddef>
#include <cstdint>
#include <string>
#include <string_view>

#include "base/check.h"
#include "text/tool_calls.h"

namespace {

using Kind = qw::OutputEvent::Kind;

constexpr std::string_view kTools =
    R"([{"name": "f", "parameters": {"properties": {"n": {"type": "integer"}, "o": {"type": ["object", "null"]}}}}])";

struct Seen {
  std::string events;  // with kinds, texts joined
  std::string reasoning;
  std::string answer;  // without newlines
};

void add_without_newlines(std::string& to, std::string_view text) {
  for (const char c : text)
    if (c != '\n') to += c;
}

void add(Seen& seen, const std::vector<qw::OutputEvent>& events, Kind& last) {
  for (const qw::OutputEvent& e : events) {
    const bool joins = e.kind == last && (e.kind == Kind::text || e.kind == Kind::reasoning);
    if (!joins) seen.events += "\n" + std::to_string(static_cast<int>(e.kind)) + ":";
    last = e.kind;
    seen.events += e.text + e.call.name + e.call.arguments + e.call.raw;
    if (e.kind == Kind::reasoning)
      seen.reasoning += e.text;
    else
      add_without_newlines(seen.answer, e.kind == Kind::tool_call ? e.call.raw : e.text);
  }
}

Seen parse(std::string_view text, std::string_view cuts, const qw::OutputOptions& options) {
  qw::OutputEventParser parser(options, qw::ToolTypes(kTools));
  Seen seen;
  Kind last = Kind::tool_call;
  for (size_t i = 0; !text.empty(); ++i) {
    const size_t n = cuts.empty() ? text.size() : static_cast<size_t>(cuts[i % cuts.size()] & 15) + 1;
    add(seen, parser.push(text.substr(0, n)), last);
    text.remove_prefix(std::min(n, text.size()));
  }
  add(seen, parser.finish(), last);
  return seen;
}

// By the bits of the first byte that no length takes.
qw::OutputOptions options_of(std::string_view cuts) {
  const int bits = cuts.empty() ? 0 : cuts[0];
  qw::OutputOptions out{.reasoning = (bits & 16) != 0, .starts_in_reasoning = (bits & 32) != 0};
  if ((bits & 64) != 0) out.stop = {"stop", "\"}", "\n<tool"};
  return out;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view cuts = input.substr(0, std::min<size_t>(size, 8)), text = input.substr(cuts.size());
  const qw::OutputOptions options = options_of(cuts);
  const Seen whole = parse(text, {}, options), cut = parse(text, cuts, options);
  QW_CHECK(whole.events == cut.events, "a cut changes the events");
  qw::OutputParser alone(options);
  const qw::OutputDelta said = alone.push(text), last = alone.finish();
  QW_CHECK(whole.reasoning == said.reasoning + last.reasoning, "the reasoning is another");
  std::string expected;
  add_without_newlines(expected, said.text + last.text);
  QW_CHECK(whole.answer == expected, "something is lost");
  return 0;
}
