#include "apps/paths.h"

#include <gtest/gtest.h>

#include <cstdlib>
#include <fstream>

#include "hub/store.h"

namespace qw::apps {
namespace {

namespace fs = std::filesystem;

class Paths : public testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = (fs::temp_directory_path() / "qw-paths-XXXXXX").string();
    folder_ = ::mkdtemp(pattern.data());
    fs::create_directories(folder_ / "home/models/store-folder");
    fs::create_directories(folder_ / "here/here-folder");
    fs::create_directories(folder_ / "here/store-folder");
    touch("home/models/both.gguf");
    touch("here/both.gguf");
    touch("home/models/named.gguf");
    before_ = fs::current_path();
    fs::current_path(folder_ / "here");
    ::setenv("QW_HOME", (folder_ / "home").c_str(), 1);
  }
  void TearDown() override {
    fs::current_path(before_);
    ::unsetenv("QW_HOME");
    fs::remove_all(folder_);
  }
  void touch(const std::string& name) { std::ofstream(folder_ / name) << "x"; }

  fs::path folder_, before_;
};

TEST_F(Paths, PathThenFileThenStoreThenHere) {
  EXPECT_EQ(resolve_model("./here-folder"), fs::path("./here-folder"));
  EXPECT_EQ(resolve_model("both.gguf"), fs::path("both.gguf"));  // an existing file is a path
  EXPECT_EQ(resolve_model("store-folder"), folder_ / "home/models/store-folder");
  EXPECT_EQ(resolve_model("named"), folder_ / "home/models/named.gguf");
  EXPECT_EQ(resolve_model("here-folder"), fs::path("./here-folder"));
}

TEST_F(Paths, WhatIsNotThereIsSaid) {
  const auto path = resolve_model("./nothing");
  ASSERT_FALSE(path.has_value());
  EXPECT_EQ(path.error().code(), "model.no_path");
  const auto name = resolve_model("nothing");
  ASSERT_FALSE(name.has_value());
  EXPECT_EQ(name.error().code(), "model.no_name");
  EXPECT_EQ(name.error().arg("known"), "both.gguf, named.gguf, store-folder");
  EXPECT_EQ(resolve_model("").error().code(), "cli.empty_model");
}

// What model.several lists are keys: each names its model.
TEST_F(Paths, AKeyOfTheStoreNamesItsModel) {
  const std::string key = "url/example.org/my file.gguf.0123abcd";
  const fs::path stored = folder_ / "home/models" / key;
  fs::create_directories(stored);
  std::ofstream(stored / "my file.gguf") << "GGUF";
  hub::Record record;
  record.name = "https://example.org/my file.gguf";
  record.source = "url";
  record.model_file = "my file.gguf";
  record.files = {{.path = "my file.gguf", .size = 4}};
  ASSERT_TRUE(hub::write_record(stored, record));
  EXPECT_EQ(resolve_model(key), stored / "my file.gguf");
  EXPECT_EQ(resolve_model("url/example.org/other.gguf.0123abcd").error().code(), "model.no_path");
}

TEST_F(Paths, HomeFollowsTheVariables) {
  EXPECT_EQ(qw_home(), folder_ / "home");
  ::unsetenv("QW_HOME");
  ::setenv("XDG_DATA_HOME", "/x/data", 1);
  EXPECT_EQ(qw_home(), fs::path("/x/data/qw"));
  ::unsetenv("XDG_DATA_HOME");
  const std::string home = std::getenv("HOME") == nullptr ? "" : std::getenv("HOME");
  ::setenv("HOME", "/x/me", 1);
  EXPECT_EQ(qw_home(), fs::path("/x/me/.local/share/qw"));
  ::setenv("HOME", home.c_str(), 1);
}

TEST_F(Paths, TheLastModelIsRememberedWhileItIsThere) {
  EXPECT_FALSE(remembered_model());
  remember_model("both.gguf");
  EXPECT_EQ(remembered_model(), fs::canonical(folder_) / "here/both.gguf");
  remember_model(folder_ / "home/models/named.gguf");
  EXPECT_EQ(remembered_model(), folder_ / "home/models/named.gguf");
  fs::remove(folder_ / "home/models/named.gguf");
  EXPECT_FALSE(remembered_model());
  ::setenv("QW_HOME", "/dev/null/no", 1);
  remember_model("both.gguf");  // nothing can be written, nothing is said
  EXPECT_FALSE(remembered_model());
}

TEST_F(Paths, TheShippedModelLiesInTheTreeOrBesideTheInstallation) {
  const fs::path built = folder_ / "tree/build/release/src/apps/qw", installed = folder_ / "usr/bin/qw";
  fs::create_directories(folder_ / "tree/models/nano");
  fs::create_directories(folder_ / "usr/share/qw/models/nano");
  EXPECT_FALSE(shipped_model(built));
  EXPECT_FALSE(shipped_model(installed));
  EXPECT_FALSE(shipped_model(""));
  touch("tree/models/nano/nano-2.gguf");
  touch("tree/models/nano/nano-1.gguf");
  touch("tree/models/nano/README.md");
  EXPECT_FALSE(shipped_model(built));  // no tree of sources
  touch("tree/CMakeLists.txt");
  EXPECT_EQ(shipped_model(built), folder_ / "tree/models/nano/nano-1.gguf");
  touch("usr/share/qw/models/nano/nano.gguf");
  EXPECT_EQ(shipped_model(installed), folder_ / "usr/share/qw/models/nano/nano.gguf");
  EXPECT_TRUE(fs::exists(program_file()));
}

}  // namespace
}  // namespace qw::apps
