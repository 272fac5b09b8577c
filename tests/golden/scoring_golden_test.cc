// Embedding, ranking and score heads against transformers (tools/goldens/scoring.py), at the level of the
// library; the commands are tested on the same files in tests/e2e/embed_test.cc.
#include <cmath>

#include "backend/cpu/cpu_backend.h"
#include "golden/model_runner.h"
#include "io/checkpoint.h"
#include "models/score_head.h"
#include "text/tokenizer.h"

namespace qw::golden {
namespace {

constexpr double kScores = 5e-4;

struct ScoringGolden : testing::TestWithParam<Case> {
  std::filesystem::path folder() const { return data_folder() / "scoring" / GetParam().name; }
};

TEST_P(ScoringGolden, ScoresAndVectorsAgree) {
  const auto backend = make_cpu_backend({.threads = 1, .isa = {}}).value();
  auto checkpoint = open_checkpoint(folder());
  ASSERT_TRUE(checkpoint) << checkpoint.error().debug();
  const Tokenizer tokenizer = Tokenizer::from_folder(folder()).value();
  const Json want = parse_json_file(folder() / "expected.json").value();
  Arena arena(*backend);
  Ctx cx{.backend = *backend, .arena = arena};
  if (!is_score_model(checkpoint->config)) {
    // The bodies: loaded whole, whatever prefix their tensors have.
    const auto loaded = load_model(checkpoint->config, *checkpoint->weights, *backend, {.strict = true});
    ASSERT_TRUE(loaded) << loaded.error().debug();
    if (!want.contains("last")) return;
    std::vector<int32_t> ids = tokenizer.encode(want["texts"][0].get<std::string>());
    ASSERT_TRUE(tokenizer.end_id());
    ids.push_back(*tokenizer.end_id());
    Batch batch = dense_batch({ids});
    batch.logit_rows = {batch.n_rows() - 1};
    const Host<float> x = download(*backend, loaded->model->features(cx, batch));
    double squares = 0;
    for (const float v : x.values) squares += static_cast<double>(v) * static_cast<double>(v);
    for (size_t i = 0; i < x.values.size(); ++i)
      EXPECT_NEAR(static_cast<double>(x.values[i]) / std::sqrt(squares), want["last"][0][i].get<double>(),
                  kScores);
    return;
  }
  std::vector<Error> warnings;
  const auto model = load_score_model(checkpoint->config, *checkpoint->weights, *backend, warnings);
  ASSERT_TRUE(model) << model.error().debug();
  EXPECT_TRUE(warnings.empty()) << warnings.front().debug();
  if ((*model)->rows() == ScoreRows::steps) return;  // tests/e2e
  for (size_t t = 0; t < want["texts"].size(); ++t) {
    Batch batch = dense_batch({tokenizer.encode(want["texts"][t].get<std::string>())});
    batch.logit_rows = {batch.n_rows() - 1};
    const std::vector<float> scores = (*model)->scores(cx, batch);
    ASSERT_EQ(scores.size(), want["scores"][t].size());
    for (size_t i = 0; i < scores.size(); ++i)
      EXPECT_NEAR(scores[i], want["scores"][t][i].get<double>(), kScores);
  }
}

INSTANTIATE_TEST_SUITE_P(Golden, ScoringGolden, testing::ValuesIn(cases("scoring")), param_name);

}  // namespace
}  // namespace qw::golden
