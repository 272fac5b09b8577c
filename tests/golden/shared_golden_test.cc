// Every text model of the shared golden set (its generator: /work/shared/reference/goldens), where
// $QW_GOLDENS names a folder that holds what it wrote: logits, greedy tokens, and the recurrent states after
// the prompt. The repository's own goldens are smaller; these were made by others.
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

// The reference keeps the last `taps` inputs [C, taps]; a state here the taps − 1 that the next row needs,
// [taps − 1, C], and then the matrices.
void expect_states(Expected& want, const std::string& prompt, const States& states) {
  for (const auto& [layer, state] : states) {
    const std::string name = prompt + ".state." + std::to_string(layer);
    if (!want.has(name + ".conv")) continue;
    const Host<float> conv = want.f32(name + ".conv"), matrix = want.f32(name + ".recurrent");
    const auto channels = static_cast<size_t>(conv.shape[0]), taps = static_cast<size_t>(conv.shape[1]);
    ASSERT_EQ(state.values.size(), (taps - 1) * channels + matrix.values.size());
    Host<float> expected{{static_cast<int64_t>(state.values.size())}, {}};
    for (size_t j = 1; j < taps; ++j)
      for (size_t c = 0; c < channels; ++c) expected.values.push_back(conv.values[c * taps + j]);
    expected.values.insert(expected.values.end(), matrix.values.begin(), matrix.values.end());
    EXPECT_TRUE(compare(name, state, expected, 1e-3));
  }
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
        expect_states(want, prompt, states);
      }
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Folders, SharedGolden, testing::ValuesIn(folders()),
                         [](const auto& param) { return param.param; });

}  // namespace
}  // namespace qw::golden
