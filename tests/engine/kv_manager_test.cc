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
// Snapshots are taken before the last token.
int compute(KvManager& kv, SeqId id, const std::vector<int32_t>& ids, const PrefixKey& key = {}) {
  std::vector<StateOp> ops;
  const std::optional<int> found = kv.open(id, key, ids, ops);
  EXPECT_TRUE(found.has_value());
  EXPECT_EQ(kv.check_integrity(), "");
  const int n = static_cast<int>(ids.size()), border = n - 1;
  EXPECT_TRUE(kv.reserve(id, n));
  kv.begin_step(id, std::span(&border, found.value_or(0) < border ? 1 : 0));
  EXPECT_EQ(kv.check_integrity(), "");
  kv.commit(id, ids, n);
  EXPECT_EQ(kv.check_integrity(), "");
  return found.value_or(-1);
}

void close(KvManager& kv, SeqId id, const std::vector<int32_t>& ids) {
  kv.close(id, ids, true);
  EXPECT_EQ(kv.check_integrity(), "");
}

// As a request does: the prompt, then tokens up to `n`, then the end.
int generate(KvManager& kv, SeqId id, const std::vector<int32_t>& ids, int n_prompt) {
  const int found = compute(kv, id, {ids.begin(), ids.begin() + n_prompt});
  EXPECT_TRUE(kv.reserve(id, static_cast<int>(ids.size())));
  kv.begin_step(id, {});
  kv.commit(id, ids, n_prompt);
  close(kv, id, ids);
  return found;
}

std::vector<int32_t> joined(std::vector<int32_t> a, const std::vector<int32_t>& b) {
  a.insert(a.end(), b.begin(), b.end());
  return a;
}

TEST(KvManager, SharesFullPagesAndCopiesThePageInWhichTextsPart) {
  KvManager kv({.n_pages = 8});
  const auto a = tokens(2 * P + 5), b = tokens(2 * P + 9), c = tokens(2 * P);
  EXPECT_EQ(compute(kv, 1, a), 0);
  EXPECT_EQ(compute(kv, 2, b), 2 * P + 5);  // from a page that sequence 1 is still writing
  EXPECT_EQ(kv.pages(1)[0], kv.pages(2)[0]);
  EXPECT_EQ(kv.pages(1)[1], kv.pages(2)[1]);
  EXPECT_NE(kv.pages(1)[2], kv.pages(2)[2]);
  EXPECT_EQ(compute(kv, 3, c), 2 * P - 1);    // the last token must be computed
  EXPECT_EQ(kv.pages(3)[1], kv.pages(1)[1]);  // but its page is given back for the one already there
  EXPECT_EQ(kv.cached_pages(), 2);
  EXPECT_EQ(kv.owned_pages(), 2);
  close(kv, 1, a);
  close(kv, 2, b);
  close(kv, 3, c);
  EXPECT_EQ(kv.cached_pages(), 3);  // the longer of the two ends holds the shorter
  EXPECT_EQ(kv.available_pages(), 8);
}

TEST(KvManager, ATextGoesOnInThePageWhereItEnded) {
  KvManager kv({.n_pages = 8});
  const auto a = tokens(P + 10), b = tokens(P + 20);
  generate(kv, 1, a, P + 3);
  std::vector<StateOp> ops;
  EXPECT_EQ(kv.open(2, {}, b, ops), P + 10);
  EXPECT_TRUE(ops.empty());  // nothing is copied
  EXPECT_EQ(kv.owned_pages(), 1);
  EXPECT_EQ(kv.cached_pages(), 1);
  EXPECT_EQ(kv.open(3, {}, b, ops), P + 10);  // and another finds it meanwhile
  EXPECT_EQ(ops, (std::vector<StateOp>{{StateOp::Kind::copy_page, kv.pages(3)[1], kv.pages(2)[1]}}));
  EXPECT_EQ(kv.check_integrity(), "");
}

TEST(KvManager, FindsTheLongestOfManyBeginnings) {
  for (const int n_slots : {0, 40}) {
    KvManager kv({.n_pages = 64, .n_slots = n_slots});
    SeqId id = 1;
    for (const int n : {3, 25, 9, 17, 30, 12})
      for (const int other : {500, 100}) generate(kv, id++, joined(tokens(n), tokens(7, other)), n + 1);
    for (int n = 1; n < 40; ++n) {
      // With recurrent layers a snapshot lies where the prompts had their last token.
      int expected = std::min(n, 30);
      if (n_slots > 0) {
        expected = 0;
        for (const int m : {3, 9, 12, 17, 25, 30})
          if (m <= n) expected = m;
      }
      std::vector<StateOp> ops;
      const auto text = joined(tokens(n), tokens(5, 900));
      EXPECT_EQ(kv.open(id, {}, text, ops), expected) << n;
      close(kv, id++, {text.begin(), text.begin() + expected});
      EXPECT_EQ(kv.check_integrity(), "");
    }
  }
}

TEST(KvManager, KeepsTenantsAndAdaptersApart) {
  KvManager kv({.n_pages = 16});
  const auto ids = tokens(3 * P);
  compute(kv, 1, ids, {.tenant = 1});
  EXPECT_EQ(compute(kv, 2, ids, {.tenant = 2}), 0);
  EXPECT_EQ(compute(kv, 3, ids, {.tenant = 1, .adapter = 7}), 0);
  EXPECT_EQ(compute(kv, 4, ids, {.tenant = 1}), 3 * P - 1);
}

TEST(KvManager, EvictsTheLeastRecentlyUsedAndLeavesFirst) {
  KvManager kv({.n_pages = 4});
  generate(kv, 1, tokens(2 * P, 0), P);
  generate(kv, 2, tokens(2 * P, 1000), P);
  EXPECT_EQ(generate(kv, 3, tokens(2 * P + 2, 0), 2 * P + 1), 2 * P);  // its third page: the end of the other
  EXPECT_EQ(generate(kv, 4, tokens(P + 2, 1000), P + 1), P);
  EXPECT_EQ(compute(kv, 5, tokens(2 * P + 1, 1000)), P + 2);
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
  close(kv, 1, tokens(2 * P));
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
  close(kv, 1, ids);
  EXPECT_EQ(kv.page_cost({}, ids, 3 * P + 1), 4);  // cached and unused: available until pinned
}

TEST(KvManager, WithoutPrefixCacheNothingIsKept) {
  KvManager kv({.n_pages = 4, .prefix_cache = false});
  compute(kv, 1, tokens(3 * P));
  EXPECT_EQ(kv.cached_pages(), 0);
  close(kv, 1, tokens(3 * P));
  EXPECT_EQ(kv.free_pages(), 4);
  EXPECT_EQ(compute(kv, 2, tokens(3 * P)), 0);
}

TEST(KvManager, RecurrentMatchesEndAtASnapshot) {
  KvManager kv({.n_pages = 16, .n_slots = 6});
  std::vector<StateOp> ops;
  const auto ids = tokens(4 * P);
  ASSERT_EQ(kv.open(1, {}, ids, ops), 0);
  EXPECT_EQ(ops, (std::vector<StateOp>{{StateOp::Kind::clear, kv.slot(1), 0}}));
  ASSERT_TRUE(kv.reserve(1, 4 * P));
  const std::vector<int> borders{P + 7, 2 * P, 3 * P + 2};
  const std::vector<StateSave> saves = kv.begin_step(1, borders);
  ASSERT_EQ(saves.size(), 3U);
  kv.commit(1, std::span(ids).first(3 * P + 9), 4 * P);
  EXPECT_EQ(kv.check_integrity(), "");
  EXPECT_EQ(kv.snapshots(), 3);

  const int full[] = {P + 6, P + 7, 2 * P - 1, 2 * P, 3 * P + 1, 3 * P + 2, 4 * P - 1};
  const int found[] = {0, P + 7, P + 7, 2 * P, 2 * P, 3 * P + 2, 3 * P + 2};
  for (size_t i = 0; i < std::size(full); ++i) {
    ops.clear();
    const auto text = joined(tokens(full[i]), tokens(1, 900));
    EXPECT_EQ(kv.open(2, {}, text, ops), found[i]) << full[i];
    const int32_t from = found[i] == 0 ? 0 : saves[found[i] == P + 7 ? 0 : found[i] == 2 * P ? 1 : 2].slot;
    const auto kind = found[i] == 0 ? StateOp::Kind::clear : StateOp::Kind::copy;
    EXPECT_EQ(ops[0], (StateOp{kind, kv.slot(2), from}));
    EXPECT_EQ(ops.size(), found[i] % P == 0 ? 1U : 2U);  // and the page begun
    EXPECT_EQ(kv.check_integrity(), "");
    kv.close(2, std::span(text).first(static_cast<size_t>(found[i])), true);
    EXPECT_EQ(kv.check_integrity(), "");
  }
}

TEST(KvManager, TheStateAtTheEndIsKeptAndNotInTheMiddleOfAStep) {
  KvManager kv({.n_pages = 16, .n_slots = 8});
  const auto ids = tokens(P + 20);
  generate(kv, 1, ids, P + 4);
  EXPECT_EQ(kv.snapshots(), 2);  // before the last of the prompt, behind the answer
  std::vector<StateOp> ops;
  EXPECT_EQ(kv.open(2, {}, tokens(P + 30), ops), P + 20);
  ASSERT_TRUE(kv.reserve(2, P + 30));
  kv.begin_step(2, {});
  EXPECT_FALSE(kv.state_is_current(2));
  kv.close(2, ids, true);  // cancelled while the step runs: its slot holds a later state
  EXPECT_EQ(kv.check_integrity(), "");
  EXPECT_EQ(kv.snapshots(), 2);
  EXPECT_EQ(kv.open(3, {}, tokens(P + 10), ops), P + 3);
  EXPECT_EQ(kv.open(4, {}, ids, ops), P + 3);
}

TEST(KvManager, TheCheapestSnapshotGoesFirstAndAges) {
  KvManager kv({.n_pages = 64, .n_slots = 3});
  compute(kv, 1, tokens(20 * P));
  close(kv, 1, tokens(20 * P));  // snapshots one token apart: the last is cheap
  EXPECT_EQ(kv.snapshots(), 2);
  generate(kv, 2, tokens(40, 1000), 20);  // takes the slot of the last one, not that of the long beginning
  std::vector<StateOp> ops;
  EXPECT_EQ(kv.open(3, {}, tokens(21 * P), ops), 20 * P - 1);
  EXPECT_EQ(kv.explain({}, tokens(21 * P)).limit, ReuseLimit::snapshot_evicted);
  close(kv, 3, tokens(20 * P - 1));
  for (SeqId id = 4; id < 50; ++id)  // nobody asks for it any more: it is not kept for ever
    generate(kv, id, tokens(60, static_cast<int>(id) * 1000), 30);
  EXPECT_EQ(kv.open(50, {}, tokens(21 * P), ops), 0);
  EXPECT_EQ(kv.check_integrity(), "");
}

TEST(KvManager, TheLastSlotIsTheSnapshotItself) {
  KvManager kv({.n_pages = 8, .n_slots = 2});
  std::vector<StateOp> ops;
  const auto ids = tokens(2 * P);
  ASSERT_TRUE(kv.open(1, {}, ids, ops));
  ASSERT_TRUE(kv.reserve(1, P));
  const int border = P;
  const int32_t snapshot = kv.begin_step(1, std::span(&border, 1)).at(0).slot;
  kv.commit(1, std::span(ids).first(P), 2 * P);
  ops.clear();
  EXPECT_EQ(kv.open(2, {}, ids, ops), P);  // sequence 1 holds the other slot
  EXPECT_EQ(kv.slot(2), snapshot);
  EXPECT_TRUE(ops.empty());
  EXPECT_FALSE(kv.open(3, {}, ids, ops).has_value());
  EXPECT_EQ(kv.check_integrity(), "");
}

TEST(KvManager, DiscardTakesTheTextOutOfTheCache) {
  for (const int n_slots : {0, 8}) {
    KvManager kv({.n_pages = 16, .n_slots = n_slots});
    const auto ids = tokens(3 * P + 5);
    generate(kv, 1, tokens(2 * P), P + 1);
    compute(kv, 2, ids);
    compute(kv, 3, ids);  // shares what 2 computed
    kv.discard(2);
    EXPECT_EQ(kv.check_integrity(), "");
    std::vector<StateOp> ops;
    EXPECT_EQ(kv.open(4, {}, tokens(5 * P), ops), 0);  // nobody begins on it, though 3 still holds it
    kv.discard(4);
    kv.discard(3);
    EXPECT_EQ(kv.check_integrity(), "");
    EXPECT_EQ(kv.free_pages(), 16);
    generate(kv, 5, tokens(P + 9), P + 1);
    EXPECT_EQ(kv.open(6, {}, joined(tokens(P + 4), tokens(9, 900)), ops), n_slots > 0 ? P : P + 4);
    kv.discard(6);                                      // it began on a copy of a page: that page goes too
    EXPECT_EQ(kv.free_pages(), n_slots > 0 ? 14 : 16);  // with states it began on a full page, which goes on
    EXPECT_EQ(kv.check_integrity(), "");
  }
}

TEST(KvManager, ALongChainOfUselessPagesGoesAtOnce) {
  constexpr int kPages = 100000;  // would be too deep for a recursion
  KvManager kv({.n_pages = kPages, .n_slots = 2});
  const auto ids = tokens(kPages * P);
  std::vector<StateOp> ops;
  ASSERT_TRUE(kv.open(1, {}, ids, ops));
  ASSERT_TRUE(kv.reserve(1, kPages * P));
  kv.begin_step(1, {});
  kv.commit(1, ids, kPages * P);
  kv.close(1, ids, true);
  EXPECT_EQ(kv.cached_pages(), kPages);
  ASSERT_TRUE(kv.open(2, {}, tokens(5, 900), ops));
  ASSERT_TRUE(kv.open(3, {}, tokens(5, 800), ops));  // takes the slot of the only snapshot
  EXPECT_EQ(kv.free_pages(), kPages);
}

TEST(KvManager, SaysWhyNotMore) {
  KvManager kv({.n_pages = 8});
  const auto why = [&](const std::vector<int32_t>& ids, const PrefixKey& key = {}) {
    const Reuse r = kv.explain(key, ids);
    return fmt::format("{} {} {}", r.tokens, reuse_code(r.limit), r.at);
  };
  EXPECT_EQ(why(tokens(50)), "0 reuse.nothing_cached 0");
  generate(kv, 1, tokens(50), 40);
  EXPECT_EQ(why(tokens(50)), "49 reuse.all 49");
  EXPECT_EQ(why(tokens(70)), "50 reuse.new_text 50");
  EXPECT_EQ(why(joined(tokens(40), tokens(20, 900))), "40 reuse.differs 40");
  EXPECT_EQ(why(joined(tokens(20), tokens(20, 900))), "20 reuse.differs 20");
  EXPECT_EQ(why(tokens(20, 900)), "0 reuse.nothing_cached 0");
  EXPECT_EQ(why(tokens(50), {.tenant = 0, .adapter = 3}), "0 reuse.other_adapter 49");
  EXPECT_EQ(why(tokens(50), {.tenant = 4}), "0 reuse.nothing_cached 0");
  generate(kv, 2, tokens(7 * P, 5000), 40);  // takes every page but one
  EXPECT_EQ(why(tokens(70)), "32 reuse.pages_evicted 50");
  KvManager recurrent({.n_pages = 8, .n_slots = 3});
  generate(recurrent, 1, tokens(100), 40);
  const Reuse r = recurrent.explain({}, joined(tokens(70), tokens(10, 900)));
  EXPECT_EQ(r.tokens, 39);
  EXPECT_EQ(r.limit, ReuseLimit::differs);
  EXPECT_EQ(r.at, 70);
  KvManager none({.n_pages = 8, .prefix_cache = false});
  EXPECT_EQ(none.explain({}, tokens(9)).limit, ReuseLimit::off);
}

}  // namespace
}  // namespace qw
