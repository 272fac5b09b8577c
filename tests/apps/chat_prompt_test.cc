#include "apps/chat_prompt.h"

#include <gtest/gtest.h>

#include "base/json.h"

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

}  // namespace
}  // namespace qw::apps
