#include <gtest/gtest.h>

#include "tests/e2e/process.h"

namespace qw::e2e {
namespace {

const std::string kModel = QW_SOURCE_DIR "/tests/golden/data/models/qwen3_untied";

Json bench(std::vector<std::string> more) {
  std::vector<std::string> args{"bench", kModel, "--json"};
  args.insert(args.end(), more.begin(), more.end());
  const Ran ran = qw(args);
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.err, "");
  return ran.json();
}

TEST(Bench, NamesAndNumbers) {
  const Json rows = bench({"-p", "16,32", "-n", "4", "-d", "0,64", "-b", "1,3"});
  std::vector<std::string> names;
  for (const Json& row : rows) {
    names.push_back(row["test"]);
    for (const char* key : {"tok_s", "gb_s", "gop_s", "percent_of_peak"})
      EXPECT_GT(row[key].get<double>(), 0) << key;
    EXPECT_EQ(row["logits_hash"].get<std::string>().size(), 16U);
    const std::string bound = row["bound"];
    EXPECT_TRUE(bound == "bandwidth" || bound == "f32" || bound == "bf16" || bound == "int8") << bound;
  }
  EXPECT_EQ(names, (std::vector<std::string>{"pp16", "pp32", "pp16@d64", "pp32@d64", "tg4", "tg4x3",
                                             "tg4@d64", "tg4@d64x3"}));
}

TEST(Bench, HashesDependOnTheNumbersAlone) {
  const auto hashes = [](std::vector<std::string> more) {
    std::vector<std::string> out;
    more.insert(more.end(), {"--exact"});
    for (const Json& row : bench(more)) out.push_back(row["logits_hash"]);
    return out;
  };
  const auto one = hashes({"-p", "24", "-n", "24", "-b", "1,2", "--threads", "1"});
  EXPECT_EQ(one, hashes({"-p", "24", "-n", "24", "-b", "1,2", "--threads", "2"}));
  ASSERT_EQ(one.size(), 3U);
  EXPECT_EQ(one[0], one[1]);  // the same 24 tokens, at once and one by one
  EXPECT_EQ(one[1], one[2]);  // and in company
  EXPECT_NE(one[0], hashes({"-p", "25"})[0]);
}

TEST(Bench, WrongUse) {
  EXPECT_EQ(qw({"bench"}).status, 2);
  EXPECT_EQ(qw({"bench", kModel, "-p", "x"}).status, 2);
  EXPECT_EQ(qw({"bench", kModel, "-p", "16,"}).status, 2);
  EXPECT_EQ(qw({"bench", kModel, "-p", "0"}).status, 2);
  EXPECT_EQ(qw({"bench", kModel, "-b", "0"}).status, 2);
  EXPECT_EQ(qw({"bench", kModel, "-p", "1000000"}).status, 1);  // longer than the model allows
}

TEST(Bench, CtrlCIsStatus130) {
  const Ran ran = qw({"bench", kModel, "-p", "0", "-n", "400", "-b", "32"}, {.interrupt_after_output = 0.02});
  EXPECT_EQ(ran.status, 130);
  EXPECT_EQ(ran.err, "");
}

TEST(Bench, TableHasALineATest) {
  const Ran ran = qw({"bench", kModel, "-p", "8", "-n", "2"});
  EXPECT_EQ(ran.status, 0);
  EXPECT_EQ(std::count(ran.out.begin(), ran.out.end(), '\n'), 3);
  EXPECT_NE(ran.out.find("tok/s"), ran.out.npos);
  EXPECT_EQ(ran.err, "");
}

}  // namespace
}  // namespace qw::e2e
