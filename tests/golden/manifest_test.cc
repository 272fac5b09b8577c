// Holds the golden data, its manifest and the tests together: nothing lies in the folder unnamed, and every
// case of every group runs in the suites that read it. Also tests the comparison itself, so that a golden
// that differs cannot pass.
#include <fmt/format.h>

#include <cmath>
#include <map>
#include <set>

#include "golden/golden.h"

namespace qw::golden {
namespace {

namespace fs = std::filesystem;

// Every string below a "file", "files" or "expected" key.
void collect_files(const Json& value, std::set<std::string>& out) {
  if (value.is_array()) {
    for (const Json& item : value) collect_files(item, out);
    return;
  }
  if (!value.is_object()) return;
  for (const auto& [key, item] : value.items()) {
    if (key == "file" || key == "files" || key == "expected") {
      for (const Json& name : item.is_array() ? item : Json::array({item}))
        out.insert(name.get<std::string>());
    } else {
      collect_files(item, out);
    }
  }
}

TEST(GoldenManifest, NamesEveryFileOfTheFolder) {
  ASSERT_FALSE(manifest().empty()) << "no manifest in " << data_folder();
  std::set<std::string> named{"manifest.json"}, found;
  collect_files(manifest(), named);
  for (const fs::directory_entry& e : fs::recursive_directory_iterator(data_folder()))
    if (e.is_symlink() || !e.is_directory())
      found.insert(e.path().lexically_relative(data_folder()).string());
  EXPECT_EQ(named, found);
}

// The suites that read each group of the manifest. A group without a suite here, or a case that none of them
// runs, fails.
const std::map<std::string, std::vector<std::string>>& readers() {
  static const std::map<std::string, std::vector<std::string>> table{
      {"tokenizer", {"TokenizerGolden"}},
      {"models", {"Cases/ModelGolden", "Golden/HfFolderGolden", "Golden/GgufWriteGolden"}},
      {"gguf", {"Cases/GgufGolden"}},
      {"blocks", {"GgufBlocks"}},
      {"quantised", {"Cases/QuantisedGolden"}},
      {"learning", {"Golden/Learning"}},
      {"scoring", {"Golden/ScoringGolden"}},
      {"adapters",
       {"Golden/PeftGolden", "Golden/MergeGolden", "Golden/GgufMergeGolden", "Golden/GgufAdapterGolden"}},
      {"training", {"Golden/Training"}},
      {"hybrid", {"Golden/HybridGolden", "Golden/GgufHybridWrite"}}};
  return table;
}

bool suite_runs(const std::string& suite, const std::string& test_suffix) {
  const testing::UnitTest& unit = *testing::UnitTest::GetInstance();
  for (int i = 0; i < unit.total_test_suite_count(); ++i) {
    const testing::TestSuite& s = *unit.GetTestSuite(i);
    if (s.name() != suite) continue;
    for (int j = 0; j < s.total_test_count(); ++j)
      if (std::string(s.GetTestInfo(j)->name()).ends_with(test_suffix)) return true;
  }
  return false;
}

TEST(GoldenManifest, EveryGoldenIsRead) {
  for (const auto& [group, content] : manifest().items()) {
    if (!content.is_structured() || group == "versions" || group == "prompt_lengths" || group == "adamw")
      continue;
    ASSERT_TRUE(readers().contains(group)) << "no test reads the group " << group;
    for (const std::string& suite : readers().at(group)) {
      if (!content.is_array()) {
        EXPECT_TRUE(suite_runs(suite, "")) << suite << " does not run";
        continue;
      }
      for (const Case& c : cases(group))
        EXPECT_TRUE(suite_runs(suite, fmt::format("/{}", test_name(c.name))))
            << suite << " leaves out " << c.name;
    }
  }
}

TEST(GoldenCompare, NamesTheFirstPositionThatDiffers) {
  const Host<float> want{{2, 3}, {0, 1, 2, 3, 4, 5}};
  Host<float> got = want;
  EXPECT_TRUE(compare("norm", got, want, 0));
  got.values[4] = 4.5F;
  got.values[5] = 8;
  EXPECT_TRUE(compare("norm", got, want, 3));
  const testing::AssertionResult r = compare("norm", got, want, 0.25);
  EXPECT_FALSE(r);
  EXPECT_STREQ(r.message(),
               "norm [2, 3]: 2 of 6 values differ by more than 0.25; first at [1, 1]: 4.5, expected 4; "
               "largest difference 3 at "
               "[1, 2]");
}

TEST(GoldenCompare, RefusesNanAndOtherSizes) {
  const Host<float> want{{2}, {0, 1}};
  EXPECT_FALSE(compare("x", {{2}, {0, std::nanf("")}}, want, 1e9));
  EXPECT_FALSE(compare("x", {{2}, {0, INFINITY}}, want, 1e9));
  EXPECT_FALSE(compare("x", {{1}, {0}}, want, 1e9));
}

TEST(GoldenExpected, KnowsWhatWasNotRead) {
  Expected e(data_folder() / "learning" / "llama.safetensors");
  const size_t all = e.unread().size();
  ASSERT_GT(all, 5U);
  EXPECT_EQ(e.ids("document0").size(), 5U);
  EXPECT_EQ(e.f32("losses").values.size(), 11U);
  EXPECT_EQ(e.f64("losses_f64").values.size(), 11U);
  EXPECT_EQ(e.unread().size(), all - 3);
  EXPECT_EQ(e.unread({"grad", "document", "losses"}), std::vector<std::string>{});
}

}  // namespace
}  // namespace qw::golden
