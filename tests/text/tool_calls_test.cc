#include "text/tool_calls.h"

#include <gtest/gtest.h>

#include <random>

#include "base/json.h"

namespace qw {
namespace {

using Kind = OutputEvent::Kind;

constexpr std::string_view kTools =
    R"([{"type": "function", "function": {"name": "write", "parameters": {"type": "object", "properties": {
      "text": {"type": "string"}, "n": {"type": "integer"}, "x": {"type": "number"}, "on": {"type": "boolean"},
      "list": {"type": "array"}, "any": {"anyOf": [{"type": "string"}, {"type": "null"}]}}}}}])";

// Events as lines: "text: …", "call: name arguments".
std::string described(const std::vector<OutputEvent>& events) {
  std::string out;
  for (const OutputEvent& e : events) {
    if (e.kind == Kind::tool_call) {
      out += "call:" + e.call.name + e.call.arguments + "|" + e.call.raw + "\n";
    } else {
      const char* kind = e.kind == Kind::reasoning ? "reasoning"
                         : e.kind == Kind::text    ? "text"
                                                   : "malformed";
      out += std::string(kind) + ":" + e.text + "\n";
    }
  }
  return out;
}

// Neighbouring texts are one; what arrives in several pushes is not joined by the parser.
void join(std::vector<OutputEvent>& to, const std::vector<OutputEvent>& more) {
  for (const OutputEvent& e : more) {
    const bool joins =
        !to.empty() && to.back().kind == e.kind && (e.kind == Kind::text || e.kind == Kind::reasoning);
    if (joins)
      to.back().text += e.text;
    else
      to.push_back(e);
  }
}

std::vector<OutputEvent> parse(std::string_view text, size_t piece, std::mt19937* rng = nullptr,
                               const OutputOptions& options = {}) {
  OutputEventParser parser(options, ToolTypes(kTools));
  std::vector<OutputEvent> out;
  while (!text.empty()) {
    const size_t n = std::min(text.size(), rng != nullptr ? (*rng)() % 9 : piece);
    join(out, parser.push(text.substr(0, n)));
    text.remove_prefix(n);
  }
  join(out, parser.finish());
  return out;
}

void expect(std::string_view text, const std::string& expected) {
  for (const size_t piece : {size_t{1}, size_t{3}, size_t{1000}})
    EXPECT_EQ(described(parse(text, piece)), expected) << text << " in pieces of " << piece;
}

TEST(ToolCalls, OneCall) {
  const std::string call =
      "<tool_call>\n{\"name\": \"add\", \"arguments\": {\"a\": 1.0, \"b\": [1, {}]}}\n</tool_call>";
  expect(call, "call:add{\"a\": 1.0, \"b\": [1, {}]}|" + call + "\n");
  expect("Let me see.\n" + call, "text:Let me see.\ncall:add{\"a\": 1.0, \"b\": [1, {}]}|" + call + "\n");
  expect("\n\n" + call + "\n", "call:add{\"a\": 1.0, \"b\": [1, {}]}|" + call + "\n");
  expect("<think>\nhm <tool_call>\n</think>\n\n" + call,
         "reasoning:hm <tool_call>\ncall:add{\"a\": 1.0, \"b\": [1, {}]}|" + call + "\n");
}

TEST(ToolCalls, SeveralCallsAndTextBetween) {
  const std::string a = "<tool_call>{\"name\":\"a\"}</tool_call>",
                    b = "<tool_call>{\"name\":\"b\"}</tool_call>";
  expect(a + "\n" + b, "call:a{}|" + a + "\ncall:b{}|" + b + "\n");
  expect(a + b, "call:a{}|" + a + "\ncall:b{}|" + b + "\n");
  expect("x\n\n\n" + a + "\n\ny\n" + b + "z\n",
         "text:x\ncall:a{}|" + a + "\ntext:y\ncall:b{}|" + b + "\ntext:z\n\n");
}

TEST(ToolCalls, TextThatIsNoCallStays) {
  expect("a <tool_cal", "text:a <tool_cal\n");
  expect("a\n\n", "text:a\n\n\n");
  expect("</tool_call> b", "text:</tool_call> b\n");
  expect("<tool_calls> <<tool_call", "text:<tool_calls> <<tool_call\n");
}

TEST(ToolCalls, MalformedCallsAreKept) {
  for (const char* body : {"", "nothing", "[]", "{\"name\": 1}", "{\"name\": \"\"}", "{}", "{\"name\": \"a\"",
                           "{\"name\": \"a\", \"arguments\": 3}", "{\"name\": \"a\", \"arguments\": \"x\"}",
                           "{\"name\": \"a\", \"arguments\": null}", "<tool_call>{\"name\":\"a\"}"}) {
    const std::string raw = std::string("<tool_call>\n") + body + "\n</tool_call>";
    expect("a\n" + raw + "\nb", "text:a\n\nmalformed:" + raw + "\ntext:\nb\n");
  }
  expect("<tool_call>\n{\"name\": \"a", "malformed:<tool_call>\n{\"name\": \"a\n");
  expect("<tool_call>\n{\"na</tool_c", "malformed:<tool_call>\n{\"na</tool_c\n");
}

TEST(ToolCalls, AnEndWithoutTheTagCountsWhereTheJsonIsWhole) {
  const std::string body = "<tool_call>\n{\"name\": \"a\", \"arguments\": {\"x\": \"y\"}}";
  expect(body, "call:a{\"x\": \"y\"}|" + body + "\n");
  expect(body + "\n</tool_", "call:a{\"x\": \"y\"}|" + body + "\n</tool_\n");
}

TEST(ToolCalls, TheClosingTagInsideAStringIsText) {
  const std::string call =
      R"(<tool_call>{"name": "a", "arguments": {"x": "\"</tool_call>\\", "y": "<"}}</tool_call>)";
  expect(call, R"(call:a{"x": "\"</tool_call>\\", "y": "<"}|)" + call + "\n");
  // A string does not go over a newline: a quote too many does not swallow what follows.
  const std::string bad = "<tool_call>\n{\"name\": \"a\"\"}\n</tool_call>",
                    good = "<tool_call>{\"name\":\"b\"}</tool_call>";
  expect(bad + "\n" + good, "malformed:" + bad + "\ncall:b{}|" + good + "\n");
}

TEST(ToolCalls, ArgumentsAreSpelledAsTheModelDid) {
  const auto arguments = [](const std::string& body) {
    const auto call = parse_json_call(body);
    return call ? call->arguments : "none";
  };
  EXPECT_EQ(arguments(R"({"arguments":{"n":12345678901234567890123,"e":1e5},"name":"a"})"),
            R"({"n":12345678901234567890123,"e":1e5})");
  EXPECT_EQ(arguments(R"({"name":"a","arguments":{"x":1},"arguments" : {"x":2} })"), R"({"x":2})");
  EXPECT_EQ(arguments(R"({"name":"a","arguments":" {\"x\": 1}"})"), R"({"x": 1})");
  EXPECT_EQ(arguments(R"( {"a,:{\"}":1,"name":"a","argument\u0073":{"x":"}"}} )"), R"({"x":"}"})");
}

std::string tagged(const std::string& parameters, const std::string& name = "write") {
  return "<tool_call>\n<function=" + name + ">\n" + parameters + "</function>\n</tool_call>";
}

std::string parameter(const std::string& key, const std::string& value) {
  return "<parameter=" + key + ">\n" + value + "\n</parameter>\n";
}

TEST(ToolCalls, TheTaggedForm) {
  const std::string call = tagged(parameter("text", "  a\n\"b\"\n") + parameter("n", "5"));
  expect(call, R"(call:write{"text": "  a\n\"b\"\n", "n": 5}|)" + call + "\n");
  const std::string none = tagged(""), inline_ = tagged("<parameter=text>x</parameter>");
  expect("Look.\n\n" + none + "\n" + inline_ + "\nDone",
         "text:Look.\ncall:write{}|" + none + "\ncall:write{\"text\": \"x\"}|" + inline_ + "\ntext:Done\n");
}

TEST(ToolCalls, TheSchemaSaysWhatATaggedValueIs) {
  const auto value = [](const std::string& key, const std::string& text, const std::string& name = "write") {
    const auto events = parse(tagged(parameter(key, text), name), 1000);
    return events.size() == 1 ? parse_json(events[0].call.arguments, "").value()[key].dump() : "none";
  };
  EXPECT_EQ(value("text", "5"), "\"5\"");
  EXPECT_EQ(value("text", "null"), "\"null\"");
  EXPECT_EQ(value("n", " 5 "), "5");
  EXPECT_EQ(value("n", "5.5"), "\"5.5\"");
  EXPECT_EQ(value("x", "5"), "5");
  EXPECT_EQ(value("x", "1e400"), "\"1e400\"");
  EXPECT_EQ(value("on", "True"), "true");
  EXPECT_EQ(value("list", "[1, {\"a\": 2}]"), "[1,{\"a\":2}]");
  EXPECT_EQ(value("list", "{}"), "\"{}\"");
  EXPECT_EQ(value("any", "None"), "null");
  EXPECT_EQ(value("any", "7"), "\"7\"");
  EXPECT_EQ(value("unknown", "7"), "\"7\"");
  EXPECT_EQ(value("n", "7", "other"), "\"7\"");
}

TEST(ToolCalls, TagsInsideATaggedValueAreText) {
  for (const std::string inside :
       {"</tool_call>", "</parameter>", "a</parameter>\nb", "<parameter=n>", "</function>", "<tool_call>",
        "\"", "{\"name\": \"x\"}", "</function>\n</tool_call>", "</paramete", "<"}) {
    const std::string call = tagged(parameter("text", inside) + parameter("n", "1"));
    const Json arguments{{"text", inside}, {"n", 1}};
    const auto events = parse(call, 2);
    ASSERT_EQ(events.size(), 1U) << inside;
    EXPECT_EQ(parse_json(events[0].call.arguments, "").value(), arguments) << inside;
  }
}

TEST(ToolCalls, TaggedCallsThatAreNotWhole) {
  const std::string unclosed = "<tool_call>\n<function=write>\n" + parameter("n", "1") + "</tool_call>";
  expect(unclosed,
         "call:write{\"n\": 1}|" + unclosed + "\n");  // </function> is forgiven where the call is closed
  for (const std::string& text : {std::string("<tool_call>\n<function=write>\n") + parameter("n", "1"),
                                  std::string("<tool_call>\n<function=write>\n<parameter=text>\nabc"),
                                  std::string("<tool_call>\n<functi"),
                                  std::string("<tool_call>\n<function=>\n</function>\n</tool_call>"),
                                  std::string("<tool_call>\n<function=a>\nwords</function>\n</tool_call>"),
                                  std::string("<tool_call>\n<function=a\n></function>\n</tool_call>")})
    expect(text, "malformed:" + text + "\n");
  const std::string whole = "<tool_call>\n<function=write>\n</function>";
  expect(whole, "call:write{}|" + whole + "\n");
  expect(whole + "\n</tool_c", "call:write{}|" + whole + "\n</tool_c\n");
}

TEST(ToolCalls, WithoutThemCallsAreText) {
  OutputEventParser parser({}, std::nullopt);
  const auto events = parser.push("<think>a</think>b<tool_call>{\"name\":\"a\"}</tool_call>");
  EXPECT_EQ(described(events), "reasoning:a\ntext:b<tool_call>{\"name\":\"a\"}</tool_call>\n");
}

std::string without_newlines(std::string s) {
  std::erase(s, '\n');
  return s;
}

// A random stream of the pieces that matter, of which some begin with a reasoning block.
std::string random_stream(std::mt19937& rng) {
  const std::string kWhole =
      "\n<tool_call>\n{\"name\": \"h\", \"arguments\": {\"x\": \"</tool_call>\"}}\n</tool_call>";
  const std::string pool[] = {"<tool_call>",
                              "</tool_call>",
                              "{\"name\": \"f\"",
                              ", \"arguments\": {\"a\": 1}",
                              "}",
                              "\"",
                              "\\",
                              "\n",
                              "<function=write>",
                              "</function>",
                              "<parameter=n>",
                              "</parameter>",
                              "<",
                              "a",
                              "tool_call>",
                              "</",
                              "{\"name\":\"g\"}",
                              "<think>",
                              "</think>",
                              "think>",
                              "stop",
                              "st",
                              "\u00E9",
                              " "};
  const std::string begins[] = {
      "x", "", "\n ", "<think>", "<think>\nhm <tool_call>\n</think>\n\n", "a\n</think>\n"};
  std::string text = begins[rng() % std::size(begins)];
  for (size_t n = rng() % 16; n > 0; --n) {
    text += pool[rng() % std::size(pool)];
    if (rng() % 8 == 0) text += kWhole;
  }
  return text;
}

OutputOptions random_options(std::mt19937& rng) {
  OutputOptions options{.reasoning = rng() % 5 != 0, .starts_in_reasoning = rng() % 4 == 0};
  for (const char* stop : {"stop", "\"}", "</tool_call>a", "\n<tool", "\n\n", "</think>"})
    if (rng() % 8 == 0) options.stop.emplace_back(stop);
  return options;
}

// Any cut gives the same events; reasoning and answer are those of an OutputParser alone, of whose answer
// nothing is lost but newlines; and no text holds an opening tag.
TEST(ToolCalls, AnySplitGivesTheSame) {
  std::mt19937 rng(31);
  int calls = 0, malformed = 0, behind_reasoning = 0, before_stop = 0;
  for (int i = 0; i < 30000; ++i) {
    const std::string text = random_stream(rng);
    const OutputOptions options = random_options(rng);
    const auto whole = parse(text, text.size() + 1, nullptr, options);
    const std::string expected = described(whole);
    ASSERT_EQ(described(parse(text, 1, nullptr, options)), expected) << text;
    for (int cut = 0; cut < 3; ++cut) ASSERT_EQ(described(parse(text, 0, &rng, options)), expected) << text;
    OutputParser alone(options);
    const OutputDelta said = alone.push(text);
    const OutputDelta last = alone.finish();
    std::string reasoning, answer;
    int own = 0;
    for (const OutputEvent& e : whole) {
      (e.kind == Kind::reasoning ? reasoning : answer) += e.kind == Kind::tool_call ? e.call.raw : e.text;
      own += e.kind == Kind::tool_call ? 1 : 0;
      malformed += e.kind == Kind::malformed_call ? 1 : 0;
      ASSERT_TRUE(e.kind != Kind::text || e.text.find("<tool_call>") == e.text.npos) << text;
    }
    ASSERT_EQ(reasoning, said.reasoning + last.reasoning) << text;
    ASSERT_EQ(without_newlines(answer), without_newlines(said.text + last.text)) << text;
    calls += own;
    behind_reasoning += own > 0 && !reasoning.empty() ? 1 : 0;
    before_stop += own > 0 && alone.stopped() ? 1 : 0;
  }
  EXPECT_GT(calls, 1000);
  EXPECT_GT(malformed, 1000);
  EXPECT_GT(behind_reasoning, 300);
  EXPECT_GT(before_stop, 50);
}

TEST(ToolCalls, AStopStringEndsACallThatIsOpen) {
  const std::string call = "<tool_call>\n{\"name\": \"a\"}\n</tool_call>";
  const auto seen = [&](const std::string& text, const std::string& stop) {
    const auto events = parse(text, 1, nullptr, {.stop = {stop}});
    EXPECT_EQ(described(events), described(parse(text, 1000, nullptr, {.stop = {stop}})));
    return described(events);
  };
  EXPECT_EQ(seen("<think>\nstop\n</think>\n\n" + call + "\nb stop c", "stop"),
            "reasoning:stop\ncall:a{}|" + call + "\ntext:b \n");
  EXPECT_EQ(seen("x\n<tool_call>\n{\"name\": \"stop\"}\n</tool_call>", "stop"),
            "text:x\n\nmalformed:<tool_call>\n{\"name\": \"\n");
  EXPECT_EQ(seen("x" + call + "y", "\n</tool_call>"), "text:x\ncall:a{}|<tool_call>\n{\"name\": \"a\"}\n");
}

}  // namespace
}  // namespace qw
