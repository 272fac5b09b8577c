#include "engine/kv_manager.h"

#include <gtest/gtest.h>

#include <numeric>

namespace qw {
namespace {

constexpr int P = kPageTokens;

std::vector<int32_t> tokens(int n, int first = 0) {
  std::vector<int32_t> ids(static_cast<size_t>(n));
  std::iota(ids.begin(), ids.end(), first);
  return ids;
}

// Opens, computes and publishes all of `ids`; leaves the sequence open. Answers what the cache gave.
int compute(KvManager& kv, SeqId id, const std::vector<int32_t>& ids, const PrefixKey& key = {}) {
  std::vector<StateOp> ops;
  const std::optional<int> found = kv.open(id, key, ids, ops);
  EXPECT_TRUE(found.has_value());
  EXPECT_TRUE(kv.reserve(id, static_cast<int>(ids.size())));
  kv.commit(id, ids, static_cast<int>(ids.size()), ops);
  EXPECT_EQ(kv.check_integrity(), "");
  return found.value_or(-1);
}

TEST(KvManager, SharesFullPagesAndNeverTheWholePrompt) {
  KvManager kv({.n_pages = 8});
  EXPECT_EQ(compute(kv, 1, tokens(2 * P + 5)), 0);
  EXPECT_EQ(compute(kv, 2, tokens(2 * P + 9)), 2 * P);
  EXPECT_EQ(kv.pages(1)[0], kv.pages(2)[0]);
  EXPECT_EQ(kv.pages(1)[1], kv.pages(2)[1]);
  EXPECT_NE(kv.pages(1)[2], kv.pages(2)[2]);
  EXPECT_EQ(compute(kv, 3, tokens(2 * P)), P);  // the last token must be computed
  EXPECT_EQ(kv.pages(3)[1], kv.pages(1)[1]);    // but its page is given back for the one already there
  EXPECT_EQ(kv.cached_pages(), 2);
  EXPECT_EQ(kv.owned_pages(), 2);
  for (const SeqId id : {SeqId{1}, SeqId{2}, SeqId{3}}) kv.close(id);
  EXPECT_EQ(kv.check_integrity(), "");
  EXPECT_EQ(kv.free_pages(), 6);
  EXPECT_EQ(kv.available_pages(), 8);
}

TEST(KvManager, KeepsTenantsAndAdaptersApart) {
  KvManager kv({.n_pages = 16});
  const auto ids = tokens(3 * P);
  compute(kv, 1, ids, {.tenant = 1});
  EXPECT_EQ(compute(kv, 2, ids, {.tenant = 2}), 0);
  EXPECT_EQ(compute(kv, 3, ids, {.tenant = 1, .adapter = 7}), 0);
  EXPECT_EQ(compute(kv, 4, ids, {.tenant = 1}), 2 * P);
}

TEST(KvManager, EvictsTheLeastRecentlyUsedAndLeavesFirst) {
  KvManager kv({.n_pages = 4});
  compute(kv, 1, tokens(2 * P, 0));
  compute(kv, 2, tokens(2 * P, 1000));
  kv.close(1);
  kv.close(2);
  EXPECT_EQ(compute(kv, 3, tokens(2 * P + 1, 0)), 2 * P);  // takes a third page: the tail of the older chain
  kv.close(3);
  EXPECT_EQ(compute(kv, 4, tokens(P + 1, 1000)), P);
  kv.close(4);
  EXPECT_EQ(compute(kv, 5, tokens(2 * P + 1, 1000)), P);
}

TEST(KvManager, ReserveIsAllOrNothing) {
  KvManager kv({.n_pages = 4});
  compute(kv, 1, tokens(2 * P));
  std::vector<StateOp> ops;
  ASSERT_TRUE(kv.open(2, {}, tokens(P, 500), ops));
  EXPECT_FALSE(kv.reserve(2, 3 * P));
  EXPECT_EQ(kv.pages(2).size(), 0U);
  EXPECT_TRUE(kv.reserve(2, 2 * P));
  EXPECT_FALSE(kv.reserve(2, 2 * P + 1));
  kv.close(1);
  EXPECT_TRUE(kv.reserve(2, 4 * P));
  EXPECT_EQ(kv.cached_pages(), 0);
  EXPECT_EQ(kv.check_integrity(), "");
}

TEST(KvManager, PageCostCountsWhatLeavesTheAvailablePages) {
  KvManager kv({.n_pages = 8});
  const auto ids = tokens(3 * P + 1);
  EXPECT_EQ(kv.page_cost({}, ids, 3 * P + 1), 4);
  compute(kv, 1, ids);
  EXPECT_EQ(kv.page_cost({}, ids, 3 * P + 1), 1);  // three are shared with a running sequence
  kv.close(1);
  EXPECT_EQ(kv.page_cost({}, ids, 3 * P + 1), 4);  // cached and unused: available until pinned
}

TEST(KvManager, WithoutPrefixCacheNothingIsKept) {
  KvManager kv({.n_pages = 4, .prefix_cache = false});
  compute(kv, 1, tokens(3 * P));
  EXPECT_EQ(kv.cached_pages(), 0);
  kv.close(1);
  EXPECT_EQ(kv.free_pages(), 4);
  EXPECT_EQ(compute(kv, 2, tokens(3 * P)), 0);
}

TEST(KvManager, RecurrentMatchesEndAtASnapshot) {
  KvManager kv({.n_pages = 16, .n_slots = 4});
  std::vector<StateOp> ops;
  const auto ids = tokens(4 * P);
  ASSERT_EQ(kv.open(1, {}, ids, ops), 0);
  const int slot = kv.slot(1);
  EXPECT_EQ(ops, (std::vector<StateOp>{{StateOp::Kind::clear, slot, 0}}));
  ASSERT_TRUE(kv.reserve(1, 4 * P));
  ops.clear();
  kv.commit(1, std::span(ids).first(2 * P), 4 * P, ops);  // ends at a page: a snapshot
  ASSERT_EQ(ops.size(), 1U);
  EXPECT_EQ(ops[0].from, slot);
  const int snapshot = ops[0].to;
  ops.clear();
  kv.commit(1, std::span(ids).first(3 * P + 7), 4 * P, ops);  // three full pages, no snapshot at the third
  EXPECT_TRUE(ops.empty());

  EXPECT_EQ(kv.open(2, {}, ids, ops), 2 * P);
  EXPECT_EQ(ops, (std::vector<StateOp>{{StateOp::Kind::copy, kv.slot(2), snapshot}}));
  EXPECT_EQ(kv.check_integrity(), "");
}

TEST(KvManager, SnapshotsOfAnAnswerReplaceEachOther) {
  KvManager kv({.n_pages = 16, .n_slots = 8});
  std::vector<StateOp> ops;
  const auto ids = tokens(5 * P);
  ASSERT_TRUE(kv.open(1, {}, ids, ops));
  ASSERT_TRUE(kv.reserve(1, 5 * P));
  for (int n = P; n <= 4 * P; n += P) kv.commit(1, std::span(ids).first(static_cast<size_t>(n)), P, ops);
  kv.close(1);
  EXPECT_EQ(kv.open(2, {}, std::span(ids).first(3 * P + 1), ops), P);  // the prompt's own
  EXPECT_EQ(kv.open(3, {}, ids, ops), 4 * P);                          // the answer's last
  EXPECT_EQ(kv.check_integrity(), "");
}

TEST(KvManager, TheLastSlotIsTheSnapshotItself) {
  KvManager kv({.n_pages = 8, .n_slots = 2});
  std::vector<StateOp> ops;
  const auto ids = tokens(2 * P);
  ASSERT_TRUE(kv.open(1, {}, ids, ops));
  ASSERT_TRUE(kv.reserve(1, P));
  kv.commit(1, std::span(ids).first(P), 2 * P, ops);
  const int snapshot = ops.back().to;
  ops.clear();
  EXPECT_EQ(kv.open(2, {}, ids, ops), P);  // sequence 1 holds the other slot
  EXPECT_EQ(kv.slot(2), snapshot);
  EXPECT_TRUE(ops.empty());
  EXPECT_FALSE(kv.open(3, {}, ids, ops).has_value());
  EXPECT_EQ(kv.check_integrity(), "");
}

}  // namespace
}  // namespace qw
