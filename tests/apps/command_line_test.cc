#include "apps/command_line.h"

#include <gtest/gtest.h>

namespace qw::apps {
namespace {

struct Parsed {
  std::string model;
  std::optional<std::string> prompt, system;
  std::vector<std::string> stops;
  std::optional<int64_t> n;
  std::optional<double> x;
  std::optional<std::string> kv;
  bool raw = false;
  CommandLine line{"run"};

  Status parse(std::vector<std::string> args) {
    line.argument("MODEL", &model, true);
    line.argument("PROMPT", &prompt);
    line.text("--system", "TEXT", &system, "help.json");
    line.texts("--stop", "TEXT", &stops, "help.json");
    line.integer("-n", &n, {.min = 0, .max = 10}, "help.json");
    line.number("--x", &x, {.min = -2, .max = 2}, "help.json");
    line.choice("--kv", {"f32", "f16"}, &kv, "help.json");
    line.flag("--raw", &raw, "help.json");
    return line.parse(args);
  }
  std::string code(std::vector<std::string> args) {
    const Status s = parse(std::move(args));
    return s ? "" : s.error().code();
  }
};

TEST(CommandLine, OptionsAndArgumentsInAnyOrder) {
  Parsed p;
  ASSERT_TRUE(
      p.parse({"--raw", "m", "-n3", "--x=-1.5", "info", "--stop", "[END]", "--stop", "--", "--kv", "f16"}));
  EXPECT_EQ(p.model, "m");
  EXPECT_EQ(p.prompt, "info");
  EXPECT_EQ(p.stops, (std::vector<std::string>{"[END]", "--"}));
  EXPECT_EQ(p.n, 3);
  EXPECT_EQ(p.x, -1.5);
  EXPECT_EQ(p.kv, "f16");
  EXPECT_TRUE(p.raw);
}

TEST(CommandLine, TextsThatLookLikeOptions) {
  Parsed p;
  ASSERT_TRUE(p.parse({"-", "--system", "", "--", "-5"}));
  EXPECT_EQ(p.model, "-");
  EXPECT_EQ(p.system, "");
  EXPECT_EQ(p.prompt, "-5");
  Parsed q;
  ASSERT_TRUE(q.parse({"m", "", "--system=a=b", "--system", "-x"}));
  EXPECT_EQ(q.prompt, "");
  EXPECT_EQ(q.system, "-x");  // the last one counts
}

TEST(CommandLine, WrongUse) {
  EXPECT_EQ(Parsed().code({}), "cli.missing_argument");
  EXPECT_EQ(Parsed().code({"m", "p", "q"}), "cli.extra_argument");
  EXPECT_EQ(Parsed().code({"m", "--nope"}), "cli.unknown_option");
  EXPECT_EQ(Parsed().code({"m", "-5"}), "cli.unknown_option");
  EXPECT_EQ(Parsed().code({"m", "--raw=1"}), "cli.unexpected_value");
  EXPECT_EQ(Parsed().code({"m", "--system"}), "cli.missing_value");
  EXPECT_EQ(Parsed().code({"m", "-n", "11"}), "cli.bad_integer");
  EXPECT_EQ(Parsed().code({"m", "-n", "1.5"}), "cli.bad_integer");
  EXPECT_EQ(Parsed().code({"m", "-n", ""}), "cli.bad_integer");
  EXPECT_EQ(Parsed().code({"m", "--x", "nan"}), "cli.bad_number");
  EXPECT_EQ(Parsed().code({"m", "--x", "2.1"}), "cli.bad_number");
  EXPECT_EQ(Parsed().code({"m", "--x", "1e0x"}), "cli.bad_number");
  EXPECT_EQ(Parsed().code({"m", "--kv", "f8"}), "cli.bad_choice");
}

TEST(CommandLine, HelpNeedsNoArguments) {
  Parsed p;
  ASSERT_TRUE(p.parse({"--help"}));
  EXPECT_TRUE(p.line.help_wanted());
  const std::string page = p.line.help(Lang::en);
  EXPECT_NE(page.find("qw run MODEL [PROMPT]"), page.npos);
  EXPECT_NE(page.find("--kv f32|f16"), page.npos);
}

}  // namespace
}  // namespace qw::apps
