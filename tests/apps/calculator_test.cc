#include "apps/tools/calculator.h"

#include <fmt/format.h>
#include <gtest/gtest.h>

#include <chrono>
#include <cmath>

#include "base/rng.h"

namespace qw::tools {
namespace {

std::string answer(const std::string& expression) {
  const auto value = calculate(expression);
  return value ? *value : "error: " + value.error();
}

struct Case {
  const char* expression;
  const char* answer;
};

void expect(std::initializer_list<Case> cases) {
  for (const Case& c : cases) EXPECT_EQ(answer(c.expression), c.answer) << c.expression;
}

TEST(Calculator, Arithmetic) {
  expect({{"12*7", "84"},
          {"0.1+0.2", "0.3"},
          {"1/3", "0.3333333333"},
          {"2/3", "0.6666666667"},
          {"7/2", "3.5"},
          {"10-4-3", "3"},
          {"2+3*4", "14"},
          {"(2+3)*4", "20"},
          {"-5+2", "-3"},
          {"2*-3", "-6"},
          {"--4", "4"},
          {"100/8/5", "2.5"},
          {" 1 + 1 = ", "2"},
          {"007", "7"},
          {".5+1.", "1.5"},
          {"1e3+2.5E-1", "1000.25"},
          {"0-0", "0"},
          {"-0", "0"},
          {"1.10", "1.1"},
          {"1/8", "0.125"},
          {"98765432109876543210*2", "197530864219753086420"},
          {"123456.789*1000", "123456789"},
          {"1.609344*26.2", "42.1648128"},
          {"100*(1+0.05)^10", "162.8894627"}});
}

TEST(Calculator, PowersAndRemainders) {
  expect({{"2^10", "1024"},
          {"2**10", "1024"},
          {"2^3^2", "512"},
          {"-2^2", "-4"},
          {"(-2)^2", "4"},
          {"2^-2", "0.25"},
          {"0^0", "1"},
          {"4^0.5", "2"},
          {"2^0.5", "1.414213562"},
          {"27^(1/3)", "3"},
          {"(-1)^1000001", "-1"},
          {"(-1)^-9223372036854775808", "1"},
          {"(-1)^0", "1"},
          {"(-1)^99999999999999999999", "-1"},
          {"1^99999999999999999999", "1"},
          {"17 % 5", "2"},
          {"-7 % 3", "2"},
          {"7.5 % 2", "1.5"},
          {"15%", "0.15"},
          {"200*15%", "30"},
          {"50% + 1", "1.5"},
          {"200 % 30", "20"},
          {"10^30", "1000000000000000000000000000000"},
          {"2^100", "1267650600228229401496703205376"},
          {"10^61", "1e+61"},
          {"1/10^12", "1e-12"},
          {"1.5*10^70", "1.5e+70"}});
}

TEST(Calculator, Functions) {
  expect({{"sqrt(16)", "4"},
          {"sqrt(2)", "1.414213562"},
          {"sqrt(2)*sqrt(2)", "2"},
          {"sqrt(0.25)", "0.5"},
          {"sqrt(1/10^30)", "1e-15"},
          {"abs(-3.5)", "3.5"},
          {"round(2.5)", "3"},
          {"round(-2.5)", "-3"},
          {"round(3.14159, 2)", "3.14"},
          {"round(1250, -2)", "1300"},
          {"min(3, 1, 2)", "1"},
          {"MAX(1,000)", "1"},
          {"max(2, 10)", "10"},
          {"sqrt(abs(-9)) + 1", "4"},
          {"max((1,000), 2)", "1000"}});
}

TEST(Calculator, SignsOfPeople) {
  expect({{"6×7", "42"},
          {"84÷2", "42"},
          {"5−3", "2"},
          {"１２＋３０", "42"},
          {"（1+2）＊3", "9"},
          {"1,234,567+1", "1234568"},
          {"1,234.5*2", "2469"},
          {"√16", "error: unknown name sqrt"},
          {"√(16)", "4"},
          {"2·3", "6"}});
}

TEST(Calculator, ErrorsArePhrases) {
  expect({{"", "error: empty expression"},
          {"  ", "error: empty expression"},
          {"1/0", "error: division by zero"},
          {"5 % 0", "error: division by zero"},
          {"0^-1", "error: division by zero"},
          {"1+", "error: unexpected end"},
          {"(1+2", "error: missing ')'"},
          {"1+2)", "error: unexpected ')'"},
          {"2 3", "error: unexpected '3'"},
          {"2(3)", "error: unexpected '('"},
          {"x+1", "error: unknown name x"},
          {"sin(1)", "error: unknown function sin"},
          {"sqrt(-1)", "error: root of a negative number"},
          {"(-8)^0.5", "error: root of a negative number"},
          {"sqrt()", "error: sqrt needs one number"},
          {"sqrt(1,2)", "error: sqrt needs one number"},
          {"min()", "error: min needs numbers"},
          {"1,23", "error: unexpected ','"},
          {"12 元", "error: unexpected '元'"},
          {".", "error: unexpected '.'"},
          {"1..2", "error: unexpected '.'"},
          {"9^9^9", "error: number too large"},
          {"1e601", "error: number too large"},
          {"4^-9223372036854775808", "error: number too large"},
          {"32^4611686018427387904", "error: number too large"},
          {"1e-2147483648", "error: number too large"},
          {"round(7.5, -9223372036854775808)", "error: round needs a small whole number of places"},
          {"round(1, 0.5)", "error: round needs a small whole number of places"}});
  EXPECT_EQ(answer(std::string(1001, '1')), "error: expression too long");
  EXPECT_EQ(answer(std::string(60, '(') + "1"), "error: too deeply nested");
  EXPECT_EQ(answer("\xff\xfe"), "error: unexpected '\uFFFD'");
}

// Against doubles, on random expressions of numbers that these hold exactly enough.
TEST(Calculator, AgreesWithDoubles) {
  uint64_t n = 0;
  const Rng rng(7);
  for (int i = 0; i < 5000; ++i) {
    const double a = static_cast<double>(rng.below(2000, n++)) / 8,
                 b = 1 + static_cast<double>(rng.below(500, n++)),
                 c = static_cast<double>(rng.below(100, n++));
    const std::string text = fmt::format("({}-{})*{}/{}+{}", a, b, c, b, a);
    const auto got = calculate(text);
    ASSERT_TRUE(got) << text;
    const double expected = (a - b) * c / b + a;
    EXPECT_NEAR(std::stod(*got), expected, 1e-9 * std::max(1.0, std::fabs(expected))) << text;
  }
}

// Whatever it is given, it ends at once.
TEST(Calculator, IsAlwaysFast) {
  std::string fractions = "1", powers = "2", roots = "2";
  for (int i = 3; fractions.size() < 900; i += 2) fractions += fmt::format("+1/{}^9", i);
  while (powers.size() < 900) powers += "^2*3^600/7^600";
  while (roots.size() < 600) roots = "sqrt(" + roots + "/3)";
  const std::string alphabet = "0123456789.,+-*/^%()eE sqrtabsroundminmax";
  const Rng rng(11);
  uint64_t n = 0;
  const auto start = std::chrono::steady_clock::now();
  for (const std::string& e : {fractions, powers, roots}) (void)calculate(e);
  for (int i = 0; i < 20000; ++i) {
    std::string text;
    for (uint64_t k = rng.below(40, n++); k > 0; --k) text += alphabet[rng.below(alphabet.size(), n++)];
    (void)calculate(text);
  }
  const std::chrono::duration<double> seconds = std::chrono::steady_clock::now() - start;
  EXPECT_LT(seconds.count(), 20.0);
}

}  // namespace
}  // namespace qw::tools
