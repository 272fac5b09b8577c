// The built-in tools in qw chat, with models whose answers are set (scripted_model.h).
#include <gtest/gtest.h>

#include <fstream>

#include "base/mmap.h"
#include "tests/e2e/process.h"
#include "tests/e2e/pty.h"
#include "tests/e2e/scripted_model.h"

namespace qw::e2e {
namespace {

namespace fs = std::filesystem;

const char* const kTemplate =
    R"({% if tools %}<tools>{{ tools | tojson }}</tools>{% endif %})"
    R"({% for m in messages %}({{ m.role }}){{ m.content }})"
    R"({% for c in m.tool_calls or [] %}{{ '\n<tool_call>\n{"name": ' }}{{ c.function.name | tojson }}, )"
    R"("arguments": {{ c.function.arguments | tojson }}{{ '}\n</tool_call>' }}{% endfor %}<|im_end|>{% endfor %})"
    R"({% if add_generation_prompt %}{{ '<go-on>' if messages[-1].role == 'tool' else '<go>' }}{% endif %})";

// A call in pieces that part its tags, then an answer.
const Script kScript = {
    {"<go>", "Let me see.\n"},
    {"Let me see.\n", "<tool_"},
    {"<tool_", "call>\n{\"name\": \"calculator\", "},
    {"call>\n{\"name\": \"calculator\", ", "\"arguments\": {\"expression\": \"12*7\"}}\n</tool"},
    {"\"arguments\": {\"expression\": \"12*7\"}}\n</tool", "_call>"},
    {"_call>", "<|im_end|>"},
    {"<go-on>", "It is 84."},
    {"It is 84.", "<|im_end|>"}};

class ChatTools : public testing::Test {
 protected:
  Ran chat(const std::string& lines, std::vector<std::string> more = {}) const {
    std::vector<std::string> args{"chat", model(), "--greedy"};
    args.insert(args.end(), more.begin(), more.end());
    return qw(args, {.in = lines, .env = {{"QW_HOME", home_.path().string()}, {"TZ", "UTC"}}});
  }
  std::string model() const { return folder_ / "model"; }
  void script(const Script& s, const std::string& chat_template = kTemplate) {
    write_scripted_model(model(), s, chat_template);
  }
  std::vector<Json> records() const {
    std::vector<Json> out;
    for (const auto& entry : fs::directory_iterator(home_.path() / "chats")) {
      std::ifstream in(entry.path());
      for (std::string line; std::getline(in, line);) out.push_back(Json::parse(line));
    }
    return out;
  }

  TempFolder folder_, home_;
};

TEST_F(ChatTools, ACallIsRunShownAndAnswered) {
  script(kScript);
  const Ran ran = chat("What is 12*7?\n");
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.out, "Let me see.\nIt is 84.\n");  // no part of the call
  EXPECT_NE(ran.err.find("calculator(12*7) → 84"), ran.err.npos) << ran.err;
  Json tool, call;
  int answers = 0;
  for (const Json& r : records()) {
    if (r["t"] == "tool") tool = r;
    if (r.contains("calls")) call = r["calls"];
    answers += r["t"] == "answer" ? 1 : 0;
  }
  EXPECT_EQ(tool["content"], R"({"result": "84"})");
  EXPECT_EQ(call, Json::parse(R"([{"name":"calculator","arguments":"{\"expression\": \"12*7\"}"}])"));
  EXPECT_EQ(answers, 2);
}

// The template of a model that thinks unless it is told not to.
const char* const kThinks =
    R"({% for m in messages %}{{ m.content }}<|im_end|>{% endfor %})"
    R"({{ '<go>' if enable_thinking is defined and not enable_thinking else '<think>' }})";

TEST_F(ChatTools, ASummaryIsWrittenWithoutThinking) {
  script({{"<think>", "<think>"}, {"<go>", "We spoke."}, {"We spoke.", "<|im_end|>"}}, kThinks);
  const Ran ran = chat("x\n/compact\n", {"--max-tokens", "4"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  Json compact;
  for (const Json& r : records())
    if (r["t"] == "compact") compact = r;
  EXPECT_EQ(compact["summary"], "We spoke.") << ran.err;
}

TEST_F(ChatTools, WhyThereIsNoSummaryIsSaid) {
  const std::string template_text = "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}<think>";
  script({{"<think>", "<think>"}}, template_text);
  const Ran thinks = chat("x\n/compact\n", {"--max-tokens", "4", "--ctx", "512"});
  EXPECT_NE(thinks.err.find("128 tokens"), std::string::npos) << thinks.err;
  script({{"<think>", "</think>"}, {"</think>", "hi"}, {"hi", "<|im_end|>"}, {"<go>", "<|im_end|>"}},
         kThinks);
  const Ran silent = chat("x\n/compact\n");
  EXPECT_NE(silent.err.find("no summary"), std::string::npos) << silent.err;
}

TEST_F(ChatTools, WithoutThemACallIsText) {
  script(kScript);
  const Ran ran = chat("What is 12*7?\n", {"--no-tools"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_NE(ran.out.find("<tool_call>\n{\"name\""), ran.out.npos) << ran.out;
  EXPECT_EQ(ran.err.find("84"), ran.err.npos);
}

TEST_F(ChatTools, ATemplateWithoutToolsGetsNone) {
  script(kScript, "{% for m in messages %}{{ m.content }}<|im_end|>{% endfor %}<go>");
  EXPECT_NE(chat("x\n").out.find("<tool_call>"), std::string::npos);
  // Nor one that writes calls in another form.
  script(kScript,
         "{% if tools %}T{% endif %}{% for m in messages %}{{ m.content }}{{ m.tool_calls }}<|im_end|>{% "
         "endfor %}<go>");
  EXPECT_NE(chat("x\n").out.find("<tool_call>"), std::string::npos);
}

TEST_F(ChatTools, EndlessCallsAreStopped) {
  Script endless = kScript;
  endless[6].second = "<tool_";
  script(endless);
  const Ran ran = chat("x\n/stats\n");
  EXPECT_EQ(ran.status, 1);
  EXPECT_NE(ran.err.find("8 times"), ran.err.npos) << ran.err;
  int tools = 0;
  Json last;
  for (const Json& r : records()) {
    tools += r["t"] == "tool" ? 1 : 0;
    if (r["t"] == "take_back") last = r;
  }
  EXPECT_EQ(tools, 8);
  EXPECT_EQ(last["messages"], 1 + 9 + 8);  // the question goes back to the person
  EXPECT_NE(ran.err.find("0 messages"), ran.err.npos) << ran.err;
}

TEST_F(ChatTools, AMistakeIsToldToTheModel) {
  Script unknown = kScript;
  for (auto& [token, next] : unknown)
    for (std::string* s : {&token, &next})
      if (s->starts_with("call>")) *s = "call>\n{\"name\": \"weather\", ";
  script(unknown);
  const Ran ran = chat("x\n");
  EXPECT_EQ(ran.out, "Let me see.\nIt is 84.\n");
  EXPECT_NE(ran.err.find("there is no tool weather"), ran.err.npos) << ran.err;
}

TEST_F(ChatTools, RetrySaveLoadContinueDropAndCompact) {
  script(kScript);
  const std::string file = folder_ / "saved.json", text = folder_ / "saved.md";
  const Ran ran = chat("one\n/retry\ntwo\n/save " + file + "\n/save " + text + "\n");
  EXPECT_EQ(ran.status, 0) << ran.err;
  const Json saved = Json::parse(std::ifstream(file))["messages"];
  ASSERT_EQ(saved.size(), 8U);  // user, call, tool, answer; twice
  EXPECT_EQ(saved[1]["content"], "Let me see.");
  EXPECT_EQ(saved[1]["tool_calls"][0]["function"]["name"], "calculator");
  EXPECT_EQ(saved[1]["tool_calls"][0]["function"]["arguments"], "{\"expression\": \"12*7\"}");
  EXPECT_EQ(saved[2]["role"], "tool");
  EXPECT_EQ(saved[3]["content"], "It is 84.");
  EXPECT_NE(read_file(text)->find("`calculator {\"expression\": \"12*7\"}`"), std::string::npos);
  for (const Json& r : records()) EXPECT_TRUE(r["t"] != "take_back" || r["messages"] == 3) << r;
  // What was saved runs elsewhere, and can be loaded.
  EXPECT_EQ(qw({"render", model(), file}).status, 0);
  const std::string again = folder_ / "again.json";
  EXPECT_EQ(chat("/load " + file + "\n/save " + again + "\n").status, 0);
  EXPECT_EQ(Json::parse(std::ifstream(again))["messages"], saved);
  // The journal gives the same conversation back.
  const std::string third = folder_ / "third.json", fourth = folder_ / "fourth.json";
  const Ran more = qw({"chat", "--continue", "--greedy"},
                      {.in = "/save " + third + "\n/drop\nthree\n/compact\n/save " + fourth + "\n",
                       .env = {{"QW_HOME", home_.path().string()}}});
  EXPECT_EQ(more.status, 0) << more.err;
  EXPECT_EQ(Json::parse(std::ifstream(third))["messages"], saved);
  const Json compacted = Json::parse(std::ifstream(fourth))["messages"];
  ASSERT_EQ(compacted.size(), 2U + 4U);
  EXPECT_EQ(compacted[2]["content"], "three");
}

TEST_F(ChatTools, PastIdsAreKeptOverTheRounds) {
  script(kScript);
  ASSERT_EQ(chat("one\ntwo\n").status, 0);
  std::vector<Json> answers;
  for (const Json& r : records())
    if (r["t"] == "answer") answers.push_back(r);
  ASSERT_EQ(answers.size(), 4U);
  for (size_t i = 1; i < answers.size(); ++i)
    EXPECT_GT(answers[i]["keep"].get<size_t>(), answers[i]["ids"].size()) << i;
}

TEST_F(ChatTools, InATerminal) {
  if (!have_terminals()) GTEST_SKIP() << "no pseudo-terminal can be had";
  script(kScript);
  PtyProgram p({"chat", model(), "--greedy"}, {{"QW_HOME", home_.path().string()}});
  ASSERT_TRUE(p.expect("/help"));
  p.send("What?\r");
  ASSERT_TRUE(p.expect("It is 84.")) << p.shown();
  EXPECT_NE(p.shown().find("calculator(12*7) → 84"), std::string::npos) << p.shown();
  EXPECT_EQ(p.shown().find("tool_call"), std::string::npos) << p.shown();
  p.send("\x04");
  EXPECT_EQ(p.wait(), 0);
}

}  // namespace
}  // namespace qw::e2e
