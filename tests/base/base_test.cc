// base/: Result, JSON, files, random numbers, thread pool.
#include <gtest/gtest.h>
#include <unistd.h>

#include <array>
#include <filesystem>
#include <fstream>
#include <string>

#include "base/atomic_file.h"
#include "base/json.h"
#include "base/json_spelling.h"
#include "base/mmap.h"
#include "base/result.h"
#include "base/rng.h"

namespace qw {
namespace {

Result<int> half(int n) {
  if (n % 2 != 0) return fail("test.odd", {{"n", n}});
  return n / 2;
}

Result<int> quarter(int n) {
  QW_TRY(const int h, half(n));
  QW_TRY(half(h));
  return h / 2;
}

TEST(Result, TryPassesValueAndError) {
  EXPECT_EQ(quarter(8).value(), 2);
  EXPECT_EQ(quarter(6).error().debug(), "test.odd n=3");
  EXPECT_EQ(quarter(6).error().arg("n"), "3");
  EXPECT_EQ(quarter(6).error().arg("absent"), "");
}

// Known answers of Random123's kat_vectors for philox4x32-10.
TEST(Rng, PhiloxKnownAnswers) {
  EXPECT_EQ(philox4x32({0, 0, 0, 0}, {0, 0}),
            (std::array<uint32_t, 4>{0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8}));
  const uint32_t f = 0xffffffff;
  EXPECT_EQ(philox4x32({f, f, f, f}, {f, f}),
            (std::array<uint32_t, 4>{0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd}));
}

TEST(Rng, UniformIsInRangeAndRepeats) {
  const Rng rng(7);
  double sum = 0;
  for (uint64_t i = 0; i < 10000; ++i) {
    const double u = rng.uniform(i);
    ASSERT_GE(u, 0.0);
    ASSERT_LT(u, 1.0);
    ASSERT_EQ(u, Rng(7).uniform(i));
    ASSERT_LT(rng.below(3, i), 3u);
    sum += u;
  }
  EXPECT_NEAR(sum / 10000, 0.5, 0.02);
}

TEST(Json, MembersAsTheyAreSpelled) {
  using Members = std::vector<std::pair<std::string, std::string_view>>;
  EXPECT_EQ(spelled_members(" { } "), Members());
  EXPECT_EQ(spelled_members(R"({"a": 1.0 , "\u0062" :"},\":\\","a":[{"x":[1,{}]},2]} )"),
            (Members{{"a", " 1.0 "}, {"b", R"("},\":\\")"}, {"a", R"([{"x":[1,{}]},2])"}}));
}

TEST(Json, RefusesDepthAndGarbage) {
  EXPECT_EQ(parse_json(std::string(300, '['), "x").error().code(), "json.too_deep");
  EXPECT_EQ(parse_json("{\"a\": }", "x").error().code(), "json.parse");
  EXPECT_EQ(to_json_line(parse_json("{\"b\":\"é\",\"a\":1}", "x").value()), "{\"b\":\"\\u00e9\",\"a\":1}");
}

TEST(Files, AtomicWriteAndMap) {
  const auto dir = std::filesystem::temp_directory_path() / ("qw_base_test_" + std::to_string(::getpid()));
  std::filesystem::create_directories(dir);
  const auto file = dir / "a.txt";
  ASSERT_TRUE(write_file_atomic(file, "one"));
  ASSERT_TRUE(write_file_atomic(file, "two"));
  EXPECT_EQ(read_file(file).value(), "two");
  EXPECT_EQ(read_file(file, 2).error().code(), "file.too_large");
  EXPECT_EQ(MappedFile::open(dir / "absent").error().code(), "file.open");
  EXPECT_EQ(MappedFile::open(dir).error().code(), "file.not_regular");
  EXPECT_EQ(write_file_atomic(dir / "no" / "b", "x").error().code(), "file.write");
  std::ofstream(dir / "empty").close();
  EXPECT_TRUE(MappedFile::open(dir / "empty").value()->bytes().empty());
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir), std::filesystem::directory_iterator()),
            2);
  std::filesystem::remove_all(dir);
}

TEST(Files, WhatAKilledWriterLeftGoesAndNothingElse) {
  namespace fs = std::filesystem;
  const auto dir = fs::temp_directory_path() / ("qw_base_left_" + std::to_string(::getpid()));
  fs::create_directories(dir);
  const auto unfinished = AtomicFile::create(dir / "a.gguf");
  ASSERT_TRUE(unfinished);
  for (const char* name : {"a.gguf", "a.gguf.sha256", "a.gguf.qw-long-ago", "b.gguf.qw-abcdef"})
    std::ofstream(dir / name) << "mine";
  const auto entries = [&] { return std::distance(fs::directory_iterator(dir), fs::directory_iterator()); };
  EXPECT_EQ(entries(), 5);
  remove_unfinished(dir / "a.gguf");
  EXPECT_EQ(entries(), 4);
  for (const char* name : {"a.gguf", "a.gguf.sha256", "a.gguf.qw-long-ago", "b.gguf.qw-abcdef"})
    EXPECT_TRUE(fs::exists(dir / name)) << name;
  fs::remove_all(dir);
}

}  // namespace
}  // namespace qw
