// The model that comes with qw, as it lies in models/nano.
#include <gtest/gtest.h>

#include "tests/e2e/process.h"

namespace qw::e2e {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> models() {
  std::vector<fs::path> out;
  for (const auto& entry : fs::directory_iterator(QW_SOURCE_DIR "/models/nano"))
    if (entry.path().extension() == ".gguf") out.push_back(entry.path());
  return out;
}

TEST(Nano, IsOneSmallFile) {
  ASSERT_EQ(models().size(), 1u);
  EXPECT_LE(fs::file_size(models()[0]), 12'000'000u);
}

// What `./qw chat` does on a machine where no model was ever chosen.
TEST(Nano, AnswersWhereNoModelWasChosen) {
  const TempFolder home;
  const Ran ran = qw({"chat", "--greedy"}, {.in = "What is the capital of Kenya?\n"
                                                  "What is 4821 times 37?\n"
                                                  "法国的首都是哪里？\n"
                                                  "Who will win the next election?\n",
                                            .env = {{"QW_HOME", home.path().string()}, {"TZ", "UTC"}}});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_NE(ran.err.find("nano"), ran.err.npos) << ran.err;
  EXPECT_NE(ran.out.find("Nairobi"), ran.out.npos) << ran.out;
  EXPECT_NE(ran.err.find("calculator(4821*37) → 178377"), ran.err.npos) << ran.err;
  EXPECT_NE(ran.out.find("178377"), ran.out.npos) << ran.out;
  EXPECT_NE(ran.out.find("巴黎"), ran.out.npos) << ran.out;
  EXPECT_NE(ran.out.find("I don't know"), ran.out.npos) << ran.out;
}

}  // namespace
}  // namespace qw::e2e
