// qw models, qw rm, short names, and the word about a larger model in qw chat.
#include <gtest/gtest.h>

#include <algorithm>

#include "base/mmap.h"
#include "tests/e2e/process.h"
#include "tests/e2e/pty.h"
#include "tests/hub/fake_hub.h"

namespace qw::e2e {
namespace {

namespace fs = std::filesystem;

const std::string kGguf = QW_SOURCE_DIR "/tests/golden/data/gguf/qwen3_untied.F32.gguf";
const std::string kFolder = QW_SOURCE_DIR "/tests/golden/data/models/qwen3_bf16";

class ModelsProgram : public testing::Test {
 protected:
  void SetUp() override {
    hub_.add("Qwen/Qwen3-0.6B-GGUF",
             {{"LICENSE", "free"}, {"Qwen3-0.6B-Q8_0.gguf", read_file(kGguf).value()}});
    env_ = hub_.environment();
    env_["HOME"] = env_["QW_HOME"] = home_.path().string();
  }
  Ran run(const std::vector<std::string>& args, const std::string& in = "") const {
    return qw(args, {.in = in, .env = env_});
  }
  Json listed() const { return run({"models", "--json"}).json(); }
  fs::path models() const { return home_.path() / "models"; }

  const TempFolder home_;
  test::FakeHub hub_;
  std::map<std::string, std::string> env_;
};

TEST_F(ModelsProgram, AShortNameIsPulledListedRunAndRemoved) {
  EXPECT_NE(run({"models"}).out.find("No model is here"), std::string::npos);
  const Ran absent = run({"run", "qwen3:0.6b", "x"});
  EXPECT_EQ(absent.status, 1);
  EXPECT_NE(absent.err.find("qw pull qwen3:0.6b"), absent.err.npos) << absent.err;
  const Ran pulled = run({"pull", "qwen3:0.6b"});
  ASSERT_EQ(pulled.status, 0) << pulled.err;
  Json here = listed().at("models");
  ASSERT_EQ(here.size(), 1U);
  EXPECT_EQ(here[0].at("name"), "Qwen/Qwen3-0.6B-GGUF:Q8_0");
  EXPECT_EQ(here[0].at("architecture"), "qwen3");
  EXPECT_EQ(here[0].at("format"), "Q8_0");
  EXPECT_EQ(here[0].at("licence"), "apache-2.0");
  EXPECT_TRUE(here[0].at("last_used").is_null());
  for (const char* name : {"qwen3:0.6b", "Qwen/Qwen3-0.6B-GGUF", "qwen3-0.6b-gguf", "qwen3:0.6b-q8_0"})
    EXPECT_EQ(run({"run", name, "x", "--max-tokens", "2", "--quiet"}).status, 0) << name;
  EXPECT_FALSE(listed().at("models")[0].at("last_used").is_null());
  const Ran table = run({"models", "--lang", "zh"});
  EXPECT_NE(table.out.find("Qwen/Qwen3-0.6B-GGUF:Q8_0"), std::string::npos) << table.out;
  const Ran unasked = run({"rm", "qwen3:0.6b"});
  EXPECT_EQ(unasked.status, 2);
  EXPECT_NE(unasked.err.find("--yes"), std::string::npos);
  const Ran removed = run({"rm", "qwen3:0.6b", "--yes"});
  EXPECT_EQ(removed.status, 0) << removed.err;
  EXPECT_TRUE(listed().at("models").empty());
  EXPECT_FALSE(fs::exists(models() / "huggingface"));
  EXPECT_EQ(run({"rm", "qwen3:0.6b", "--yes"}).status, 1);
  EXPECT_NE(run({"pull", "qwen3:5b"}).err.find("qwen3:4b"), std::string::npos);
}

TEST_F(ModelsProgram, RemovalIsAskedForAtATerminal) {
  if (!have_terminals()) GTEST_SKIP() << "no pseudo-terminals here";
  ASSERT_EQ(run({"pull", kFolder}).status, 0);
  for (const auto& [answer, left] : {std::pair("n\n", 1U), {"\n", 1U}, {"y\n", 0U}}) {
    PtyProgram program({"rm", "qwen3_bf16"}, env_);
    EXPECT_TRUE(program.expect("[y/N]")) << program.shown();
    program.send(answer);
    EXPECT_EQ(program.wait(), 0);
    EXPECT_EQ(listed().at("models").size(), left);
  }
}

TEST_F(ModelsProgram, AModelInUseStays) {
  if (!have_terminals()) GTEST_SKIP() << "no pseudo-terminals here";
  ASSERT_EQ(run({"pull", kFolder}).status, 0);
  {
    PtyProgram chat({"chat", "qwen3_bf16"}, env_);
    ASSERT_TRUE(chat.expect("/help")) << chat.shown();
    const Ran refused = run({"rm", "qwen3_bf16", "--yes"});
    EXPECT_EQ(refused.status, 1);
    EXPECT_NE(refused.err.find("in use"), std::string::npos) << refused.err;
  }
  EXPECT_EQ(run({"rm", "qwen3_bf16", "--yes"}).status, 0);
  EXPECT_TRUE(fs::exists(kFolder + "/config.json")) << "what was linked in stays where it was";
}

TEST_F(ModelsProgram, WhatCouldBe) {
  const Ran all = run({"models", "--all"});
  EXPECT_EQ(all.status, 0) << all.err;
  EXPECT_NE(all.out.find("qwen3-coder:30b-a3b"), std::string::npos);
  const Json first = run({"models", "--json"}).json();
  EXPECT_GT(first.at("machine").at("read_gb_s").get<double>(), 0.1);
  // Measured once.
  EXPECT_EQ(first.at("machine").at("read_gb_s"),
            run({"models", "--json"}).json().at("machine").at("read_gb_s"));
  for (const Json& m : first.at("catalogue")) {
    const std::string fits = m.at("fits").get<std::string>();
    const auto available = first.at("machine").at("available_bytes").get<int64_t>();
    EXPECT_EQ(fits == "no", m.at("memory_bytes").get<int64_t>() > available) << m.dump();
    if (m.at("name") == "qwen3-coder:480b-a35b") {
      EXPECT_GT(m.at("bytes_4").get<int64_t>(), 200'000'000'000);
    }
    if (m.at("name") == "qwen3:0.6b") {
      EXPECT_TRUE(m.at("runs").get<bool>());
    }
  }
}

TEST_F(ModelsProgram, AnUnfinishedDownloadIsListedAndFreed) {
  hub_.set_fault([](const test::Request& r, int, const test::Reply&) -> std::optional<test::Reply> {
    if (!r.target.starts_with("/blob/")) return std::nullopt;
    return test::Reply{.status = 429, .headers = {{"Retry-After", "4000"}}};
  });
  const Ran failed = run({"pull", "qwen3:0.6b"});
  EXPECT_EQ(failed.status, 1);
  EXPECT_NE(failed.err.find("4000"), std::string::npos) << failed.err;
  const Json partials = listed().at("partials");
  ASSERT_EQ(partials.size(), 1U);
  EXPECT_EQ(partials[0].at("name"), "Qwen/Qwen3-0.6B-GGUF:Q8_0");
  EXPECT_NE(run({"models"}).out.find("qw pull"), std::string::npos);
  EXPECT_EQ(run({"rm", "qwen3:0.6b", "--yes"}).status, 0);
  EXPECT_TRUE(listed().at("partials").empty());
}

TEST_F(ModelsProgram, WhatOllamaHasIsShownAndRunWhereItLies) {
  fs::create_directories(home_ / ".ollama/models/blobs");
  fs::copy_file(kGguf, home_ / ".ollama/models/blobs/sha256-aa");
  home_.file(".ollama/models/manifests/registry.ollama.ai/library/tiny/1b",
             R"({"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:aa"}]})");
  const Json here = listed().at("models");
  ASSERT_EQ(here.size(), 1U);
  EXPECT_EQ(here[0].at("name"), "ollama:tiny:1b");
  EXPECT_EQ(here[0].at("architecture"), "qwen3");
  EXPECT_EQ(run({"run", "ollama:tiny:1b", "x", "--max-tokens", "2", "--quiet"}).status, 0);
  EXPECT_NE(run({"rm", "ollama:tiny:1b", "--yes"}).err.find("Ollama"), std::string::npos);
}

TEST_F(ModelsProgram, ChatOnTheSmallModelNamesALargerOne) {
  if (!have_terminals()) GTEST_SKIP() << "no pseudo-terminals here";
  // Measured here once, so that the chats find the number; a machine on which nothing larger runs has no
  // line.
  const Json machine = listed().at("machine");
  if (machine.at("read_gb_s").get<double>() < 5 ||
      machine.at("available_bytes").get<int64_t>() < 2'000'000'000 ||
      fs::space(home_.path()).available < 2'000'000'000)
    GTEST_SKIP() << "too small a machine for a larger model";
  const std::string program = install_program(home_ / "root", kGguf);
  const std::vector<std::string> args = {"chat", "--greedy", "--max-tokens", "4", "--logit-bias", "306=-100"};
  // One answer where `says` is one, then ctrl-D; the chat opens without a question.
  const auto leave = [&](PtyProgram& chat, const std::string& says) {
    EXPECT_TRUE(chat.expect("qw pull qwen3")) << chat.shown();
    EXPECT_TRUE(chat.expect("/help")) << chat.shown();
    EXPECT_EQ(chat.shown().find("[y/N]"), std::string::npos) << chat.shown();
    if (!says.empty()) {
      chat.send(says + "\r");
      EXPECT_TRUE(chat.expect("--max-tokens")) << chat.shown();
    }
    chat.send("\x04");
  };
  {
    PtyProgram silent(args, env_, program);  // who asked nothing is not asked
    leave(silent, "");
    EXPECT_EQ(silent.wait(), 0);
    EXPECT_EQ(silent.shown().find("[y/N]"), std::string::npos);
  }
  {
    PtyProgram chat(args, env_, program);
    leave(chat, "hello");
    ASSERT_TRUE(chat.expect("[y/N]")) << chat.shown();
    chat.send("n\n");
    EXPECT_EQ(chat.wait(), 0);
  }
  {
    PtyProgram again(args, env_, program);  // not asked twice
    leave(again, "hello");
    EXPECT_EQ(again.wait(), 0);
    EXPECT_EQ(again.shown().find("[y/N]"), std::string::npos);
  }
  fs::remove(home_ / "asked_for_larger");
  {
    PtyProgram yes(args, env_, program);  // the fake hub does not have what is best here
    leave(yes, "hello");
    ASSERT_TRUE(yes.expect("[y/N]")) << yes.shown();
    yes.send("y\n");
    EXPECT_EQ(yes.wait(), 0);
    EXPECT_EQ(yes.shown().find("The next qw chat"), std::string::npos) << yes.shown();
  }
  ASSERT_EQ(run({"pull", "qwen3:0.6b"}).status, 0);
  PtyProgram here({"chat"}, env_, program);
  EXPECT_TRUE(here.expect("qw chat qwen3:0.6b")) << here.shown();
}

}  // namespace
}  // namespace qw::e2e
