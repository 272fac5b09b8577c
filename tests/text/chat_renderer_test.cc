// Messages → prompt: variables, who wins, choice of the template; and the clock.
#include "text/chat_renderer.h"

#include <gtest/gtest.h>

namespace qw {
namespace {

constexpr std::string_view kShow =
    "{% for m in messages %}[{{ m.role }}:{{ m.content }}{{ m.reasoning_content }}{{ m.tool_calls | tojson "
    "if m.tool_calls }}]"
    "{% endfor %}{{ tools | tojson }}{{ documents }}{{ bos_token }}{{ add_generation_prompt }}{{ extra }}";

ChatRenderer renderer(std::vector<ChatTemplateSource> templates) {
  return *ChatRenderer::create(templates, {{"bos_token", "<s>"}, {"eos_token", "</s>"}});
}

TEST(ChatRenderer, GivesTheVariablesOfTheContract) {
  const ChatRenderer r = renderer({{"default", std::string(kShow)}});
  EXPECT_EQ(r.render_json(R"({"messages":[{"role":"user","content":"hi"}]})", {})->text,
            "[user:hi]nullNone<s>False");
  EXPECT_EQ(r.render_json(R"({"messages":[],"tools":[{"b":1.0,"a":2}],"kwargs":{"extra":1e5,"bos_token":"B",
                              "add_generation_prompt":true,"documents":[1]}})",
                          {})
                ->text,
            R"([{"b": 1.0, "a": 2}][1]BTrue100000.0)");
  EXPECT_EQ(r.render_json(R"({"messages":[],"tools":null,"kwargs":null})", {})->text, "nullNone<s>False");
}

TEST(ChatRenderer, RefusesWhatIsNoCase) {
  const ChatRenderer r = renderer({{"default", std::string(kShow)}});
  for (const char* bad :
       {"[]", "{}", R"({"messages":{}})", R"({"messages":[],"tools":{}})", R"({"messages":[],"kwargs":[]})"})
    EXPECT_EQ(r.render_json(bad, {}).error().code(), "template.input") << bad;
  EXPECT_EQ(r.render_json("{", {}).error().code(), "json.parse");
  EXPECT_EQ(ChatRenderer::create({}, {}).error().code(), "template.missing");
  EXPECT_EQ(ChatRenderer::create({{"default", "{% if %}"}}, {}).error().code(), "template.syntax");
}

TEST(ChatRenderer, TakesTypedMessages) {
  const ChatRenderer r = renderer({{"default", std::string(kShow)}});
  ChatRequest request;
  request.messages = {
      {.role = "user",
       .content = "a\xFF"
                  "b"},
      {.role = "assistant", .content = "", .reasoning_content = "why", .tool_calls = R"([{"x":1}])"}};
  EXPECT_EQ(r.render(request)->text, "[user:a\uFFFDb][assistant:why[{\"x\": 1}]]nullNone<s>True");
  request.tools = "[1]";
  request.kwargs = R"({"add_generation_prompt":false,"extra":"!"})";
  EXPECT_EQ(r.render(request)->text, "[user:a\uFFFDb][assistant:why[{\"x\": 1}]][1]None<s>False!");
  request.messages[1].tool_calls = "{}";
  EXPECT_EQ(r.render(request).error().code(), "template.input");
}

TEST(ChatRenderer, ChoosesTheTemplateForTools) {
  const ChatRenderer r = renderer({{"default", "plain"}, {"tool_use", "tools"}, {"rag", "{% if %}"}});
  EXPECT_EQ(r.render_json(R"({"messages":[]})", {})->text, "plain");
  EXPECT_EQ(r.render_json(R"({"messages":[],"tools":[1]})", {})->text, "tools");
  EXPECT_EQ(renderer({{"rag", "only"}}).render_json(R"({"messages":[]})", {})->text, "only");
}

TEST(ChatRenderer, TellsWhereTheAssistantSpoke) {
  const ChatRenderer r = renderer(
      {{"default",
        "{% for m in messages %}é<{% generation %}{{ m.content }}{% endgeneration %}>{% endfor %}"}});
  const Rendered out = *r.render_json(R"({"messages":[{"content":"ä"},{"content":"bc"}]})", {});
  ASSERT_EQ(out.generation.size(), 2u);
  EXPECT_EQ(out.text.substr(out.generation[0].first, out.generation[0].second - out.generation[0].first),
            "ä");
  EXPECT_EQ(out.text.substr(out.generation[1].first, out.generation[1].second - out.generation[1].first),
            "bc");
}

TEST(LocalTime, ReadsItsForms) {
  for (const char* good : {"2026-01-02T03:04:05", "2026-01-02 03:04:05", "2026-01-02T03:04:05.000"})
    EXPECT_EQ(LocalTime::parse(good)->format("%F %T %f"), "2026-01-02 03:04:05 000000") << good;
  EXPECT_EQ(LocalTime::parse("2024-02-29")->format("%A %j %d %b %Y %H"), "Thursday 060 29 Feb 2024 00");
  EXPECT_EQ(LocalTime::parse("2026-11-22T23:59")->format("%-d %B %I:%M %p %a%Z%z %%"),
            "22 November 11:59 PM Sun %");
  for (const char* bad : {"", "2026", "2026-13-01", "2025-02-29", "2026-01-02T", "2026-01-02T24:00",
                          "2026-01-02T03:04:05Z", "2026-01-02T03:04:60", "x"})
    EXPECT_EQ(LocalTime::parse(bad).error().code(), "template.time") << bad;
}

TEST(LocalTime, IsWhatTemplatesSee) {
  const ChatRenderer r = renderer({{"default", "{{ strftime_now('%d %b %Y') }}"}});
  EXPECT_EQ(r.render_json(R"({"messages":[]})", *LocalTime::parse("2026-01-02T03:04:05"))->text,
            "02 Jan 2026");
}

}  // namespace
}  // namespace qw
