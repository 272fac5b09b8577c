// The parts of a download: ranges, journals, hashes, waiting times.
#include <gtest/gtest.h>
#include <stdlib.h>

#include <algorithm>
#include <fstream>

#include "base/mmap.h"
#include "base/rng.h"
#include "hub/hash.h"
#include "hub/part_file.h"
#include "hub/place_file.h"
#include "hub/range_set.h"
#include "hub/retry.h"

namespace qw::hub {
namespace {

namespace fs = std::filesystem;

class Folder : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "qw-hub-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
  }
  void TearDown() override { fs::remove_all(folder_); }
  fs::path folder_;
};

std::span<const std::byte> bytes(std::string_view s) {
  return std::as_bytes(std::span(s));
}

TEST(Ranges, AgreeWithASetOfBytes) {
  const Rng rng(name_key("ranges"));
  for (uint64_t round = 0; round < 200; ++round) {
    RangeSet set;
    std::vector<bool> naive(64);
    for (uint64_t i = 0; i < 30; ++i) {
      const auto a = static_cast<int64_t>(rng.below(65, round * 1000 + i * 3));
      const auto b = static_cast<int64_t>(rng.below(65, round * 1000 + i * 3 + 1));
      const bool add = rng.below(3, round * 1000 + i * 3 + 2) > 0;
      const ByteRange r{std::min(a, b), std::max(a, b)};
      add ? set.add(r) : set.remove(r);
      for (int64_t k = r.begin; k < r.end; ++k) naive[static_cast<size_t>(k)] = add;
      ASSERT_EQ(set.size(), std::count(naive.begin(), naive.end(), true));
      const auto gap = set.first_gap({a, 64});
      const auto first = std::find(naive.begin() + a, naive.end(), false);
      ASSERT_EQ(gap.has_value(), first != naive.end());
      if (gap) {
        ASSERT_EQ(gap->begin, first - naive.begin());
        ASSERT_EQ(gap->end, std::find(first, naive.end(), true) - naive.begin());
      }
      ASSERT_EQ(set.prefix(), std::find(naive.begin(), naive.end(), false) - naive.begin());
      for (auto it = set.ranges().begin(); it != set.ranges().end() && std::next(it) != set.ranges().end();
           ++it)
        ASSERT_LT(it->second, std::next(it)->first);
    }
  }
}

TEST(Hashes, KnownAnswers) {
  ContentHash sha(HashKind::sha256, 3);
  sha.add(bytes("abc"));
  EXPECT_EQ(sha.finish(), "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  ContentHash git(HashKind::git_sha1, 6);  // echo hello | git hash-object --stdin
  git.add(bytes("hel"));
  git.add(bytes("lo\n"));
  EXPECT_EQ(git.finish(), "ce013625030ba8dba906f756967f9e9ca394464a");
  ContentHash empty(HashKind::git_sha1, 0);
  EXPECT_EQ(empty.finish(), "e69de29bb2d1d6434b8b29ae775ad8c2e48c5391");
}

using Part = Folder;

TEST_F(Part, WhatWasSyncedIsTakenUp) {
  const RemoteFile file{.path = "w", .size = 10, .hash_kind = HashKind::sha256, .hash = "h"};
  {
    const auto part = PartFile::open(folder_, file, "v");
    ASSERT_TRUE(part) << part.error().debug();
    ASSERT_TRUE((*part)->write(6, bytes("6789")));
    ASSERT_TRUE((*part)->write(0, bytes("01")));
    ASSERT_TRUE((*part)->sync());
    ASSERT_TRUE((*part)->write(2, bytes("23")));  // never synced: to be fetched again
  }
  {
    const auto part = PartFile::open(folder_, file, "other version, same hash");
    ASSERT_TRUE(part);
    EXPECT_EQ((*part)->done_bytes(), 6);
    EXPECT_EQ((*part)->prefix().bytes, 2);
    ASSERT_TRUE((*part)->write(2, bytes("2345")));
    ASSERT_TRUE((*part)->finish(folder_ / "sub/w"));
  }
  EXPECT_EQ(read_file(folder_ / "sub/w").value(), "0123456789");
  EXPECT_EQ(std::distance(fs::directory_iterator(folder_), fs::directory_iterator()), 1);
}

TEST_F(Part, AJournalOfAnotherContentOrATornOneIsNotBelieved) {
  RemoteFile file{.path = "w", .size = 10, .hash_kind = HashKind::sha256, .hash = "h"};
  const fs::path journal = folder_ / (PartFile::stem(file) + ".ranges");
  const auto done_after = [&](const std::string& text, const RemoteFile& f) {
    std::ofstream(journal, std::ios::binary) << text;
    std::ofstream(folder_ / (PartFile::stem(file) + ".part"), std::ios::binary) << "0123456789";
    return (*PartFile::open(folder_, f, "v"))->done_bytes();
  };
  EXPECT_EQ(done_after("qw-part 1 10 h\n0 4\n6 9\n", file), 7);
  EXPECT_EQ(done_after("qw-part 1 10 h\n0 4\n6 9", file), 7);
  EXPECT_EQ(done_after("qw-part 1 10 h\n0 4\n6", file), 4);
  EXPECT_EQ(done_after("qw-part 1 10 h\n0 4\n6 99\n-3 2\nx y\n1 9\n", file), 4);
  EXPECT_EQ(done_after("qw-part 1 10 other\n0 4\n", file), 0);
  EXPECT_EQ(done_after("qw-part 1 11 h\n0 4\n", file), 0);
  EXPECT_EQ(done_after("", file), 0);
  RemoteFile no_hash = file;
  no_hash.hash.clear();
  EXPECT_EQ(done_after("qw-part 1 10 v\n0 4\n", no_hash), 4);
  EXPECT_EQ(done_after("qw-part 1 10 v2\n0 4\n", no_hash), 0);
  // More claimed than the file has.
  std::ofstream(journal, std::ios::binary) << "qw-part 1 10 h\n0 9\n";
  fs::resize_file(folder_ / (PartFile::stem(file) + ".part"), 5);
  EXPECT_EQ((*PartFile::open(folder_, file, "v"))->done_bytes(), 0);
}

TEST_F(Part, ALinkInThePlaceOfAPartIsNotFollowed) {
  const RemoteFile file{.path = "w", .size = 3};
  fs::create_symlink(folder_ / "victim", folder_ / (PartFile::stem(file) + ".part"));
  EXPECT_FALSE(PartFile::open(folder_, file, "v"));
  EXPECT_FALSE(fs::exists(folder_ / "victim"));
}

TEST_F(Part, PlacedFilesHaveTheContentWhateverTheWay) {
  std::ofstream(folder_ / "a") << "content";
  fs::create_symlink("a", folder_ / "link");
  ASSERT_TRUE(place_file(folder_ / "link", folder_ / "deep/b"));
  EXPECT_FALSE(fs::is_symlink(folder_ / "deep/b"));
  EXPECT_EQ(read_file(folder_ / "deep/b").value(), "content");
  if (fs::exists("/dev/shm")) {  // another file system: no link can be made
    std::string other = "/dev/shm/qw-hub-XXXXXX";
    ASSERT_NE(::mkdtemp(other.data()), nullptr);
    EXPECT_TRUE(place_file(folder_ / "a", fs::path(other) / "c"));
    EXPECT_EQ(read_file(fs::path(other) / "c").value(), "content");
    fs::remove_all(other);
  }
  EXPECT_EQ(place_file(folder_ / "none", folder_ / "d").error().code(), "file.open");
}

TEST(Waiting, TheServerIsHeard) {
  HttpOutcome busy{.status = 429};
  busy.headers["retry-after"] = "7";
  EXPECT_EQ(asked_wait(busy, 0)->count(), 7);
  busy.headers["retry-after"] = "Thu, 01 Jan 1970 00:01:40 GMT";
  EXPECT_EQ(asked_wait(busy, 40)->count(), 60);
  EXPECT_EQ(asked_wait(busy, 200)->count(), 0);
  busy.headers = {{"ratelimit", "\"api\";r=0;t=55"}};
  EXPECT_EQ(asked_wait(busy, 0)->count(), 55);
  busy.headers.clear();
  EXPECT_FALSE(asked_wait(busy, 0));
  const RetryPolicy policy;
  EXPECT_EQ(wait_before(policy, 1, busy).count(), 500);
  EXPECT_EQ(wait_before(policy, 3, busy).count(), 2000);
  EXPECT_EQ(wait_before(policy, 60, busy).count(), 30000);
  for (const int status : {408, 429, 500, 502, 503, 504})
    EXPECT_TRUE(may_retry({.status = status})) << status;
  for (const int status : {200, 400, 401, 403, 404, 416, 501})
    EXPECT_FALSE(may_retry({.status = status})) << status;
  EXPECT_TRUE(may_retry({.fault = HttpFault::broken}));
  EXPECT_FALSE(may_retry({.fault = HttpFault::tls}));
}

}  // namespace
}  // namespace qw::hub
