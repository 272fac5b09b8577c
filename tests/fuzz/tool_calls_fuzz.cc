// What a model writes, any bytes: parsed whole and cut in pieces (whose lengths are taken from the input's
// first bytes), the events are the same, and nothing but newlines is lost.
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
  std::string all;     // without newlines
};

void add(Seen& seen, const std::vector<qw::OutputEvent>& events, Kind& last) {
  for (const qw::OutputEvent& e : events) {
    const bool joins = e.kind == last && (e.kind == Kind::text || e.kind == Kind::reasoning);
    if (!joins) seen.events += "\n" + std::to_string(static_cast<int>(e.kind)) + ":";
    last = e.kind;
    seen.events += e.text + e.call.name + e.call.arguments + e.call.raw;
    for (const char c : e.kind == Kind::tool_call ? e.call.raw : e.text)
      if (c != '\n') seen.all += c;
  }
}

Seen parse(std::string_view text, std::string_view cuts) {
  qw::OutputEventParser parser({.reasoning = false}, qw::ToolTypes(kTools));
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

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view input(reinterpret_cast<const char*>(data), size);
  const std::string_view cuts = input.substr(0, std::min<size_t>(size, 8)), text = input.substr(cuts.size());
  const Seen whole = parse(text, {}), cut = parse(text, cuts);
  QW_CHECK(whole.events == cut.events, "a cut changes the events");
  std::string expected;
  for (const char c : text)
    if (c != '\n') expected += c;
  QW_CHECK(whole.all == expected, "something is lost");
  return 0;
}
