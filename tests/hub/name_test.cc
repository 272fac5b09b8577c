#include "hub/name.h"

#include <gtest/gtest.h>

#include "hub/listing.h"
#include "hub/url.h"

namespace qw::hub {
namespace {

ModelName named(std::string_view text) {
  const auto name = parse_name(text);
  EXPECT_TRUE(name.has_value()) << text;
  return name.value_or(ModelName{});
}

TEST(Name, FormsOfHuggingFace) {
  for (const char* text : {"Qwen/Qwen3-0.6B", "hf:Qwen/Qwen3-0.6B", "hf.co/Qwen/Qwen3-0.6B",
                           "https://huggingface.co/Qwen/Qwen3-0.6B", "https://hf.co/Qwen/Qwen3-0.6B/"}) {
    const ModelName name = named(text);
    EXPECT_EQ(name.source, Source::huggingface) << text;
    EXPECT_EQ(name.repository(), "Qwen/Qwen3-0.6B") << text;
    EXPECT_EQ(name.text(), "Qwen/Qwen3-0.6B") << text;
  }
  const ModelName full = named("Qwen/Qwen3-0.6B-GGUF@refs/pr/3:q8_0");
  EXPECT_EQ(full.repository(), "Qwen/Qwen3-0.6B-GGUF");
  EXPECT_EQ(full.revision, "refs/pr/3");
  EXPECT_EQ(full.quant, "q8_0");
  EXPECT_EQ(full.text(), "Qwen/Qwen3-0.6B-GGUF@refs/pr/3:q8_0");
  const ModelName file = named("https://huggingface.co/Qwen/Q-GGUF/blob/main/sub/q-Q8_0.gguf");
  EXPECT_EQ(file.source, Source::huggingface);
  EXPECT_EQ(file.revision, "main");
  EXPECT_EQ(file.file, "sub/q-Q8_0.gguf");
}

TEST(Name, PagesOfRevisionsAndFiles) {
  EXPECT_EQ(named("https://huggingface.co/Qwen/Q/tree/refs%2Fpr%2F3").text(), "Qwen/Q@refs/pr/3");
  EXPECT_EQ(named("https://huggingface.co/Qwen/Q/tree").text(), "Qwen/Q");
  const std::string page = "https://www.modelscope.cn/models/Qwen/Q";
  for (const char* of : {"", "/", "/summary", "/files", "/files?version=master"})
    EXPECT_EQ(named(page + of).text(), "modelscope:Qwen/Q") << of;
  for (const char* of : {"/resolve/v1/sub/q-Q8_0.gguf", "/file/view/v1/sub/q-Q8_0.gguf?status=2"}) {
    EXPECT_EQ(named(page + of).text(), "modelscope:Qwen/Q@v1") << of;
    EXPECT_EQ(named(page + of).file, "sub/q-Q8_0.gguf") << of;
  }
  // Not the usual revision in silence.
  for (const char* bad : {"a%2F..%2Fb", "%zz", "a%20b"}) {
    const auto name = parse_name(std::string("https://huggingface.co/Qwen/Q/tree/") + bad);
    ASSERT_FALSE(name) << bad;
    EXPECT_EQ(name.error().code(), "hub.no_revision") << bad;
    EXPECT_EQ(name.error().arg("revision"), bad);
  }
}

TEST(Name, OtherHubs) {
  EXPECT_EQ(named("modelscope:Qwen/Qwen3-0.6B").source, Source::modelscope);
  EXPECT_EQ(named("https://www.modelscope.cn/models/Qwen/Qwen3-0.6B").text(), "modelscope:Qwen/Qwen3-0.6B");
  const ModelName ollama = named("ollama:qwen3:0.6b");
  EXPECT_EQ(ollama.source, Source::ollama);
  EXPECT_EQ(ollama.repository(), "library/qwen3");
  EXPECT_EQ(ollama.revision, "0.6b");
  EXPECT_EQ(ollama.text(), "ollama:qwen3:0.6b");
  EXPECT_EQ(named("ollama:qwen3").revision, "latest");
  EXPECT_EQ(named("registry.ollama.ai/library/qwen3:0.6b").text(), "ollama:qwen3:0.6b");
  EXPECT_EQ(named("ollama:me/mine:x").repository(), "me/mine");
  const ModelName address = named("https://example.org/a/model%20x-Q4_0.gguf?download=true");
  EXPECT_EQ(address.source, Source::url);
  EXPECT_EQ(named("/models/x.gguf").source, Source::disk);
  EXPECT_EQ(named("../folder").source, Source::disk);
}

TEST(Name, WhatIsNoNameIsRefused) {
  for (const char* text : {"", "a", "a/b/c", "../../etc/passwd:x/y", "a/..", "./../x/../y\n:", "-a/b", "a/b@",
                           "a/b@../x", "a/b:", "a b/c", "a/b@x//y", "ollama:", "ollama:a/b/c:d", "ms:noorg",
                           "https://", "https://user:pw@host/x.gguf", "ftp://host/x.gguf", "https://host/"}) {
    const auto name = parse_name(text);
    if (name && name->source == Source::disk) continue;
    EXPECT_FALSE(name.has_value()) << text;
  }
}

TEST(Url, PartsOriginAndRedirects) {
  const auto url = parse_url("https://Example.org/a%20b?x=1");
  ASSERT_TRUE(url);
  EXPECT_EQ(url->host, "example.org");
  EXPECT_EQ(url->port, "443");
  EXPECT_EQ(url->query, "x=1");
  EXPECT_TRUE(url->same_origin(*parse_url("https://example.org:443/other")));
  EXPECT_FALSE(url->same_origin(*parse_url("http://example.org/a")));
  EXPECT_FALSE(url->same_origin(*parse_url("https://example.org:444/a")));
  EXPECT_FALSE(url->same_origin(*parse_url("https://example.org.evil.net/a")));
  EXPECT_EQ(resolve_url("https://a.org/x/y", "/z?q").value(), "https://a.org/z?q");
  EXPECT_EQ(resolve_url("https://a.org/x/y", "//b.org/z").value(), "https://b.org/z");
  EXPECT_FALSE(resolve_url("https://a.org/x", "file:///etc/passwd"));
  EXPECT_EQ(percent_encode("a b/ü", "/"), "a%20b/%C3%BC");
  EXPECT_EQ(percent_decode("a%20b").value(), "a b");
  EXPECT_FALSE(percent_decode("%00"));
  EXPECT_FALSE(percent_decode("%4"));
  EXPECT_FALSE(percent_decode("%zz"));
}

TEST(SafePath, NothingLeavesTheFolder) {
  for (const char* good :
       {"config.json", "a/b/c.gguf", "..a", "a..b", "UD-Q4/x-00001-of-00002.gguf", "模型.gguf", "a b"})
    EXPECT_TRUE(safe_path(good)) << good;
  const std::string long_part(300, 'a');
  std::string long_path;
  for (int i = 0; i < 400; ++i) long_path += "abc/";
  for (const std::string& bad :
       {std::string(), std::string("/etc/passwd"), std::string("../x"), std::string("a/../../x"),
        std::string("a/./b"), std::string("a//b"), std::string("a/"), std::string("."), std::string(".."),
        std::string("a\\..\\b"), std::string("a\nb"), std::string("a\0b", 3), std::string("\x7f"),
        std::string("\xff"), std::string("\xc0\xaf"), std::string(".qw.json"), std::string("a/.qw.used"),
        long_part, long_path + "x"})
    EXPECT_FALSE(safe_path(bad)) << bad;
}

TEST(SafePath, FilesThatWouldMeetAreRefused) {
  const auto status = [](std::initializer_list<const char*> paths) {
    std::vector<RemoteFile> files;
    for (const char* path : paths) files.push_back({.path = path});
    return check_collisions(ModelName{.repo = "x"}, files);
  };
  EXPECT_TRUE(status({"a", "b/c", "b/d"}));
  EXPECT_FALSE(status({"a", "A"}));
  EXPECT_FALSE(status({"a", "a/b"}));
  EXPECT_FALSE(status({"a/b", "A"}));
  EXPECT_FALSE(check_paths(Listing{.files = {{.path = "x"}, {.path = "../y"}}}));
}

}  // namespace
}  // namespace qw::hub
