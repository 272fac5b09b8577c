#include <gtest/gtest.h>

#include "apps/eval/judge.h"

namespace qw::eval {
namespace {

TEST(EvalJudge, NormalForm) {
  EXPECT_EQ(normal_form("  a \n\t b\u00A0\u3000c  ", false), "a b c");
  EXPECT_EQ(normal_form("Cafe\u0301", false), "Caf\u00E9");
  EXPECT_EQ(normal_form("STRASSE \u00C4", true), normal_form("stra\u00DFe \u00E4", true));
  EXPECT_EQ(normal_form(" \n", false), "");
}

bool exact(const std::string& text, const std::string& answer, Match match, bool ignore_case = false) {
  const Item item{
      .kind = Kind::exact, .answers = {"zzz", answer}, .match = match, .ignore_case = ignore_case};
  return passes(item, {.text = text});
}

TEST(EvalJudge, Exact) {
  EXPECT_TRUE(exact(" Paris\n", "Paris", Match::equal));
  EXPECT_FALSE(exact("Paris.", "Paris", Match::equal));
  EXPECT_FALSE(exact("paris", "Paris", Match::equal));
  EXPECT_TRUE(exact("paris", "Paris", Match::equal, true));
  EXPECT_TRUE(exact("It is Paris.", "Paris", Match::contains));
  EXPECT_FALSE(exact("It is Rome.", "Paris", Match::contains));
  EXPECT_TRUE(exact("Paris is it", "Paris", Match::prefix));
  EXPECT_FALSE(exact("It is Paris", "Paris", Match::prefix));
}

bool calls(const std::string& wanted, const std::vector<ToolCall>& got, bool malformed = false) {
  const Item item{.kind = Kind::tool_call, .calls = Json::parse(wanted)};
  return passes(item, {.text = "", .calls = got, .malformed = malformed});
}

TEST(EvalJudge, ToolCalls) {
  const std::string one = R"([{"name":"f","arguments":{"a":1,"b":["x"]}}])";
  EXPECT_TRUE(calls(one, {{"f", R"({"b": ["x"], "a": 1.0})", ""}}));
  EXPECT_FALSE(calls(one, {{"f", R"({"b": ["x"], "a": 2})", ""}}));
  EXPECT_FALSE(calls(one, {{"f", R"({"b": ["x"], "a": "1"})", ""}}));
  EXPECT_FALSE(calls(one, {{"g", R"({"b": ["x"], "a": 1})", ""}}));
  EXPECT_FALSE(calls(one, {}));
  EXPECT_FALSE(calls(one, {{"f", R"({"b": ["x"], "a": 1})", ""}}, true));
  const ToolCall f{"f", "{}", ""}, g{"g", "{}", ""};
  const std::string two = R"([{"name":"f","arguments":{}},{"name":"g","arguments":{}}])";
  EXPECT_TRUE(calls(two, {f, g}));
  EXPECT_FALSE(calls(two, {g, f}));
  EXPECT_FALSE(calls(two, {f}));
  EXPECT_TRUE(calls("[]", {}));
  EXPECT_FALSE(calls("[]", {f}));
}

TEST(EvalJudge, Refusals) {
  Item item{.kind = Kind::refusal, .refuse = true, .refusal_phrases = {"I don't know", "no idea"}};
  EXPECT_TRUE(passes(item, {.text = "Sorry, I  don't\nknow that."}));
  EXPECT_FALSE(passes(item, {.text = "It is Paris."}));
  item.refuse = false;
  EXPECT_FALSE(passes(item, {.text = "I have no idea."}));
  EXPECT_TRUE(passes(item, {.text = "It is Paris."}));
}

}  // namespace
}  // namespace qw::eval
