// qw convert and qw quantize: what is lossless comes back byte for byte, what is not still answers nearly the
// same; nothing is written over.
#include <gtest/gtest.h>

#include <fstream>

#include "golden/golden.h"
#include "io/gguf/gguf.h"
#include "tests/e2e/process.h"
#include "tests/e2e/scripted_model.h"

namespace qw::e2e {
namespace {

const std::string kData = QW_SOURCE_DIR "/tests/golden/data";

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

bool same_tensors(const std::filesystem::path& a, const std::filesystem::path& b) {
  const auto x = GgufFile::open(a).value(), y = GgufFile::open(b).value();
  if (x->tensors().size() != y->tensors().size()) return false;
  for (const auto& [name, t] : x->tensors()) {
    const auto it = y->tensors().find(name);
    if (it == y->tensors().end() || it->second.type != t.type ||
        !std::equal(t.bytes.begin(), t.bytes.end(), it->second.bytes.begin(), it->second.bytes.end()))
      return false;
  }
  return true;
}

TEST(Convert, AFolderToGgufAndBackIsTheSame) {
  const TempFolder folder;
  const std::string model = kData + "/models/qwen3_untied", gguf = folder / "m.gguf", back = folder / "back";
  ASSERT_EQ(qw({"convert", model, gguf, "--type", "f32"}).status, 0);
  EXPECT_TRUE(same_tensors(gguf, kData + "/gguf/qwen3_untied.F32.gguf"));
  const Ran ran = qw({"convert", gguf, back, "--type", "f32", "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.json()["bits_per_weight"], 32.0);
  golden::Expected one(model + "/model.safetensors"), two(back + "/model.safetensors");
  const std::vector<std::string> names = one.unread();
  EXPECT_EQ(names, two.unread());
  for (const std::string& name : names) EXPECT_EQ(one.f32(name).values, two.f32(name).values) << name;
}

TEST(Convert, TensorsOfTheWantedTypeKeepTheirBytes) {
  const TempFolder folder;
  for (const char* type : {"q8_0", "f16", "bf16"}) {
    std::string large(type);
    for (char& c : large) c = static_cast<char>(std::toupper(static_cast<unsigned char>(c)));
    const std::string source = kData + "/gguf/llama_blocks." + large + ".gguf";
    const std::string out = folder / fmt::format("{}.gguf", type);
    const Ran ran = qw({"convert", source, out, "--type", type, "--json"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(ran.json()["copied"], ran.json()["tensors"]);
    EXPECT_TRUE(same_tensors(source, out)) << type;
    const auto a = GgufFile::open(source).value(), b = GgufFile::open(out).value();
    for (const auto& [key, value] : a->metadata())
      EXPECT_TRUE(b->find(key) != nullptr && b->find(key)->type_text() == value.type_text()) << key;
  }
}

// Parts become one file; the same answers.
TEST(Convert, JoinsTheParts) {
  const TempFolder folder;
  const std::string out = folder / "one.gguf";
  ASSERT_EQ(
      qw({"convert", kData + "/gguf/llama_blocks.Q4_0.split-00001-of-00003.gguf", out, "--type", "q4_0"})
          .status,
      0);
  const auto whole = GgufFile::open(kData + "/gguf/llama_blocks.Q4_0.gguf").value();
  EXPECT_EQ(GgufFile::open(out).value()->tensors().size(), whole->tensors().size());
}

TEST(Quantize, WithAnImportanceMatrixThatIsKept) {
  const TempFolder folder;
  const std::string model = kData + "/models/qwen3_untied";
  std::string text;
  for (int i = 0; i < 400; ++i) text += fmt::format("the river {} runs past the old mill. ", i);
  const std::string file = folder.file("text.txt", text), saved = folder / "i.gguf";
  const std::string a = folder / "a.gguf", b = folder / "b.gguf", c = folder / "c.gguf";
  const Ran ran =
      qw({"quantize", model, a, "--type", "q4_0", "--imatrix-text", file, "--save-imatrix", saved, "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.json()["type"], "q4_0");
  EXPECT_LT(ran.json()["bits_per_weight"], 9.0);
  EXPECT_EQ(ran.json()["unweighted"], 2);  // embedding and head
  ASSERT_EQ(qw({"quantize", model, b, "--type", "q4_0", "--imatrix", saved}).status, 0);
  EXPECT_EQ(content(a), content(b));
  ASSERT_EQ(qw({"quantize", model, c, "--type", "q4_0"}).status, 0);
  EXPECT_FALSE(same_tensors(a, c));
  EXPECT_EQ(qw({"tokenize", a}, {.in = "the river 12"}).out,
            qw({"tokenize", model}, {.in = "the river 12"}).out);
  const Ran distance = qw({"perplexity", a, file, "--against", model, "--context", "128", "--json"});
  ASSERT_EQ(distance.status, 0) << distance.err;
  EXPECT_GT(distance.json()["divergence"]["mean"], 0.0);
  EXPECT_LT(distance.json()["divergence"]["mean"], 1.0);
  const Ran none = qw({"perplexity", model, file, "--against", model, "--context", "128", "--json"});
  EXPECT_NEAR(none.json()["divergence"]["mean"].get<double>(), 0.0, 1e-6);
  EXPECT_EQ(none.json()["divergence"]["same_best"], 1.0);
}

TEST(Quantize, EveryTypeLoadsAndAnswers) {
  const TempFolder folder;
  const std::string model = kData + "/gguf/qwen3_untied.F32.gguf";
  for (const char* type : {"q2_k", "q3_k_m", "q4_k_m", "q5_k_m", "q6_k", "iq4_xs", "mxfp4", "tq1_0"}) {
    const std::string out = folder / fmt::format("{}.gguf", type);
    const Ran ran = qw({"quantize", model, out, "--type", type, "--json"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    EXPECT_EQ(qw({"run", out, "Hello", "--seed", "3", "--max-tokens", "8", "--json"}).status, 0) << type;
  }
}

// A quarter of a gigabyte, so that there is a while to stop it in.
TEST(Convert, CtrlCLeavesNothingBehind) {
  const TempFolder folder;
  const auto model = folder / "model", place = folder / "place";
  write_scripted_model(model, {{"<a>", "<b>"}}, "{{ messages[0].content }}", 1 << 16);
  std::filesystem::create_directory(place);
  const Input stopped{.interrupt_when = [&] { return !std::filesystem::is_empty(place); }};
  const std::string gguf = place / "o.gguf", out = place / "folder";
  for (const std::vector<std::string>& args : {std::vector<std::string>{"quantize", model, gguf},
                                               {"convert", model, out},
                                               {"merge", model, "-", gguf}}) {
    const Ran ran = qw(args, stopped);
    EXPECT_EQ(ran.status, 130) << args[0] << ": " << ran.err;
    EXPECT_NE(ran.err.find("the model was not written"), std::string::npos) << args[0] << ": " << ran.err;
    EXPECT_TRUE(std::filesystem::is_empty(place)) << args[0];
  }
}

TEST(Convert, APlaceForNoFileIsRefusedAtOnce) {
  const TempFolder folder;
  const std::string empty = folder / "empty.gguf";
  std::filesystem::create_directory(empty);
  for (const char* command : {"quantize", "convert", "merge"}) {
    std::vector<std::string> args = {command, "no-model-is-looked-for"};
    if (args[0] == "merge") args.push_back("-");
    for (const auto& [out, said] :
         {std::pair<std::string, std::string>(folder / "no/such/o.gguf", "no folder"), {empty, "already"}}) {
      args.push_back(out);
      const Ran ran = qw(args);
      EXPECT_EQ(ran.status, 1) << command;
      EXPECT_NE(ran.err.find(said), std::string::npos) << ran.err;
      args.pop_back();
    }
  }
}

TEST(Quantize, SaysWhatCannotBe) {
  const TempFolder folder;
  const std::string model = kData + "/models/qwen2_tied", there = folder.file("there.gguf", "mine");
  const Ran exists = qw({"quantize", model, there});
  EXPECT_EQ(exists.status, 1);
  EXPECT_NE(exists.err.find("not written over"), exists.err.npos) << exists.err;
  EXPECT_EQ(content(there), "mine");
  EXPECT_EQ(qw({"convert", model, folder / "out", "--type", "q4_0"}).status, 2);
  EXPECT_EQ(qw({"quantize", model, folder / "x.gguf", "--type", "q9"}).status, 2);
  EXPECT_EQ(qw({"quantize", model, folder / "x.gguf", "--imatrix", "a", "--imatrix-text", "b"}).status, 2);
  EXPECT_EQ(qw({"quantize", model, folder / "x.gguf", "--save-imatrix", "a"}).status, 2);
  const Ran none =
      qw({"quantize", model, folder / "x.gguf", "--imatrix", kData + "/gguf/qwen2_tied.F32.gguf"});
  EXPECT_EQ(none.status, 1);
  EXPECT_NE(none.err.find("importance matrix"), none.err.npos) << none.err;
  // Nothing is left lying about.
  int files = 0;
  for (const auto& e : std::filesystem::directory_iterator(folder.path())) files += e.exists() ? 1 : 0;
  EXPECT_EQ(files, 1);
}

}  // namespace
}  // namespace qw::e2e
