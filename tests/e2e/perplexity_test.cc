// qw perplexity on a tiny model: windows and scores, against the logits of qw logits.
#include <gtest/gtest.h>

#include <cmath>

#include "golden/golden.h"
#include "tests/e2e/process.h"

namespace qw::e2e {
namespace {

const std::string kModel = QW_SOURCE_DIR "/tests/golden/data/models/qwen2_tied";

std::string long_text() {
  std::string text;
  for (int i = 0; i < 40; ++i)
    text += "the river runs past the old mill, " + std::to_string(i) + " <|im_end|>\n";
  return text;
}

// −Σ log p of tokens n/2+1 … n−1 of one window, by qw logits.
double window_nll(const std::vector<int32_t>& ids) {
  const TempFolder folder;
  const std::string out = (folder / "l.safetensors").string();
  EXPECT_EQ(qw({"logits", kModel, "--exact", "--ids", Json(ids).dump(), "--out", out}).status, 0);
  golden::Expected file(out);
  const golden::Host<float> logits = file.f32("logits");
  const size_t vocab = static_cast<size_t>(logits.shape[1]);
  double nll = 0;
  for (size_t row = ids.size() / 2; row + 1 < ids.size(); ++row) {
    const std::span l(logits.values.data() + row * vocab, vocab);
    double sum = 0;
    for (const float x : l) sum += std::exp(static_cast<double>(x));
    nll += std::log(sum) - l[static_cast<size_t>(ids[row + 1])];
  }
  return nll;
}

TEST(Perplexity, IsThatOfTheLogits) {
  const std::string text = long_text();
  constexpr size_t kContext = 64;
  const TempFolder folder;
  const Ran ran = qw({"perplexity", kModel, folder.file("t.txt", text), "--context", std::to_string(kContext),
                      "--exact", "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const Json got = ran.json();
  // Special tokens of the text are text here, so the ids come from a text without them at hand: piece by
  // piece.
  EXPECT_EQ(qw({"perplexity", kModel, "-", "--context", "64", "--exact", "--json"}, {.in = text}).json(),
            got);
  const int64_t tokens = got["tokens"], windows = tokens / static_cast<int64_t>(kContext);
  EXPECT_EQ(got["scored"], windows * (static_cast<int64_t>(kContext) / 2 - 1));
  EXPECT_NEAR(got["perplexity"].get<double>(), std::exp(got["nll"].get<double>()), 1e-9);

  std::string plain;
  for (int i = 0; i < 40; ++i) plain += "the river runs past the old mill, " + std::to_string(i) + "\n";
  const auto ids = qw({"tokenize", kModel}, {.in = plain}).json().get<std::vector<int32_t>>();
  double nll = 0;
  int64_t n = 0;
  for (size_t begin = 0; begin + kContext <= ids.size(); begin += kContext, n += kContext / 2 - 1)
    nll += window_nll({ids.begin() + static_cast<std::ptrdiff_t>(begin),
                       ids.begin() + static_cast<std::ptrdiff_t>(begin + kContext)});
  const Json by_program =
      qw({"perplexity", kModel, "-", "--context", "64", "--exact", "--json"}, {.in = plain}).json();
  EXPECT_EQ(by_program["tokens"], ids.size());
  EXPECT_EQ(by_program["scored"], n);
  EXPECT_NEAR(by_program["nll"].get<double>(), nll / static_cast<double>(n), 1e-5);
}

TEST(Perplexity, WrongUseAndFailures) {
  EXPECT_EQ(qw({"perplexity", kModel}).status, 2);
  EXPECT_EQ(qw({"perplexity", kModel, "-", "--context", "63"}).status, 2);
  const Ran few = qw({"perplexity", kModel, "-", "--context", "64"}, {.in = "too short"});
  EXPECT_EQ(few.status, 1);
  EXPECT_NE(few.err.find("64"), few.err.npos);
  EXPECT_EQ(qw({"perplexity", kModel, "/no/such/file"}).status, 1);
  EXPECT_EQ(qw({"perplexity", kModel, "-", "--context", "1000000"}, {.in = "a"}).status, 1);
  const Ran text = qw({"perplexity", kModel, "-", "--context", "64"}, {.in = long_text()});
  EXPECT_EQ(text.status, 0);
  EXPECT_TRUE(text.out.starts_with("perplexity ")) << text.out;
}

}  // namespace
}  // namespace qw::e2e
