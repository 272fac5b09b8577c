#include "io/staged_folder.h"

#include <gtest/gtest.h>

#include "base/mmap.h"
#include "tests/io/temp_dir.h"

namespace qw {
namespace {

namespace fs = std::filesystem;

size_t entries(const fs::path& folder) {
  return static_cast<size_t>(std::distance(fs::directory_iterator(folder), fs::directory_iterator()));
}

TEST(StagedFolder, AppearsWholeAtCommit) {
  const TempDir dir;
  auto staged = StagedFolder::create(dir / "a/b/out/");
  ASSERT_TRUE(staged) << staged.error().debug();
  ASSERT_TRUE(write_file_atomic(staged->path() / "x", "1"));
  EXPECT_FALSE(fs::exists(dir / "a/b/out"));
  ASSERT_TRUE(staged->commit());
  EXPECT_EQ(*read_file(dir / "a/b/out/x"), "1");
  EXPECT_EQ(entries(dir / "a/b"), 1U);
}

TEST(StagedFolder, LeavesNothingBehindWithoutCommit) {
  const TempDir dir;
  {
    auto staged = StagedFolder::create(dir / "out");
    ASSERT_TRUE(staged);
    ASSERT_TRUE(write_file_atomic(staged->path() / "x", "1"));
    EXPECT_EQ(entries(dir.path()), 1U);
  }
  EXPECT_EQ(entries(dir.path()), 0U);
}

TEST(StagedFolder, RemovesWhatAKilledWriterLeft) {
  const TempDir dir;
  const auto unfinished = StagedFolder::create(dir / "out");
  ASSERT_TRUE(unfinished);
  ASSERT_TRUE(write_file_atomic(unfinished->path() / "x", "1"));
  dir.write(".out.backup/x", "mine");
  dir.write(".other.qw-abcdef/x", "mine");
  StagedFolder::remove_unfinished(dir / "out/");
  EXPECT_FALSE(fs::exists(unfinished->path()));
  EXPECT_EQ(entries(dir.path()), 2U);
}

TEST(StagedFolder, KeepsOtherFilesOfAFolderThatIsThere) {
  const TempDir dir;
  dir.write("out/x", "old");
  dir.write("out/log", "kept");
  auto staged = StagedFolder::create(dir / "out");
  ASSERT_TRUE(staged);
  ASSERT_TRUE(write_file_atomic(staged->path() / "x", "new"));
  ASSERT_TRUE(write_file_atomic(staged->path() / "a", "more"));
  EXPECT_EQ(*read_file(dir / "out/x"), "old");
  ASSERT_TRUE(staged->commit("a"));
  EXPECT_EQ(*read_file(dir / "out/x"), "new");
  EXPECT_EQ(*read_file(dir / "out/a"), "more");
  EXPECT_EQ(*read_file(dir / "out/log"), "kept");
  EXPECT_EQ(entries(dir.path()), 1U);
}

TEST(StagedFolder, SubFoldersGoIntoThoseThatAreThere) {
  const TempDir dir;
  dir.write("out/sub/config.json", "old");
  dir.write("out/sub/log", "kept");
  auto staged = StagedFolder::create(dir / "out");
  ASSERT_TRUE(staged);
  for (const char* folder : {"sub", "new"}) {
    fs::create_directories(staged->path() / folder);
    ASSERT_TRUE(write_file_atomic(staged->path() / folder / "config.json", folder));
  }
  ASSERT_TRUE(staged->commit("config.json"));
  EXPECT_EQ(*read_file(dir / "out/sub/config.json"), "sub");
  EXPECT_EQ(*read_file(dir / "out/sub/log"), "kept");
  EXPECT_EQ(*read_file(dir / "out/new/config.json"), "new");
  EXPECT_EQ(entries(dir.path()), 1U);
}

TEST(StagedFolder, SaysWhereItCannotWrite) {
  const TempDir dir;
  dir.write("file", "");
  const auto staged = StagedFolder::create(dir / "file/out");
  ASSERT_FALSE(staged);
  EXPECT_EQ(staged.error().code(), "file.write");
}

}  // namespace
}  // namespace qw
