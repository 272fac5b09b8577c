#include "apps/ids_input.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace qw::apps {
namespace {

TEST(IdsInput, LiteralAndFile) {
  EXPECT_EQ(read_ids("[1, 2,3]"), (std::vector<int32_t>{1, 2, 3}));
  EXPECT_EQ(read_ids("[]"), std::vector<int32_t>());
  const std::string file = testing::TempDir() + "ids.json";
  std::ofstream(file) << "[0, 2147483647]\n";
  EXPECT_EQ(read_ids(file), (std::vector<int32_t>{0, 2147483647}));
  std::filesystem::remove(file);
}

TEST(IdsInput, WhatIsNoId) {
  for (const char* bad : {"[1", "[-1]", "[1.0]", "[2147483648]", "[\"1\"]", "[null]", "[[1]]", "[1] 2"})
    EXPECT_EQ(read_ids(bad).error().code(), "cli.bad_ids") << bad;
  EXPECT_EQ(read_ids("/no/such/file").error().code(), "file.open");
  EXPECT_EQ(ids_from_json(Json::object(), "x").error().code(), "ids.not_ids");
  EXPECT_EQ(check_ids({1, 400}, 400).error().code(), "ids.too_large");
  EXPECT_EQ(check_ids({}, 400).error().code(), "ids.none");
  EXPECT_TRUE(check_ids({0, 399}, 400));
}

}  // namespace
}  // namespace qw::apps
