#include "apps/memory.h"

#include <gtest/gtest.h>

#include "backend/cpu/cpu_backend.h"
#include "tests/engine/tiny_models.h"
#include "tests/io/temp_dir.h"

namespace qw::apps {
namespace {

void limit(const TempDir& root, const std::string& group, const char* most, const char* used,
           const char* files) {
  root.write(group + "memory.max", most);
  root.write(group + "memory.current", used);
  root.write(group + "memory.stat",
             std::string("anon 12\ninactive_file ") + files + "\nactive_file 30\nshmem 7\n");
}

TEST(Memory, PagesOfFilesLeaveRoomInACgroup) {
  const TempDir root;
  limit(root, "", "max\n", "900000\n", "0");
  EXPECT_FALSE(cgroup_room(root.path(), "/"));
  limit(root, "job/", "1000\n", "950\n", "800");
  EXPECT_EQ(cgroup_room(root.path(), "/job"), 1000U - (950 - 830));
  limit(root, "job/", "1000\n", "1200\n", "0");  // over its limit
  EXPECT_EQ(cgroup_room(root.path(), "/job"), 0U);
}

TEST(Memory, TheTightestCgroupCounts) {
  const TempDir root;
  limit(root, "a/", "500\n", "130\n", "0");
  limit(root, "a/b/", "10000\n", "130\n", "0");
  limit(root, "a/b/c/", "max\n", "130\n", "0");
  EXPECT_EQ(cgroup_room(root.path(), "/a/b/c"), 400U);
  EXPECT_EQ(cgroup_room(root.path(), "/a/b"), 400U);
  EXPECT_FALSE(cgroup_room(root.path(), "/"));
  EXPECT_FALSE(cgroup_room(root.path(), ""));
  EXPECT_EQ(cgroup_room(root.path(), "/gone/away"), std::nullopt);
}

TEST(Memory, AShareIsLeftToTheProgramItself) {
  EXPECT_TRUE(fits_into(940, 1000));
  EXPECT_FALSE(fits_into(960, 1000));
  EXPECT_TRUE(fits_into(960, 0));  // unknown
}

TEST(Memory, SnapshotsGoBeforeTokensOfTheContext) {
  const auto backend = make_cpu_backend({.threads = 1, .isa = {}}).value();
  test::ToyHybrid model(*backend, 1);
  Console console{.quiet = true};
  const EngineOptions wished{.ctx_tokens = 512, .max_seqs = 1};
  const MemoryPlan whole = plan_memory(model, DType::f32, wished).value();
  ASSERT_GT(whole.limits.n_slots, 8);
  const auto fit = [&](size_t bytes, bool fixed_ctx) {
    EngineOptions options = wished;
    return fit_memory(console, model, options, fixed_ctx, 16, {.available = bytes * 100 / 95 + 1});
  };
  EXPECT_EQ(fit(whole.total_bytes(), true).value().limits.n_slots, whole.limits.n_slots);
  const MemoryPlan fewer = fit(whole.total_bytes() - whole.state_bytes / 2, true).value();
  EXPECT_EQ(fewer.limits.ctx_tokens, 512);
  EXPECT_LT(fewer.limits.n_slots, whole.limits.n_slots);
  EXPECT_GT(fewer.limits.n_slots, whole.limits.n_slots / 3);
  // Then the context is made shorter, where it may be.
  const size_t tight = whole.total_bytes() - whole.state_bytes - whole.kv_bytes / 2;
  EXPECT_EQ(fit(tight, true).error().code(), "memory.exhausted");
  const MemoryPlan shorter = fit(tight, false).value();
  EXPECT_EQ(shorter.limits.n_slots, 2);
  EXPECT_LT(shorter.limits.ctx_tokens, 512);
  EXPECT_GE(shorter.limits.ctx_tokens, 128);
}

}  // namespace
}  // namespace qw::apps
