// The program against the reference library, on every golden checkpoint: logits, taps, greedy ids.
#include "golden/golden.h"

#include <gtest/gtest.h>

#include <map>

#include "tests/e2e/process.h"

namespace qw::e2e {
namespace {

namespace fs = std::filesystem;
using golden::Expected;
using golden::Host;

constexpr double kLogitTolerance = 5e-4, kTapTolerance = 2e-4;  // tools/goldens/README.md

std::string ids_json(const std::vector<int32_t>& ids) {
  return Json(ids).dump();
}

// `qw logits` of these ids, all its tensors.
std::map<std::string, Host<float>> logits_of(const std::string& model, const std::vector<int32_t>& ids,
                                             bool taps) {
  const TempFolder folder;
  const std::string out = (folder / "out.safetensors").string();
  std::vector<std::string> args{"logits", model, "--exact", "--ids", ids_json(ids), "--out", out};
  if (taps) args.push_back("--taps");
  const Ran ran = qw(args);
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, "");
  std::map<std::string, Host<float>> tensors;
  if (ran.status != 0) return tensors;
  Expected file(out);
  for (const std::string& name : file.names("")) tensors[name] = file.f32(name);
  return tensors;
}

std::vector<int32_t> greedy_of(const std::string& model, const std::vector<int32_t>& ids,
                               const std::vector<std::string>& more = {}) {
  std::vector<std::string> args{"run",      model,          "--ids",        ids_json(ids), "--exact",
                                "--greedy", "--ignore-eos", "--max-tokens", "32",          "--json"};
  args.insert(args.end(), more.begin(), more.end());
  const Ran ran = qw(args);
  EXPECT_EQ(ran.status, 0) << ran.err;
  return ran.status == 0 ? ran.json()["ids"].get<std::vector<int32_t>>() : std::vector<int32_t>();
}

// A folder with the spelling of config.json that checkpoints on the hub have.
void legacy_copy(const fs::path& from, const TempFolder& to) {
  for (const auto& entry : fs::directory_iterator(from))
    if (entry.path().filename() != "config.json" && entry.path().filename() != "expected.safetensors")
      fs::copy(entry.path(), to / entry.path().filename().string());
  fs::rename(to / "config.legacy.json", to / "config.json");
}

class Models : public testing::TestWithParam<golden::Case> {
 protected:
  fs::path folder() const { return golden::data_folder() / "models" / GetParam().name; }
};

TEST_P(Models, LogitsAndTaps) {
  Expected expected(folder() / "expected.safetensors");
  for (const std::string c : {"case0", "case1", "case2"}) {
    const auto got = logits_of(folder().string(), expected.ids(c + ".input_ids"), c == "case1");
    if (c == "case1")
      for (const Json& name : GetParam().facts["taps"]) {
        const std::string tap = name.get<std::string>();
        ASSERT_TRUE(got.contains(tap)) << tap;
        ASSERT_TRUE(golden::compare(tap, got.at(tap), expected.f32("case1.taps." + tap), kTapTolerance));
      }
    ASSERT_TRUE(got.contains("logits"));
    EXPECT_EQ(got.at("logits").shape, expected.f32(c + ".logits").shape);
    EXPECT_TRUE(golden::compare(c, got.at("logits"), expected.f32(c + ".logits"), kLogitTolerance));
  }
}

TEST_P(Models, LongPromptCutIntoSteps) {
  Expected expected(folder() / "expected.safetensors");
  const auto got = logits_of(folder().string(), expected.ids("case3.input_ids"), false);
  ASSERT_TRUE(got.contains("logits"));
  EXPECT_TRUE(golden::compare("case3", golden::last_rows(got.at("logits"), 16),
                              expected.f32("case3.logits_last16"), kLogitTolerance));
}

TEST_P(Models, GreedyIdsInBothSpellingsOfTheConfig) {
  Expected expected(folder() / "expected.safetensors");
  const TempFolder legacy;
  legacy_copy(folder(), legacy);
  for (const std::string c : {"case0", "case1", "case2", "case3"}) {
    const auto ids = expected.ids(c + ".input_ids"), greedy = expected.ids(c + ".greedy");
    EXPECT_EQ(greedy_of(folder().string(), ids), greedy) << c;
    EXPECT_EQ(greedy_of(legacy.path().string(), ids, {"--threads", "1"}), greedy) << c;
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, Models, testing::ValuesIn(golden::cases("models")), golden::param_name);

class Ggufs : public testing::TestWithParam<golden::Case> {};

TEST_P(Ggufs, LogitsAndGreedyIds) {
  const fs::path file = golden::data_folder() / GetParam().facts["files"][0].get<std::string>();
  Expected expected(GetParam().path("expected"));
  const auto got = logits_of(file.string(), expected.ids("case1.input_ids"), false);
  ASSERT_TRUE(got.contains("logits"));
  EXPECT_TRUE(golden::compare("case1", got.at("logits"), expected.f32("case1.logits"), kLogitTolerance));
  for (const std::string c : {"case0", "case1", "case2", "case3"})
    EXPECT_EQ(greedy_of(file.string(), expected.ids(c + ".input_ids")), expected.ids(c + ".greedy")) << c;
}

INSTANTIATE_TEST_SUITE_P(Golden, Ggufs, testing::ValuesIn(golden::cases("gguf")), golden::param_name);

TEST(Logits, WrongUseAndFailures) {
  const std::string model = (golden::data_folder() / "models/qwen3_untied").string();
  const TempFolder folder;
  const std::string out = (folder / "x.safetensors").string();
  EXPECT_EQ(qw({"logits", model, "--out", out}).status, 2);
  EXPECT_EQ(qw({"logits", model, "--ids", "[1]"}).status, 2);
  EXPECT_EQ(qw({"logits", model, "--ids", "[1", "--out", out}).status, 2);
  EXPECT_EQ(qw({"logits", model, "--ids", "[]", "--out", out}).status, 1);
  EXPECT_EQ(qw({"logits", model, "--ids", "[320]", "--out", out}).status, 1);
  EXPECT_EQ(qw({"logits", model, "--ids", "[1]", "--out", "/dev/full/x"}).status, 1);
  const Ran long_prompt =
      qw({"logits", model, "--ids", "-", "--out", out}, {.in = ids_json(std::vector<int32_t>(5000, 1))});
  EXPECT_EQ(long_prompt.status, 1);
  EXPECT_NE(long_prompt.err.find("5000"), long_prompt.err.npos) << long_prompt.err;
  EXPECT_FALSE(fs::exists(out));
  EXPECT_EQ(qw({"logits", model, "--ids", "-", "--out", out}, {.in = "[1, 2]\n"}).status, 0);
  EXPECT_EQ(qw({"logits", model, "--ids", folder.file("ids.json", "[1, 2]"), "--out", out}).status, 0);
}

}  // namespace
}  // namespace qw::e2e
