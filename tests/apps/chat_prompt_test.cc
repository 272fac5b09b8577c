#include "apps/chat_prompt.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>

#include "apps/tools/builtin_tools.h"
#include "base/json.h"
#include "base/mmap.h"

namespace qw::apps {
namespace {

std::string object(std::string_view json, const PromptUse& use = {}) {
  const auto out = answer_object(json, "file", use);
  return out ? *out : out.error().code();
}

TEST(ChatPrompt, WhatWinsStandsLast) {
  EXPECT_EQ(object(R"({"messages": []})"), R"({"messages": [],"kwargs":{"add_generation_prompt":true}})");
  EXPECT_EQ(
      object(R"({"kwargs": {"x": 1e5 , "add_generation_prompt":false}, "messages":[{"a":"},"}] , "no": 3})"),
      R"({"messages":[{"a":"},"}] ,"kwargs":{"add_generation_prompt":true,"x": 1e5 , "add_generation_prompt":false}})");
  EXPECT_EQ(object(R"({"tools": null, "kwargs": {}})", {.no_think = true, .kwargs = R"( {"y": 2} )"}),
            R"({"tools": null,"kwargs":{"add_generation_prompt":true,"y": 2,"enable_thinking":false}})");
  EXPECT_EQ(object(R"({})"), R"({"kwargs":{"add_generation_prompt":true}})");
}

TEST(ChatPrompt, SpellingOfNumbersAndKeysIsKept) {
  const std::string out = object(R"({"m\u0065ssages": [1.0, 123456789012345678901234567890, "\"]"]})");
  EXPECT_NE(out.find("[1.0, 123456789012345678901234567890, \"\\\"]\"]"), out.npos) << out;
  EXPECT_NE(out.find("\"messages\":"), out.npos) << out;
}

TEST(ChatPrompt, WhatIsNoObject) {
  EXPECT_EQ(object("[1]"), "prompt.no_object");
  EXPECT_EQ(object("{"), "json.parse");
  EXPECT_EQ(object(R"({"kwargs": 3})"), "prompt.no_object");
  EXPECT_EQ(object("{}", {.no_think = false, .kwargs = "[1]"}), "cli.bad_kwargs");
  EXPECT_EQ(object("{}", {.no_think = false, .kwargs = "{"}), "cli.bad_kwargs");
}

bool takes_tools(const std::string& source) {
  const auto renderer = ChatRenderer::create({{"default", source}}, {});
  return renderer && renders_tool_calls(*renderer, tools::builtin_tools());
}

TEST(ChatPrompt, ToolsNeedATemplateThatWritesCallsInTheKnownForm) {
  EXPECT_FALSE(takes_tools("{% for m in messages %}{{ m.content }}{% endfor %}"));
  EXPECT_FALSE(
      takes_tools("{{ tools }}{% for m in messages %}{{ m.content }}{{ m.tool_calls }}{% endfor %}"));
  EXPECT_FALSE(takes_tools("{% if tools %}{{ raise_exception('no tools') }}{% endif %}x"));
  const char* shared = std::getenv("QW_SHARED");
  const std::string folder =
      (shared != nullptr ? shared : QW_SOURCE_DIR "/../shared") + std::string("/templates/");
  if (!std::filesystem::exists(folder)) GTEST_SKIP() << folder << " is absent";
  for (const char* name :
       {"qwen2.5", "qwen3", "qwen3-nonthinking", "qwen3-next", "qwen3-coder", "qwq-1", "qwq-2", "qwq-3"})
    EXPECT_TRUE(takes_tools(read_file(folder + name + ".jinja").value())) << name;
  for (const char* name : {"llama-3.1", "smollm2", "qwen2", "qwen1.5", "deepseek-r1", "glm-5.1"})
    EXPECT_FALSE(takes_tools(read_file(folder + name + ".jinja").value())) << name;
}

}  // namespace
}  // namespace qw::apps
