// qw chat as a person and as a script use it. The tiny random model answers nonsense in no time; what needs
// an answer that takes its time uses the small real model where it is there.
#include <gtest/gtest.h>

#include <algorithm>
#include <fstream>
#include <thread>

#include "base/mmap.h"
#include "tests/e2e/process.h"
#include "tests/e2e/pty.h"

namespace qw::e2e {
namespace {

namespace fs = std::filesystem;

const std::string kModel = QW_SOURCE_DIR "/tests/golden/data/models/qwen3_untied";
const std::string kGguf = QW_SOURCE_DIR "/tests/golden/data/gguf/qwen3_untied.F32.gguf";

constexpr int32_t kImStart = 305;

class ChatProgram : public testing::Test {
 protected:
  std::map<std::string, std::string> env() const { return {{"QW_HOME", home_.path().string()}}; }

  Ran pipe(std::vector<std::string> more, const std::string& lines,
           const std::string& program = QW_PROGRAM) const {
    std::vector<std::string> args{"chat"};
    args.insert(args.end(), more.begin(), more.end());
    return qw(args, {.in = lines, .program = program, .env = env()});
  }
  // With answers of eight tokens that never end before.
  Ran short_answers(const std::string& lines, std::vector<std::string> more = {}) const {
    more.insert(more.begin(),
                {kModel, "--greedy", "--max-tokens", "8", "--logit-bias", "306=-100", "--quiet"});
    return pipe(std::move(more), lines);
  }

  std::vector<fs::path> journals() const {
    std::vector<fs::path> out;
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(home_.path() / "chats", none))
      out.push_back(entry.path());
    std::sort(out.begin(), out.end());
    return out;
  }
  // The records of kind `t` of the only journal.
  std::vector<Json> records(const std::string& t) const {
    EXPECT_EQ(journals().size(), 1U);
    std::vector<Json> out;
    std::ifstream in(journals().at(0));
    for (std::string line; std::getline(in, line);) {
      const auto record = parse_json(line, "journal");
      EXPECT_TRUE(record.has_value()) << line;
      if (record && record->at("t") == t) out.push_back(*record);
    }
    return out;
  }

  TempFolder home_;
};

TEST_F(ChatProgram, ALineIsATurnAndPastIdsAreKept) {
  const Ran ran = short_answers("Hello\n\nHow are you?\r\nthe last, without a newline");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.err, "");
  const auto users = records("user"), answers = records("answer"), ends = records("end");
  ASSERT_EQ(users.size(), 3U);
  EXPECT_EQ(users[1].at("content"), "How are you?");
  EXPECT_EQ(users[2].at("content"), "the last, without a newline");
  ASSERT_EQ(answers.size(), 3U);
  EXPECT_EQ(answers[0].at("keep"), 0);
  // Turn 2 keeps the prompt of turn 1 up to its last special token at least: all of that is the same text.
  const auto first = answers[0].at("ids").get<std::vector<int32_t>>();
  const auto last_special = std::find(first.rbegin(), first.rend(), kImStart);
  EXPECT_GE(answers[1].at("keep").get<std::ptrdiff_t>(), first.rend() - last_special);
  std::string out;
  size_t n_ids = 0;
  std::ifstream in(journals()[0]);
  for (std::string line; std::getline(in, line);) {
    const Json r = parse_json(line, "journal").value();
    if (r.at("t") == "delta") out += r.at("text").get<std::string>(), n_ids += r.at("ids").size();
    if (r.at("t") == "end") out += "\n";
  }
  EXPECT_EQ(ran.out, out);
  EXPECT_EQ(n_ids, 24U);
}

TEST_F(ChatProgram, WithoutAModelItIsTheLastOne) {
  ASSERT_EQ(short_answers("Hello\n").status, 0);
  const Ran ran = pipe({"--greedy", "--max-tokens", "8", "--logit-bias", "306=-100"}, "Hello\n");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, short_answers("Hello\n").out);
  EXPECT_NE(ran.err.find("qwen3_untied"), ran.err.npos) << ran.err;
  EXPECT_NE(ran.err.find("qw chat MODEL"), ran.err.npos) << ran.err;
}

TEST_F(ChatProgram, SameSeedSameAnswers) {
  const std::vector<std::string> args{kModel, "--seed", "7", "--temperature", "1.2", "--max-tokens", "20"};
  const Ran a = pipe(args, "one\ntwo\n"), b = pipe(args, "one\ntwo\n");
  EXPECT_EQ(a.status, 0) << a.err;
  EXPECT_EQ(a.out, b.out);
  EXPECT_EQ(journals().size(), 2U);
}

TEST_F(ChatProgram, AFullContextIsSaidAndDropMakesRoom) {
  const std::string line(60, 'x');
  const Ran ran = short_answers(line + "\n" + line + "\n" + line + "\n/drop 9\nshort\n", {"--ctx", "150"});
  EXPECT_EQ(ran.status, 1);
  EXPECT_NE(ran.err.find("/compact"), std::string::npos) << ran.err;
  EXPECT_NE(ran.err.find("of 150 tokens"), std::string::npos) << ran.err;
  const auto users = records("user");
  ASSERT_GE(users.size(), 2U);
  EXPECT_LT(users.size(), 4U);
  EXPECT_EQ(users.back().at("content"), "short");
  EXPECT_EQ(records("end").back().at("reason"), "length");
}

TEST_F(ChatProgram, AnAnswerThatFillsTheContextIsSaid) {
  const Ran ran = pipe({kModel, "--greedy", "--logit-bias", "306=-100", "--ctx", "40"}, "Hello\n");
  EXPECT_EQ(ran.status, 1);
  EXPECT_NE(ran.err.find("cut off"), std::string::npos) << ran.err;
}

TEST_F(ChatProgram, CommandsThroughAPipe) {
  const std::string file = home_ / "saved.json", text = home_ / "saved.md";
  const Ran ran = short_answers("/system Be kind.\nHello\n/retry\n/save " + file + "\n/save " + text + "\n");
  EXPECT_EQ(ran.status, 0) << ran.err;
  const Json saved = parse_json_file(file).value();
  ASSERT_EQ(saved.at("messages").size(), 3U);
  EXPECT_EQ(saved.at("messages")[0], (Json{{"role", "system"}, {"content", "Be kind."}}));
  EXPECT_EQ(saved.at("messages")[1].at("content"), "Hello");
  EXPECT_EQ(read_file(text)->rfind("## system\n\nBe kind.\n", 0), 0U);
  EXPECT_EQ(records("answer").size(), 2U);
  EXPECT_EQ(records("take_back").size(), 1U);

  const Ran again = short_answers("/load " + file + "\n/save " + file + "\n/hepl\n/load /nowhere\n/drop x\n");
  EXPECT_EQ(again.status, 1);
  EXPECT_NE(again.err.find("exists already"), std::string::npos) << again.err;
  EXPECT_NE(again.err.find("/hepl"), std::string::npos);
  EXPECT_NE(again.err.find("/nowhere"), std::string::npos);
  EXPECT_EQ(again.out, "");
}

TEST_F(ChatProgram, CompactPutsASummaryInPlace) {
  const std::string file = home_ / "saved.json";
  const Ran ran = short_answers("one\ntwo\nthree\n/compact\n/save " + file + "\n");
  EXPECT_EQ(ran.status, 0) << ran.err;
  const auto compact = records("compact");
  ASSERT_EQ(compact.size(), 1U);
  EXPECT_EQ(compact[0].at("messages"), 4);  // the last exchange stays
  const Json saved = parse_json_file(file).value();
  ASSERT_EQ(saved.at("messages").size(), 4U);
  EXPECT_EQ(saved.at("messages")[1].at("content"), compact[0].at("summary"));
  EXPECT_EQ(saved.at("messages")[2].at("content"), "three");
}

TEST_F(ChatProgram, ContinueTakesTheLastConversationUp) {
  EXPECT_EQ(pipe({"--continue"}, "x\n").status, 1);  // there is none
  ASSERT_EQ(short_answers("first question\n").status, 0);
  const std::string file = home_ / "saved.json";
  const Ran ran = pipe({"--continue", "--greedy", "--max-tokens", "4", "--quiet"},
                       "second question\n/save " + file + "\n");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(journals().size(), 1U);
  const Json messages = parse_json_file(file)->at("messages");
  ASSERT_EQ(messages.size(), 4U);
  EXPECT_EQ(messages[0].at("content"), "first question");
  EXPECT_EQ(messages[2].at("content"), "second question");
}

TEST_F(ChatProgram, ContinueTakesTheAdapterAndTheTemplateUp) {
  const TempFolder folder;
  const std::string adapter = folder / "adapter";
  fs::copy(QW_SOURCE_DIR "/tests/golden/data/adapters/qwen3_head", adapter);
  const std::string jinja = folder.file("chat.jinja", "{% for m in messages %}{{ m.content }}\n{% endfor %}");
  ASSERT_EQ(short_answers("first\n", {"--adapter", adapter, "--template", jinja}).status, 0);
  const Json head = records("chat").at(0);
  EXPECT_EQ(head.at("adapter"), adapter);
  EXPECT_EQ(head.at("template"), jinja);
  const std::vector<std::string> go_on = {"--continue", "--greedy", "--max-tokens", "4", "--quiet"};
  EXPECT_EQ(pipe(go_on, "second\n").status, 0);
  fs::rename(adapter, folder / "elsewhere");
  const Ran gone = pipe(go_on, "third\n");
  EXPECT_EQ(gone.status, 1);
  EXPECT_NE(gone.err.find("--adapter " + adapter), std::string::npos) << gone.err;
  std::vector<std::string> named = go_on;
  named.insert(named.end(), {"--adapter", folder / "elsewhere"});
  EXPECT_EQ(pipe(named, "third\n").status, 0);
  std::vector<std::string> alone = go_on;
  alone.push_back(kModel);
  EXPECT_EQ(pipe(alone, "third\n").status, 0);
}

TEST_F(ChatProgram, TwoAtOnceKeepApart) {
  std::string lines[2];
  for (int i = 0; i < 12; ++i)
    for (int k = 0; k < 2; ++k) lines[k] += fmt::format("chat {} line {}\n", k, i);
  Ran ran[2];
  std::thread other([&] { ran[1] = short_answers(lines[1]); });
  ran[0] = short_answers(lines[0]);
  other.join();
  EXPECT_EQ(ran[0].status, 0) << ran[0].err;
  EXPECT_EQ(ran[1].status, 0) << ran[1].err;
  ASSERT_EQ(journals().size(), 2U);
  for (const fs::path& file : journals()) {
    const std::string content = read_file(file).value();
    EXPECT_TRUE(content.find("chat 0") == content.npos || content.find("chat 1") == content.npos);
  }
}

TEST_F(ChatProgram, WithoutAModelOneLineSaysHow) {
  const std::string bare = install_program(home_ / "bare", "");
  const Ran en = pipe({}, "hello\n", bare), zh = pipe({"--lang", "zh"}, "", bare);
  EXPECT_EQ(en.status, 2);
  EXPECT_EQ(std::count(en.err.begin(), en.err.end(), '\n'), 1);
  EXPECT_NE(en.err.find("qw chat MODEL"), std::string::npos);
  EXPECT_NE(zh.err.find("请指定模型"), std::string::npos);
  EXPECT_TRUE(journals().empty());
}

TEST_F(ChatProgram, WithoutAModelItIsTheOneThatCameWithTheProgram) {
  const std::string program = install_program(home_ / "root", kGguf);
  const Ran ran = pipe({"--greedy", "--max-tokens", "8"}, "Hello\n", program);
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_NE(ran.err.find("nano.gguf, the small one that comes with qw"), ran.err.npos) << ran.err;
  EXPECT_NE(ran.err.find("qw chat MODEL"), ran.err.npos) << ran.err;
  EXPECT_EQ(records("user").size(), 1U);
}

class ChatTerminal : public ChatProgram {
 protected:
  std::vector<std::string> args(std::vector<std::string> more = {}) const {
    more.insert(more.begin(), {"chat", kModel, "--greedy", "--max-tokens", "4"});
    return more;
  }
};

// Waits until the journal holds n pieces of an answer.
bool answered_pieces(PtyProgram& p, const fs::path& home, size_t n) {
  for (int i = 0; i < 1200; ++i) {
    (void)p.expect("never shown\x01", 0.1);  // takes the output in
    std::error_code none;
    for (const auto& entry : fs::directory_iterator(home / "chats", none)) {
      const std::string content = read_file(entry.path()).value_or("");
      size_t found = 0;
      for (size_t at = 0; (at = content.find("{\"t\":\"delta\"", at)) != content.npos; ++at) ++found;
      if (found >= n) return true;
    }
  }
  return false;
}

TEST_F(ChatTerminal, EditSendPasteResizeLeave) {
  if (!have_terminals()) GTEST_SKIP() << "no pseudo-terminal can be had here";
  PtyProgram p(args(), env());
  ASSERT_TRUE(p.expect("/help")) << p.shown();
  p.send("helo wörld 👩‍🚀x");
  ASSERT_TRUE(p.expect("x"));
  p.send("\x7f\x7f\x01\x1b[C\x1b[C\x1b[Cl\x05!\r");  // the rocket goes, the l comes
  ASSERT_TRUE(p.expect("--max-tokens")) << p.shown();
  p.send("\x1b[200~line one\r\nline 你好\x1b[201~");
  ASSERT_TRUE(p.expect("你好"));
  p.resize(20, 10);
  p.send(" more\\\rlast\r");
  ASSERT_TRUE(p.expect("--max-tokens")) << p.shown();
  p.send("\x1b[A\r");  // the same once more, from the history
  ASSERT_TRUE(p.expect("--max-tokens")) << p.shown();
  p.send("\x03");
  ASSERT_TRUE(p.expect("ctrl-C again")) << p.shown();
  p.send("\x04");
  EXPECT_EQ(p.wait(), 0);
  EXPECT_TRUE(p.mode_restored());
  const auto users = records("user");
  ASSERT_EQ(users.size(), 3U);
  EXPECT_EQ(users[0].at("content"), "hello wörld !");
  EXPECT_EQ(users[1].at("content"), "line one\nline 你好 more\nlast");
  EXPECT_EQ(users[2], users[1]);
}

TEST_F(ChatTerminal, SecondInterruptLeaves) {
  if (!have_terminals()) GTEST_SKIP() << "no pseudo-terminal can be had here";
  PtyProgram p(args(), env());
  ASSERT_TRUE(p.expect("/help"));
  p.send("text\x03");
  ASSERT_TRUE(p.expect("ctrl-D")) << p.shown();
  p.send("\x03");
  EXPECT_EQ(p.wait(), 0);
  EXPECT_TRUE(p.mode_restored());
  EXPECT_TRUE(journals().empty());  // nothing was said
}

TEST_F(ChatTerminal, TheTerminalIsRestoredHoweverItEnds) {
  if (!have_terminals()) GTEST_SKIP() << "no pseudo-terminal can be had here";
  for (const int signal : {SIGKILL, SIGTERM, SIGHUP, SIGSEGV, SIGINT}) {
    PtyProgram p(args(), env());
    ASSERT_TRUE(p.expect("/help"));
    p.send("typed");
    ASSERT_TRUE(p.expect("typed"));
    p.kill(signal);
    EXPECT_EQ(p.wait(), 128 + signal) << signal;
    EXPECT_TRUE(p.mode_restored()) << signal;
  }
}

TEST_F(ChatTerminal, InterruptEndsTheAnswerNotTheProgram) {
  if (!have_terminals()) GTEST_SKIP() << "no pseudo-terminal can be had here";
  if (smollm2().empty()) GTEST_SKIP() << "the small real model is not in ../shared/models";
  PtyProgram p({"chat", smollm2(), "--seed", "1"}, env());
  ASSERT_TRUE(p.expect("/help", 120));
  p.send("Write a very long story about a robot.\r");
  ASSERT_TRUE(answered_pieces(p, home_.path(), 1)) << p.shown();
  p.send("\x03");
  ASSERT_TRUE(p.expect("(stopped)", 120)) << p.shown();
  EXPECT_EQ(records("end").back().at("reason"), "cancelled");
  p.send("/stats\r");
  ASSERT_TRUE(p.expect("nothing reused")) << p.shown();
  ASSERT_TRUE(p.expect("2 messages")) << p.shown();
  p.send("\x04");
  EXPECT_EQ(p.wait(), 0);
}

TEST_F(ChatTerminal, AConversationSurvivesKill) {
  if (!have_terminals()) GTEST_SKIP() << "no pseudo-terminal can be had here";
  if (smollm2().empty()) GTEST_SKIP() << "the small real model is not in ../shared/models";
  std::string shown;
  {
    PtyProgram p({"chat", smollm2(), "--seed", "1"}, env());
    ASSERT_TRUE(p.expect("/help", 120));
    p.send("Write a very long story about a robot.\r");
    ASSERT_TRUE(answered_pieces(p, home_.path(), 4)) << p.shown();
    p.kill(SIGKILL);
    EXPECT_EQ(p.wait(), 128 + SIGKILL);
    EXPECT_TRUE(p.mode_restored());
  }
  PtyProgram p({"chat", "--continue"}, env());
  ASSERT_TRUE(p.expect("/help", 120)) << p.shown();
  ASSERT_TRUE(p.expect("2 messages")) << p.shown();
  ASSERT_TRUE(p.expect("interrupted")) << p.shown();
  p.send("/save " + (home_ / "s.json").string() + "\r/exit\r");
  EXPECT_EQ(p.wait(), 0) << p.shown();
  std::string kept;
  for (const Json& d : records("delta")) kept += d.at("text").get<std::string>();
  EXPECT_EQ(parse_json_file(home_ / "s.json")->at("messages")[1].at("content"), kept);
  EXPECT_FALSE(kept.empty());
}

}  // namespace
}  // namespace qw::e2e
