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

TEST(Info, AForcedIsaIsNamedOrRefused) {
  EXPECT_EQ(qw({"info", "--json"}, {.env = {{"QW_ISA", "generic"}}}).json()["machine"]["isa"], "generic");
  const Ran bad = qw({"info"}, {.env = {{"QW_ISA", "sse9"}}});
  EXPECT_EQ(bad.status, 1);
  EXPECT_NE(bad.err.find("sse9"), bad.err.npos);
}

}  // namespace
}  // namespace qw::e2e
