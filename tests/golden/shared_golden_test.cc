// Every text model of the shared golden set (its generator: ../shared/reference/goldens), where
// $QW_GOLDENS names a folder that holds what it wrote: logits, greedy tokens, and the recurrent states after
// the prompt. The repository's own goldens are smaller; these were made by others.
#include <algorithm>
#include <cstdlib>

#include "backend/cpu/cpu_backend.h"
#include "golden/model_runner.h"

namespace qw::golden {
namespace {

namespace fs = std::filesystem;

std::vector<std::string> folders() {
  std::vector<std::string> out;
  const char* root = std::getenv("QW_GOLDENS");
  std::error_code ec;
  if (root != nullptr)
    for (const fs::directory_entry& e : fs::directory_iterator(fs::path(root) / "models", ec))
      if (fs::exists(e.path() / "model.safetensors", ec) && !e.path().filename().string().ends_with("_vl"))
        out.push_back(e.path().filename().string());
  std::sort(out.begin(), out.end());
  return out;
}

bool is_hybrid(const std::string& name) {
  return name.starts_with("qwen3_next") || name.starts_with("qwen3_5");
}

class SharedGolden : public testing::TestWithParam<std::string> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SharedGolden);

TEST_P(SharedGolden, Agrees) {
  const fs::path folder = fs::path(std::getenv("QW_GOLDENS")) / "models" / GetParam();
  const double tolerance = is_hybrid(GetParam()) ? 2e-3 : 5e-4;
  for (const std::string_view isa : supported_isas()) {
    SCOPED_TRACE(isa);
    for (const char* config : {"config.json", "config.legacy.json"}) {
      SCOPED_TRACE(config);
      const WithConfig shown(folder, config);
      const auto runner = Runner::open(shown.path(), isa);
      ASSERT_TRUE(runner);
      Expected want(folder / "expected.safetensors");
      expect_prompts(*runner, want, tolerance);
      for (const std::string prompt : {"case1", "case2"}) {
        States states;
        runner->paged_logits(want.ids(prompt + ".input_ids"), &states);
        expect_states(want, prompt, states, 1e-3);
      }
    }
  }
}

// The F32 GGUF files of the set, as llama.cpp's converter made them.
class SharedGguf : public testing::TestWithParam<std::string> {};
GTEST_ALLOW_UNINSTANTIATED_PARAMETERIZED_TEST(SharedGguf);

std::vector<std::string> gguf_files() {
  std::vector<std::string> out;
  const char* root = std::getenv("QW_GOLDENS");
  std::error_code ec;
  if (root != nullptr)
    for (const fs::directory_entry& e : fs::directory_iterator(fs::path(root) / "gguf_models", ec))
      if (e.path().extension() == ".gguf" && e.path().stem().string().ends_with("-F32"))
        out.push_back(e.path().stem().string());
  std::sort(out.begin(), out.end());
  return out;
}

TEST_P(SharedGguf, Agrees) {
  const fs::path folder = fs::path(std::getenv("QW_GOLDENS")) / "gguf_models";
  const double tolerance = is_hybrid(GetParam()) ? 2e-3 : 5e-4;
  const auto runner = Runner::open(folder / (GetParam() + ".gguf"), supported_isas().back());
  ASSERT_TRUE(runner);
  Expected want(folder / (GetParam() + ".expected.safetensors"));
  expect_prompts(*runner, want, tolerance);
}

INSTANTIATE_TEST_SUITE_P(Files, SharedGguf, testing::ValuesIn(gguf_files()), [](const auto& param) {
  std::string name = param.param;
  std::replace(name.begin(), name.end(), '-', '_');
  return name;
});
INSTANTIATE_TEST_SUITE_P(Folders, SharedGolden, testing::ValuesIn(folders()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace qw::golden
