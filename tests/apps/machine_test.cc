#include "apps/hub/machine.h"

#include <gtest/gtest.h>

#include "apps/hub/suggest.h"
#include "apps/hub/table.h"

namespace qw::apps {
namespace {

constexpr int64_t kGb = 1'000'000'000;

TEST(Machine, WhatFitsIsWeightsKeysAndValuesAndRoom) {
  const hub::Catalogue catalogue = hub::load_catalogue();
  const hub::CatalogueModel& m = *catalogue.find("qwen3:8b");
  const Machine large{.available_bytes = 40 * kGb, .read_gb_s = 40};
  const Fit whole = fit_of(m, large);
  EXPECT_EQ(whole.kind, FitKind::whole);
  // 8.19 G weights of 2 bytes, 5 % and 300 MiB, and 36 layers of 2 x 8 x 128 f16 for each of 4,096 tokens.
  EXPECT_NEAR(static_cast<double>(whole.bytes),
              2 * 8.191e9 * 1.05 + 314'572'800 + 4096.0 * 36 * 2 * 8 * 128 * 2, 1e3);
  EXPECT_NEAR(whole.tok_s, 40 / (8.191 * 4.9 / 8), 0.01);  // its GGUF file is what a pull gets
  EXPECT_NEAR(fit_of(*catalogue.find("qwen3:4b-base"), large).tok_s, 40 / (2 * 4.022), 0.01);
  EXPECT_EQ(fit_of(m, {.available_bytes = whole.bytes, .read_gb_s = 1}).kind, FitKind::whole);
  EXPECT_EQ(fit_of(m, {.available_bytes = whole.bytes - 1, .read_gb_s = 1}).kind, FitKind::with_4_bits);
  EXPECT_EQ(fit_of(m, {.available_bytes = 5 * kGb, .read_gb_s = 1}).kind, FitKind::no);
  // A mixture of experts reads a part of itself.
  const Fit experts =
      fit_of(*catalogue.find("qwen3:30b-a3b"), {.available_bytes = 24 * kGb, .read_gb_s = 40});
  EXPECT_EQ(experts.kind, FitKind::with_4_bits);
  EXPECT_NEAR(experts.tok_s, 40 / (3.3 * 4.9 / 8), 0.1);
}

TEST(Machine, TheBestOneFitsWithRoomAndIsFastEnough) {
  const hub::Catalogue catalogue = hub::load_catalogue();
  const auto name = [&](Machine machine, int64_t disk) -> std::string {
    const hub::CatalogueModel* best = best_for(catalogue, machine, disk);
    return best == nullptr ? "" : best->name;
  };
  EXPECT_EQ(name({.available_bytes = 1 * kGb, .read_gb_s = 50}, 100 * kGb), "");
  EXPECT_EQ(name({.available_bytes = 12 * kGb, .read_gb_s = 50}, 2 * kGb), "qwen3:0.6b");
  EXPECT_EQ(name({.available_bytes = 11 * kGb, .read_gb_s = 50}, 100 * kGb), "qwen3:8b");
  EXPECT_EQ(name({.available_bytes = 11 * kGb, .read_gb_s = 1}, 100 * kGb), "");
  EXPECT_EQ(name({}, 0), "");
}

TEST(Table, ColumnsAreCellsWide) {
  const Table table{.columns = {{.head = "名称"}, {.head = "N", .right = true}},
                    .rows = {{"a", "10"}, {"模型x", "7"}, {"", ""}}};
  EXPECT_EQ(table_text(table), "名称    N\na      10\n模型x   7\n\n");
  Table wide{.columns = {{.head = "A"}, {.head = "BBBB", .optional = true}, {.head = "CC", .optional = true}},
             .rows = {{"1", "2", "3"}}};
  EXPECT_EQ(table_text(wide, 11), "A  BBBB  CC\n1  2     3\n");
  EXPECT_EQ(table_text(wide, 10), "A  CC\n1  3\n");
  EXPECT_EQ(table_text(wide, 1), "A\n1\n");
}

}  // namespace
}  // namespace qw::apps
