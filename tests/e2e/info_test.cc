#include <gtest/gtest.h>

#include "tests/e2e/process.h"

namespace qw::e2e {
namespace {

const std::string kGguf = QW_SOURCE_DIR "/tests/golden/data/gguf/llama_blocks.Q4_1.gguf";

TEST(Info, Machine) {
  const Ran ran = qw({"info", "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const Json machine = ran.json()["machine"];
  EXPECT_GE(machine["cores"].get<int>(), 1);
  EXPECT_TRUE(machine["isa"].is_string());
  for (const char* peak : {"read_gb_s", "f32_gflop_s", "bf16_gflop_s", "int8_gop_s"})
    EXPECT_GE(machine["peaks"][peak].get<double>(), 0) << peak;
  EXPECT_GT(machine["peaks"]["read_gb_s"].get<double>(), 0);
  EXPECT_FALSE(ran.json().contains("model"));
}

TEST(Info, Model) {
  const Ran ran = qw({"info", kGguf, "--json", "--ctx", "64"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const Json model = ran.json()["model"];
  EXPECT_EQ(model["architecture"], "llama");
  EXPECT_EQ(model["kind"], "gguf");
  EXPECT_EQ(model["memory"]["context"], 64);
  EXPECT_TRUE(model["formats"].contains("q4_1")) << model["formats"];
  EXPECT_GT(model["parameters"].get<int64_t>(), 0);
}

TEST(Info, TextInBothLanguages) {
  for (const char* lang : {"en", "zh"}) {
    const Ran ran = qw({"info", kGguf, "--lang", lang});
    EXPECT_EQ(ran.status, 0) << ran.err;
    EXPECT_NE(ran.out.find("GB/s"), ran.out.npos);
    EXPECT_NE(ran.out.find("llama"), ran.out.npos);
    EXPECT_EQ(ran.out.find('{'), ran.out.npos) << ran.out;
  }
}

// A lone config.json, and a folder without weights, tell the shape.
TEST(Info, ALoneConfig) {
  const std::string config = QW_SOURCE_DIR "/tests/models/data/configs/Qwen-72B.json";
  const Json shape = qw({"info", config, "--json"}).json()["model"];
  EXPECT_EQ(shape["parameters"], 72287920128);
  EXPECT_EQ(shape["active_parameters"], 72287920128);
  EXPECT_EQ(shape["kv_bytes"].back()["context"], 8192);
  EXPECT_EQ(shape["kv_bytes"].back()["bytes"], int64_t{8192} * 80 * 2 * 8192 * 2);
  const TempFolder folder;
  std::filesystem::copy_file(config, folder / "config.json");
  const Ran text = qw({"info", folder.path().string()});
  EXPECT_EQ(text.status, 0) << text.err;
  EXPECT_NE(text.out.find("72.29 billion"), std::string::npos) << text.out;
}

// A checkpoint of 8.8 TB, of which nothing is on the disk, is refused with its plan before anything is read;
// with --mmap the attempt is made (and finds that its tensors are none of this model's).
TEST(Info, AModelLargerThanMemoryIsRefusedWithThePlan) {
  const TempFolder folder;
  std::filesystem::copy_file(QW_SOURCE_DIR "/tests/golden/data/models/qwen2_tied/config.json",
                             folder / "config.json");
  const std::string header =
      R"({"x":{"dtype":"BF16","shape":[4398046511104],"data_offsets":[0,8796093022208]}})";
  std::string head(8, '\0');
  for (size_t i = 0; i < 8; ++i) head[i] = static_cast<char>(header.size() >> (8 * i) & 0xFF);
  const std::string file = folder.file("model.safetensors", head + header);
  std::error_code ec;
  std::filesystem::resize_file(file, 8 + header.size() + 8796093022208, ec);
  if (ec) {
    std::filesystem::resize_file(file, 0);
    GTEST_SKIP() << "no sparse files of this size here: " << ec.message();
  }
  const Ran refused = qw({"run", folder.path().string(), "--raw", "x"});
  EXPECT_EQ(refused.status, 1);
  EXPECT_NE(refused.err.find("8796.09 GB"), std::string::npos) << refused.err;
  EXPECT_NE(refused.err.find("2473.90 GB"), std::string::npos) << refused.err;  // with 4 bits
  EXPECT_NE(refused.err.find("--mmap"), std::string::npos) << refused.err;
  EXPECT_EQ(qw({"run", folder.path().string(), "--raw", "x", "--mmap"}).err.find("--mmap"),
            std::string::npos);
}

TEST(Info, AForcedIsaIsNamedOrRefused) {
  EXPECT_EQ(qw({"info", "--json"}, {.env = {{"QW_ISA", "generic"}}}).json()["machine"]["isa"], "generic");
  const Ran bad = qw({"info"}, {.env = {{"QW_ISA", "sse9"}}});
  EXPECT_EQ(bad.status, 1);
  EXPECT_NE(bad.err.find("sse9"), bad.err.npos);
}

}  // namespace
}  // namespace qw::e2e
