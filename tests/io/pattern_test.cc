// io/pattern: the expressions of checkpoints, against what Python's re.match says of the same.
#include "io/hf/pattern.h"

#include <gtest/gtest.h>

#include <string>

namespace qw {
namespace {

bool matches(std::string_view pattern, std::string_view text) {
  const Result<Pattern> p = Pattern::parse(pattern);
  EXPECT_TRUE(p) << pattern;
  return p && p->matches_start(text);
}

TEST(Pattern, MatchesFromTheBeginningNotToTheEnd) {
  EXPECT_TRUE(matches("model", "model.layers"));
  EXPECT_FALSE(matches("layers", "model.layers"));
  EXPECT_TRUE(matches(".*layers", "model.layers.0"));
  EXPECT_FALSE(matches(".*layers$", "model.layers.0"));
  EXPECT_TRUE(matches("", "x"));
  EXPECT_TRUE(matches("^a$", "a"));
  EXPECT_FALSE(matches("a^", "aa"));
  EXPECT_TRUE(matches("^^a|b", "b"));
}

TEST(Pattern, ExpressionsOfRealConfigs) {
  constexpr std::string_view kMlp = R"(.*\.mlp\.(gate|up)_proj$)";
  EXPECT_TRUE(matches(kMlp, "model.layers.11.mlp.gate_proj"));
  EXPECT_FALSE(matches(kMlp, "model.layers.11.mlp.down_proj"));
  EXPECT_FALSE(matches(kMlp, "model.layers.11.mlp.gate_proj.0"));
  EXPECT_FALSE(matches(kMlp, "model.layers.11.mlpXgate_proj"));
  constexpr std::string_view kLayers = R"(model\.layers\.([0-9]|1[0-5])\..*)";
  EXPECT_TRUE(matches(kLayers, "model.layers.15.mlp"));
  EXPECT_FALSE(matches(kLayers, "model.layers.16.mlp"));
  EXPECT_TRUE(matches(R"(.*self_attn\.(?:q|k|v)_proj)", "model.layers.3.self_attn.k_proj"));
  EXPECT_TRUE(matches(R"(.*mlp\.gate$)", "a.mlp.gate"));
  EXPECT_TRUE(matches(R"(.*lm_head)", "lm_head"));
}

TEST(Pattern, ClassesAndRepetitions) {
  EXPECT_TRUE(matches(R"(\d+\w?\.x)", "12a.x"));
  EXPECT_FALSE(matches(R"(\D+$)", "ab1"));
  EXPECT_TRUE(matches("[^.]+$", "abc"));
  EXPECT_FALSE(matches("[^.]+$", "a.c"));
  EXPECT_TRUE(matches("[]a]+$", "]a]"));
  EXPECT_TRUE(matches(R"([\w.-]+$)", "a-b.c"));
  EXPECT_TRUE(matches("(ab|c)*?d", "abcabd"));
  EXPECT_TRUE(matches("a+b", "aab"));
  EXPECT_FALSE(matches("a+b", "b"));
  EXPECT_TRUE(matches("(a|)b", "b"));
}

TEST(Pattern, TakesTimeInProportionWhateverThePattern) {
  std::string text(4000, 'a');
  EXPECT_FALSE(matches("(a*)*(a*)*(a|a?)*b", text));
}

TEST(Pattern, RefusesWhatItDoesNotKnow) {
  for (const std::string_view bad :
       {"(?!a)b", "(?=a)", "a{2}", "*a", "(a", "a)", "[a", "[b-a]", R"(\)", R"(\b)", "a**", "(?i:a)"}) {
    const Result<Pattern> p = Pattern::parse(bad);
    ASSERT_FALSE(p) << bad;
    EXPECT_EQ(p.error().code(), "pattern.unsupported");
  }
  EXPECT_FALSE(Pattern::parse(std::string(5000, 'a')));
  EXPECT_FALSE(Pattern::parse(std::string(2000, '(')));
}

}  // namespace
}  // namespace qw
