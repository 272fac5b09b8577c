// qw merge and --adapter, on the golden models and the adapters that PEFT made for them.
#include <gtest/gtest.h>

#include <cmath>
#include <cstring>

#include "io/hf/safetensors.h"
#include "tests/e2e/process.h"

namespace qw::e2e {
namespace {

const std::string kData = QW_SOURCE_DIR "/tests/golden/data";

std::string ids_of(const std::string& adapter) {
  const auto file = SafetensorsFile::open(kData + "/adapters/" + adapter + "/expected.safetensors").value();
  const SafetensorsTensor& t = file->content().tensors.at("input_ids");
  std::vector<int64_t> ids(t.bytes.size() / 8);
  std::memcpy(ids.data(), t.bytes.data(), t.bytes.size());
  return Json(ids).dump();
}

std::vector<float> logits_in(const std::string& path) {
  const auto file = SafetensorsFile::open(path).value();
  const SafetensorsTensor& t = file->content().tensors.at("logits");
  std::vector<float> out(t.bytes.size() / 4);
  std::memcpy(out.data(), t.bytes.data(), t.bytes.size());
  return out;
}

double distance(const std::vector<float>& a, const std::vector<float>& b) {
  EXPECT_EQ(a.size(), b.size());
  double most = 0;
  for (size_t i = 0; i < std::min(a.size(), b.size()); ++i)
    most = std::max(most, static_cast<double>(std::abs(a[i] - b[i])));
  return most;
}

struct Merge : testing::Test {
  TempFolder folder;
  const std::string model = kData + "/models/qwen2_tied";
  const std::string adapter = kData + "/adapters/qwen2_head";
  const std::string ids = ids_of("qwen2_head");

  std::vector<float> logits(const std::string& of, const std::vector<std::string>& more = {}) {
    const std::string out = folder / "logits.safetensors";
    std::vector<std::string> args{"logits", of, "--ids", ids, "--out", out};
    args.insert(args.end(), more.begin(), more.end());
    const Ran ran = qw(args);
    EXPECT_EQ(ran.status, 0) << ran.err;
    return logits_in(out);
  }
};

TEST_F(Merge, AdapterBesideTheModelAndFoldedInSayTheSame) {
  const std::vector<float> expected = logits_in(adapter + "/expected.safetensors");
  EXPECT_LT(distance(logits(model, {"--adapter", adapter}), expected), 5e-4);
  EXPECT_GT(distance(logits(model), expected), 0.5);
  const std::string out = folder / "merged";
  const Ran ran = qw({"merge", model, adapter, out, "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.json()["type"], "f32");
  EXPECT_LT(distance(logits(out), expected), 5e-4);
  const Ran tokens = qw({"tokenize", out}, {.in = "Hello"});
  EXPECT_EQ(tokens.out, qw({"tokenize", model}, {.in = "Hello"}).out);
}

TEST_F(Merge, WithoutAnAdapterItConverts) {
  const std::string out = folder / "half";
  const Ran ran = qw({"merge", model, "-", out, "--type", "bf16"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_NE(ran.out.find("bf16"), ran.out.npos) << ran.out;
  const double apart = distance(logits(out), logits(model));
  EXPECT_GT(apart, 1e-4);
  EXPECT_LT(apart, 0.5);
}

TEST_F(Merge, RunAnswersWithTheAdapter) {
  const std::vector<std::string> base{"run",          model, "--ids",  ids,    "--greedy", "--ignore-eos",
                                      "--max-tokens", "20",  "--json", "--kv", "f32"};
  std::vector<std::string> adapted = base;
  adapted.insert(adapted.end(), {"--adapter", adapter});
  const Ran with = qw(adapted);
  ASSERT_EQ(with.status, 0) << with.err;
  EXPECT_NE(with.json()["ids"], qw(base).json()["ids"]);
  const std::string out = folder / "merged";
  ASSERT_EQ(qw({"merge", model, adapter, out}).status, 0);
  std::vector<std::string> merged = base;
  merged[1] = out;
  EXPECT_EQ(with.json()["ids"], qw(merged).json()["ids"]);
  adapted.push_back("--dry-run");
  EXPECT_GT(qw(adapted).json()["weight_bytes"],
            qw({"run", model, "--dry-run", "--json"}).json()["weight_bytes"]);
}

TEST_F(Merge, AdaptersChangeTheirForm) {
  const std::string base = kData + "/models/llama", peft = kData + "/adapters/llama_patterns";
  const std::string gguf = folder / "a.gguf", back = folder / "back";
  ASSERT_EQ(qw({"merge", base, peft, gguf, "--to", "gguf-adapter"}).status, 0);
  const Ran ran = qw({"merge", base, gguf, back, "--to", "peft", "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.json()["tensors"], 16);
  const auto answer = [&](const std::string& adapter_path) {
    const Ran r = qw({"run", base, "--ids", "[3, 1, 4, 1, 5]", "--greedy", "--ignore-eos", "--max-tokens",
                      "12", "--json", "--kv", "f32", "--adapter", adapter_path});
    EXPECT_EQ(r.status, 0) << r.err;
    return r.json()["ids"];
  };
  EXPECT_EQ(answer(gguf), answer(peft));
  EXPECT_EQ(answer(back), answer(peft));
  const std::string small = folder / "small.gguf";
  const Ran q8 = qw({"merge", base, peft, small, "--to", "gguf-adapter", "--type", "q8_0", "--json"});
  ASSERT_EQ(q8.status, 0) << q8.err;
  EXPECT_EQ(q8.json()["type"], "q8_0");
  EXPECT_LT(std::filesystem::file_size(small), std::filesystem::file_size(gguf));
  EXPECT_EQ(answer(small).size(), 12U);
  EXPECT_EQ(qw({"merge", base, "-", folder / "x", "--to", "peft"}).status, 2);
  EXPECT_EQ(qw({"merge", base, peft, folder / "x", "--to", "peft", "--type", "f16"}).status, 2);
}

TEST_F(Merge, SaysWhatIsWrong) {
  const std::string there = folder.file("there", "x");
  const Ran exists = qw({"merge", model, adapter, there});
  EXPECT_EQ(exists.status, 1);
  EXPECT_NE(exists.err.find("already"), exists.err.npos) << exists.err;
  const Ran other = qw({"merge", kData + "/models/llama", adapter, folder / "out"});
  EXPECT_EQ(other.status, 1);
  EXPECT_NE(other.err.find("made for this model"), other.err.npos) << other.err;
  const Ran alone = qw({"run", adapter, "x"});
  EXPECT_EQ(alone.status, 1);
  EXPECT_NE(alone.err.find("--adapter"), alone.err.npos) << alone.err;
  const Ran none = qw({"--lang", "zh", "run", model, "x", "--adapter", folder / "none"});
  EXPECT_EQ(none.status, 1);
  EXPECT_NE(none.err.find("适配器"), none.err.npos) << none.err;
  EXPECT_FALSE(std::filesystem::exists(folder / "out"));
}

}  // namespace
}  // namespace qw::e2e
