#include "text/output_parser.h"

#include <gtest/gtest.h>

#include <random>

#include "tests/text/small_tokenizer.h"

namespace qw {
namespace {

struct Parsed {
  std::string reasoning;
  std::string text;
  bool stopped = false;
  bool has_reasoning = false;
  bool operator==(const Parsed&) const = default;
};

void PrintTo(const Parsed& p, std::ostream* out) {
  *out << "{" << testing::PrintToString(p.reasoning) << ", " << testing::PrintToString(p.text) << ", "
       << p.stopped << ", " << p.has_reasoning << "}";
}

// Feeds the text in pieces of at most `piece` bytes, or random ones.
Parsed parse(const OutputOptions& options, std::string_view text, size_t piece, std::mt19937* rng = nullptr) {
  OutputParser parser(options);
  Parsed out;
  const auto add = [&](const OutputDelta& delta) {
    out.reasoning += delta.reasoning;
    out.text += delta.text;
  };
  while (!text.empty()) {
    const size_t n = std::min(text.size(), rng != nullptr ? (*rng)() % 7 : piece);
    add(parser.push(text.substr(0, n)));
    text.remove_prefix(n);
  }
  add(parser.finish());
  out.stopped = parser.stopped();
  out.has_reasoning = parser.has_reasoning();
  return out;
}

void expect(const OutputOptions& options, std::string_view text, const Parsed& expected) {
  for (const size_t piece : {size_t{1}, size_t{2}, size_t{5}, size_t{1000}}) {
    EXPECT_EQ(parse(options, text, piece), expected) << text << " in pieces of " << piece;
  }
}

TEST(OutputParser, Reasoning) {
  expect({}, "Hello.", {"", "Hello.", false, false});
  expect({}, "<think>\nHm,\n\nso.\n</think>\n\nHello.\n", {"Hm,\n\nso.", "Hello.\n", false, true});
  expect({}, " \n<think></think>x", {"", "x", false, true});
  expect({}, "\n Hello", {"", "\n Hello", false, false});
  expect({}, "<thin", {"", "<thin", false, false});
  expect({}, "<thinner>", {"", "<thinner>", false, false});
  expect({}, "<think>a</thin", {"a</thin", "", false, true});
  expect({}, "<think>a</th</think>b", {"a</th", "b", false, true});
  expect({}, "<think>a\n\n", {"a", "", false, true});
  expect({}, "a<think>b</think>c", {"", "a<think>b</think>c", false, false});
  expect({}, "<think>a</think>b<think>c</think>", {"a", "b<think>c</think>", false, true});
}

TEST(OutputParser, ThePromptMayHaveOpenedTheBlock) {
  const OutputOptions open{.starts_in_reasoning = true};
  expect(open, "\nHm\n</think>\n\nHi", {"Hm", "Hi", false, true});
  expect(open, "never closed", {"never closed", "", false, true});
  EXPECT_TRUE(prompt_opens_reasoning("<|im_start|>assistant\n<think>\n"));
  EXPECT_FALSE(prompt_opens_reasoning("<think>\n\n</think>\n\n"));
  EXPECT_FALSE(prompt_opens_reasoning("What is <think>?\n<|im_start|>assistant\n"));
  EXPECT_FALSE(prompt_opens_reasoning(""));
}

TEST(OutputParser, PlainContinuationIsLeftAlone) {
  expect({.reasoning = false}, "<think>\na</think>\n\nb\n", {"", "<think>\na</think>\n\nb\n", false, false});
}

TEST(OutputParser, StopStrings) {
  expect({.stop = {"END"}}, "abc END def", {"", "abc ", true, false});
  expect({.stop = {"END"}}, "abc EN", {"", "abc EN", false, false});
  expect({.stop = {"aab"}}, "aaaab", {"", "aa", true, false});
  expect({.stop = {"abcd", "bc"}}, "xabcd", {"", "xa", true, false});
  expect({.stop = {"bc", "abc"}}, "xabcd", {"", "x", true, false});
  expect({.stop = {""}}, "abc", {"", "abc", false, false});
  expect({.stop = {"\n\n"}}, "<think>a\n\nb</think>\n\nc\n\nd", {"a\n\nb", "c", true, true});
  expect({.stop = {"<think>"}}, "a<think>", {"", "a", true, false});
  expect({.stop = {"\u00E8"}}, "\u00E9\u00E8x", {"", "\u00E9", true, false});
}

TEST(StopMatcher, SaysWhatMatched) {
  StopMatcher m({"x", "stop"});
  EXPECT_EQ(m.push("a sto"), "a ");
  EXPECT_EQ(m.push("p behind"), "");
  EXPECT_TRUE(m.stopped());
  EXPECT_EQ(m.matched(), "stop");
  EXPECT_EQ(m.rest(), " behind");
  EXPECT_EQ(m.push("x"), "");
  EXPECT_EQ(m.finish(), "");
}

// Random streams of the pieces that matter, cut at random: always the same result.
TEST(OutputParser, AnySplitGivesTheSame) {
  std::mt19937 rng(23);
  const std::string pool[] = {"<think>", "</think>", "<",  "/",   "think",  ">",     "\n",   "\n\n", " ",
                              "a",       "b",        "ab", "aab", "\u00E9", "<thin", "stop", "st"};
  const std::vector<std::string> stops = {"aba", "stop", "\n\na", "ab>", "</think>a"};
  for (int i = 0; i < 30000; ++i) {
    std::string text;
    for (size_t n = rng() % 14; n > 0; --n) text += pool[rng() % std::size(pool)];
    if (i % 3 == 0) text = "<think>" + text;
    OutputOptions options{.reasoning = i % 5 != 0, .starts_in_reasoning = i % 7 == 0};
    for (const std::string& stop : stops) {
      if (rng() % 2 == 0) options.stop.push_back(stop);
    }
    const Parsed whole = parse(options, text, text.size() + 1);
    ASSERT_EQ(parse(options, text, 1), whole) << text;
    for (int cut = 0; cut < 3; ++cut) ASSERT_EQ(parse(options, text, 0, &rng), whole) << text;
  }
}

// A slow definition of the stop rule: the shortest prefix that ends with a stop string, the longest such
// string.
TEST(StopMatcher, EqualsItsDefinition) {
  std::mt19937 rng(29);
  for (int i = 0; i < 30000; ++i) {
    const auto word = [&](size_t longest) {
      std::string s(rng() % longest + 1, 'a');
      for (char& c : s) c = "ab"[rng() % 2];
      return s;
    };
    std::vector<std::string> stops;
    for (size_t n = rng() % 4; n > 0; --n) stops.push_back(word(5));
    const std::string text = word(20);
    std::string expected = text;
    for (size_t end = 1; end <= text.size() && expected == text; ++end) {
      size_t longest = 0;
      for (const std::string& stop : stops) {
        if (std::string_view(text).substr(0, end).ends_with(stop)) longest = std::max(longest, stop.size());
      }
      if (longest > 0) {
        expected = text.substr(0, end - longest);
        break;
      }
    }
    StopMatcher m(stops);
    std::string got;
    for (size_t at = 0; at < text.size();) {
      const size_t n = rng() % 4 + 1;
      got += m.push(std::string_view(text).substr(at, n));
      at += n;
    }
    got += m.finish();
    ASSERT_EQ(got, expected) << text << " " << testing::PrintToString(stops);
  }
}

TEST(ReasoningTags, AreFoundInTheVocabulary) {
  EXPECT_EQ(reasoning_tag_ids(*Tokenizer::from_gguf(small_gguf())), (std::vector<int32_t>{262}));
}

}  // namespace
}  // namespace qw
