#include <gtest/gtest.h>

#include "io/gguf/gguf.h"
#include "io/gguf/writer.h"
#include "tests/io/temp_dir.h"

namespace qw {
namespace {

TEST(GgufWriter, ComesBackAsItWasWritten) {
  const TempDir dir;
  GgufMetadata m;
  m.text("name", "tiny");
  m.u32("count", 4000000000U);
  m.i32("below", -3);
  m.f32("eps", 1e-6);
  m.flag("on", true);
  m.texts("words", std::vector<std::string_view>{"a", "", "é"});
  m.ints("types", std::vector<int32_t>{1, -1});
  EXPECT_EQ(m.count(), 7U);
  const std::vector<GgufTensorPlan> plans{{"odd", QuantFormat::f32, {3}},
                                          {"blocks", QuantFormat::q8_0, {2, 64}},
                                          {"half", QuantFormat::bf16, {2, 3}}};
  auto writer = GgufWriter::create(dir / "x.gguf", m, plans);
  ASSERT_TRUE(writer) << writer.error().debug();
  EXPECT_FALSE(std::filesystem::exists(dir / "x.gguf"));
  std::vector<std::vector<std::byte>> bytes;
  for (size_t i = 0; i < plans.size(); ++i)
    bytes.emplace_back(static_cast<size_t>(gguf_tensor_bytes(plans[i])), static_cast<std::byte>(i + 1));
  ASSERT_TRUE(writer->write(2, 0, bytes[2]));
  ASSERT_TRUE(writer->write(1, 100, std::span(bytes[1]).subspan(100)));  // in any order, in portions
  ASSERT_TRUE(writer->write(1, 0, std::span(bytes[1]).first(100)));
  ASSERT_TRUE(writer->write(0, 0, bytes[0]));
  ASSERT_TRUE(writer->finish());

  const auto file = GgufFile::open(dir / "x.gguf");
  ASSERT_TRUE(file) << file.error().debug();
  const GgufFile& f = **file;
  EXPECT_EQ(f.version(), 3U);
  EXPECT_EQ(f.find("name")->as_string(), "tiny");
  EXPECT_EQ(f.find("count")->as_int(), 4000000000);
  EXPECT_EQ(f.find("below")->as_int(), -3);
  EXPECT_EQ(f.find("eps")->as_number(), 1e-6);
  EXPECT_EQ(f.find("on")->as_bool(), true);
  EXPECT_EQ(f.find("words")->as_strings(), (std::vector<std::string_view>{"a", "", "é"}));
  EXPECT_EQ(f.find("types")->as_ints(), (std::vector<int64_t>{1, -1}));
  for (size_t i = 0; i < plans.size(); ++i) {
    const GgufTensor& t = f.tensors().at(plans[i].name);
    EXPECT_EQ(t.type->format, plans[i].format);
    EXPECT_EQ(t.shape, plans[i].shape);
    EXPECT_TRUE(std::equal(t.bytes.begin(), t.bytes.end(), bytes[i].begin(), bytes[i].end())) << i;
  }
}

TEST(GgufWriter, LeavesNothingWithoutFinish) {
  const TempDir dir;
  { ASSERT_TRUE(GgufWriter::create(dir / "x.gguf", {}, {{"a", QuantFormat::f32, {4}}})); }
  EXPECT_TRUE(std::filesystem::is_empty(dir.path()));
  EXPECT_EQ(GgufWriter::create(dir / "no/x.gguf", {}, {}).error().code(), "file.write");
}

TEST(FreeSpace, IsCheckedWhereAFileWouldLie) {
  const TempDir dir;
  EXPECT_TRUE(check_free_space(dir / "not/there/yet", 1000));
  const Status full = check_free_space(dir / "not/there/yet", int64_t{1} << 60);
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().code(), "file.no_space");
}

}  // namespace
}  // namespace qw
