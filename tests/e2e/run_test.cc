#include <gtest/gtest.h>

#include "base/mmap.h"
#include "tests/e2e/process.h"
#include "tests/e2e/pty.h"
#include "tests/e2e/scripted_model.h"

namespace qw::e2e {
namespace {

const std::string kModel = QW_SOURCE_DIR "/tests/golden/data/models/qwen3_untied";

std::vector<std::string> run(std::vector<std::string> more) {
  std::vector<std::string> args{"run", kModel};
  args.insert(args.end(), more.begin(), more.end());
  return args;
}

Json run_json(std::vector<std::string> more, const Input& input = {}) {
  more.push_back("--json");
  const Ran ran = qw(run(std::move(more)), input);
  EXPECT_EQ(ran.status, 0) << ran.err;
  return ran.status == 0 ? ran.json() : Json();
}

int im_end() {
  return qw({"tokenize", kModel}, {.in = "<|im_end|>"}).json()[0].get<int>();
}

TEST(Run, JsonHasTheKeysOfTheContract) {
  const Json j = run_json({"Hello", "--max-tokens", "8", "--seed", "5", "--ignore-eos"});
  EXPECT_TRUE(j["text"].is_string());
  EXPECT_TRUE(j["reasoning"].is_null() || j["reasoning"].is_string());
  EXPECT_EQ(j["ids"].size(), 8U);
  EXPECT_EQ(j["finish_reason"], "length");
  EXPECT_EQ(j["seed"], 5);
  EXPECT_EQ(j["usage"]["completion_tokens"], 8);
  EXPECT_EQ(j["usage"]["cached_tokens"], 0);
  EXPECT_GT(j["usage"]["prompt_tokens"].get<int>(), 4);
  for (const char* key : {"load_s", "prefill_tok_s", "decode_tok_s", "first_token_s"})
    EXPECT_GT(j["stats"][key].get<double>(), 0) << key;
  EXPECT_FALSE(j.contains("logprobs"));
}

TEST(Run, TextIsTheSameWithoutJson) {
  const std::vector<std::string> args{"Hello", "--max-tokens", "12", "--greedy", "--ignore-eos"};
  const Json j = run_json(args);
  const Ran plain = qw(run(args));
  EXPECT_EQ(plain.status, 0);
  EXPECT_EQ(plain.out, j["text"].get<std::string>() + "\n");
  EXPECT_EQ(plain.err, "");
  auto with_stats = args;
  with_stats.push_back("--stats");
  EXPECT_NE(qw(run(with_stats)).err.find("tok/s"), std::string::npos);
}

TEST(Run, GuessingAheadChangesNoText) {
  const auto run_with = [](std::vector<std::string> more) {
    more.insert(more.end(), {"Hello Hello Hello", "--max-tokens", "60", "--seed", "3", "--ignore-eos"});
    return run_json(more);
  };
  const Json off = run_with({"--speculate", "off"});
  EXPECT_EQ(off["stats"]["drafted_tokens"], 0);
  EXPECT_EQ(run_with({})["ids"], off["ids"]);
  EXPECT_EQ(run_with({"--speculate", "ngram"})["ids"], off["ids"]);
  const Json own = run_with({"--draft", kModel});
  EXPECT_EQ(own["ids"], off["ids"]);
  EXPECT_GT(own["stats"]["accepted_drafts"].get<int>(), 0);
  EXPECT_EQ(own["stats"]["accepted_drafts"], own["stats"]["drafted_tokens"]);  // it agrees with itself
  EXPECT_EQ(qw(run({"Hello", "--draft", kModel, "--speculate", "ngram"})).status, 2);
  EXPECT_NE(qw(run({"Hello", "--speculate", "mtp"})).err.find("--speculate ngram"), std::string::npos);
}

TEST(Run, SeedsAndGreedy) {
  const auto ids = [](std::vector<std::string> more) {
    more.insert(more.end(), {"Hello", "--max-tokens", "16", "--ignore-eos"});
    return run_json(more)["ids"];
  };
  EXPECT_EQ(ids({"--seed", "1", "--temperature", "1.5"}), ids({"--seed", "1", "--temperature", "1.5"}));
  EXPECT_NE(ids({"--seed", "1", "--temperature", "1.5"}), ids({"--seed", "2", "--temperature", "1.5"}));
  EXPECT_EQ(ids({"--greedy"}), ids({"--temperature", "0"}));
  EXPECT_EQ(ids({"--greedy"}), ids({"--top-k", "1"}));
  EXPECT_NE(ids({"--greedy", "--repetition-penalty", "5"}), ids({"--greedy"}));
}

TEST(Run, StopIdsEndTheAnswer) {
  const int id = im_end();
  const std::string bias = std::to_string(id) + "=1000";
  const Json stopped = run_json({"Hello", "--greedy", "--logit-bias", bias, "--max-tokens", "5"});
  EXPECT_EQ(stopped["ids"], Json::array({id}));
  EXPECT_EQ(stopped["text"], "");
  EXPECT_EQ(stopped["finish_reason"], "stop");
  EXPECT_EQ(stopped["usage"]["completion_tokens"], 1);
  const Json on = run_json({"Hello", "--greedy", "--logit-bias", bias, "--max-tokens", "5", "--ignore-eos"});
  EXPECT_EQ(on["ids"], Json(std::vector<int>(5, id)));
  EXPECT_EQ(on["finish_reason"], "length");
  EXPECT_EQ(on["text"], "");  // special tokens are no text
  const Json raw =
      run_json({"Hello", "--raw", "--greedy", "--logit-bias", bias, "--max-tokens", "2", "--ignore-eos"});
  EXPECT_EQ(raw["text"], "<|im_end|><|im_end|>");
  EXPECT_EQ(run_json({"Hello", "--raw", "--greedy", "--logit-bias", bias})["text"], "");
}

TEST(Run, StopStrings) {
  const std::vector<std::string> args{"Hello", "--greedy", "--ignore-eos", "--max-tokens", "24"};
  const Json whole = run_json(args);
  const std::string text = whole["text"];
  ASSERT_GT(text.size(), 12U);
  std::string stop = text.substr(text.size() / 2, 3);
  while ((stop[0] & 0xC0) == 0x80) stop.erase(0, 1);
  auto stopping = args;
  stopping.insert(stopping.end(), {"--stop", "not in there at all", "--stop", stop});
  const Json cut = run_json(stopping);
  EXPECT_EQ(cut["text"], text.substr(0, text.find(stop)));
  EXPECT_EQ(cut["finish_reason"], "stop");
  EXPECT_LT(cut["ids"].size(), whole["ids"].size());
  EXPECT_EQ(cut["usage"]["completion_tokens"], cut["ids"].size());
  for (size_t i = 0; i < cut["ids"].size(); ++i) EXPECT_EQ(cut["ids"][i], whole["ids"][i]);
  EXPECT_EQ(qw(run(stopping)).out, cut["text"].get<std::string>() + "\n");
}

TEST(Run, IdsImplyRaw) {
  const Json by_ids = run_json({"--ids", "[257, 68, 277]", "--greedy", "--max-tokens", "6", "--ignore-eos"});
  EXPECT_EQ(by_ids["usage"]["prompt_tokens"], 3);
  const std::string prompt = qw({"tokenize", kModel, "--decode"}, {.in = "[257, 68, 277]"}).out;
  const Json by_text = run_json({"--raw", prompt, "--greedy", "--max-tokens", "6", "--ignore-eos"});
  EXPECT_EQ(by_text["ids"], by_ids["ids"]);
  EXPECT_EQ(by_ids["text"], qw({"tokenize", kModel, "--decode"}, {.in = by_ids["ids"].dump()}).out);
  const TempFolder folder;
  EXPECT_EQ(run_json({"--ids", folder.file("ids.json", "[257, 68, 277]\n"), "--greedy", "--max-tokens", "6",
                      "--ignore-eos"})["ids"],
            by_ids["ids"]);
  EXPECT_EQ(run_json({"--ids", "-", "--greedy", "--max-tokens", "6", "--ignore-eos"},
                     {.in = "[257,68,277]"})["ids"],
            by_ids["ids"]);
}

TEST(Run, WhereThePromptComesFrom) {
  if (!have_terminals()) GTEST_SKIP() << "no pseudo-terminal can be had here";
  const std::vector<std::string> rest{"--greedy", "--max-tokens", "4", "--ignore-eos"};
  const auto ids = [&](std::vector<std::string> args, const std::string& in) {
    args.insert(args.end(), rest.begin(), rest.end());
    const Json j = run_json(args, {.in = in});
    return Json::array({j["ids"], j["usage"]["prompt_tokens"]});
  };
  const Json expected = ids({"Tell me, river"}, "");
  EXPECT_EQ(ids({}, "Tell me, river"), expected);
  EXPECT_EQ(ids({"-"}, "Tell me, river\n"), expected);  // one final newline is dropped
  EXPECT_NE(ids({"-"}, "Tell me, river\n\n"), expected);
  EXPECT_EQ(ids({"Tell me, ", "-"}, "river\n"), expected);
  EXPECT_EQ(ids({"--raw", "a", "-"}, "b"), ids({"--raw", "ab"}, ""));
  const TempFolder folder;
  const std::string file =
      folder.file("m.json", R"({"messages": [{"role": "user", "content": "Tell me, river"}], "other": 1})");
  EXPECT_EQ(ids({"--messages", file}, ""), expected);
  EXPECT_EQ(ids({"--messages", "-"}, read_file(file).value()), expected);
  EXPECT_EQ(ids({"--messages", "/dev/stdin"}, read_file(file).value()), expected);  // a pipe
  EXPECT_EQ(qw(run({}), {.terminal_stdin = true}).status, 2);
  EXPECT_EQ(qw(run({"-"}), {.in = "a\xff"}).status, 1);
}

TEST(Run, TheTemplateGetsWhatTheOptionsSay) {
  const TempFolder folder;
  const std::string file = folder.file("t.jinja",
                                       "{{ messages[0].content }}{% if enable_thinking is false %}7{% endif "
                                       "%}{{ x }}{% if add_generation_prompt %}9{% endif %}");
  const auto n_prompt = [&](std::vector<std::string> args) {
    args.insert(args.end(), {"--template", file, "--max-tokens", "1"});
    return run_json(args)["usage"]["prompt_tokens"].get<int>();
  };
  const int plain = n_prompt({" "});
  EXPECT_EQ(plain, 2);  // " " and "9"
  EXPECT_EQ(n_prompt({" ", "--no-think"}), 3);
  EXPECT_EQ(n_prompt({" ", "--kwargs", R"({"x": "8"})"}), 3);
  EXPECT_EQ(n_prompt({" ", "--kwargs", R"({"add_generation_prompt": false})"}), 1);
  EXPECT_EQ(qw(run({"a", "--kwargs", "{"})).status, 2);
  EXPECT_EQ(qw(run({"a", "--kwargs", "[1]"})).status, 2);
  EXPECT_EQ(qw(run({"a", "--template", folder.file("bad.jinja", "{% if %}")})).status, 1);
}

TEST(Run, APromptThatEndsInThinkingGivesReasoning) {
  const TempFolder folder;
  const std::string file = folder.file("t.jinja", "{{ messages[0].content }}<think>\n");
  const Json j = run_json({"Hello", "--template", file, "--greedy", "--ignore-eos", "--max-tokens", "6"});
  EXPECT_EQ(j["text"], "");
  EXPECT_TRUE(j["reasoning"].is_string());
  const Ran plain = qw(run({"Hello", "--template", file, "--greedy", "--ignore-eos", "--max-tokens", "6"}));
  EXPECT_EQ(plain.out, "\n");
  EXPECT_EQ(plain.err, "");  // no terminal: no reasoning
}

TEST(Run, ReasoningIsDimOnATerminal) {
  if (!have_terminals()) GTEST_SKIP() << "no pseudo-terminal can be had here";
  const TempFolder folder;
  const std::string file = folder.file("t.jinja", "{{ messages[0].content }}<think>\n");
  const std::vector<std::string> args{"Hello",        "--template",   file, "--greedy",
                                      "--ignore-eos", "--max-tokens", "6"};
  const Ran ran = qw(run(args), {.terminal_stderr = true});
  EXPECT_EQ(ran.out, "\n");
  EXPECT_NE(ran.err.find("\x1b[2m"), ran.err.npos) << ran.err;
  auto json = args;
  json.push_back("--json");
  EXPECT_EQ(qw(run(json), {.terminal_stderr = true}).err, "");
}

TEST(Run, SystemMessage) {
  const int plain = run_json({"Hello", "--max-tokens", "1"})["usage"]["prompt_tokens"];
  EXPECT_GT(
      run_json({"Hello", "--system", "Be brief.", "--max-tokens", "1"})["usage"]["prompt_tokens"].get<int>(),
      plain);
}

TEST(Run, Logprobs) {
  const Json j = run_json({"Hello", "--greedy", "--ignore-eos", "--max-tokens", "4", "--logprobs", "3"});
  ASSERT_EQ(j["logprobs"].size(), 4U);
  for (size_t i = 0; i < 4; ++i) {
    const Json& l = j["logprobs"][i];
    EXPECT_EQ(l["id"], j["ids"][i]);
    ASSERT_EQ(l["top"].size(), 3U);
    EXPECT_EQ(l["top"][0]["id"], l["id"]);  // greedy
    EXPECT_EQ(l["top"][0]["logprob"], l["logprob"]);
    EXPECT_LE(l["logprob"].get<double>(), 0);
  }
  EXPECT_EQ(qw(run({"Hello", "--logprobs", "3"})).status, 2);
}

TEST(Run, TheContextIsALimitThatIsSaid) {
  const Json j = run_json({"--ids", "[1,2,3,4]", "--ctx", "20", "--ignore-eos", "--greedy"});
  EXPECT_EQ(j["finish_reason"], "length");
  EXPECT_EQ(j["usage"]["completion_tokens"], 16);
  const Ran full = qw(run({"--ids", "[1,2,3,4]", "--ctx", "4"}));
  EXPECT_EQ(full.status, 1);
  EXPECT_NE(full.err.find('4'), full.err.npos);
  EXPECT_EQ(qw(run({"--ids", "[1]", "--ctx", "1000000"})).status, 1);
}

TEST(Run, DryRunPlansTheMemory) {
  const Json j = run_json({"--dry-run", "--ctx", "64", "--kv", "f32"});
  EXPECT_EQ(j["context"], 64);
  EXPECT_GT(j["weight_bytes"].get<int64_t>(), 0);
  const int64_t f16 = run_json({"--dry-run", "--ctx", "64"})["kv_bytes"];
  EXPECT_EQ(j["kv_bytes"].get<int64_t>(), 2 * f16);
  const Ran plain = qw(run({"--dry-run", "--ctx", "64"}));
  EXPECT_NE(plain.out.find(" 64 "), plain.out.npos) << plain.out;
}

TEST(Run, WrongUse) {
  for (const std::vector<std::string>& args : {std::vector<std::string>{"--ids", "[1]", "PROMPT"},
                                               {"a", "b"},
                                               {"--ids", "[1"},
                                               {"--ids", "[1]", "--system", "x"},
                                               {"a", "--greedy", "--temperature", "1"},
                                               {"a", "--stop", ""},
                                               {"a", "--exact", "--kv", "f16"},
                                               {"a", "--max-tokens", "-1"},
                                               {"a", "--kv", "f8"},
                                               {"--raw", "a", "--no-think"}}) {
    const Ran ran = qw(run(args));
    EXPECT_EQ(ran.status, 2) << testing::PrintToString(args) << ran.err;
    EXPECT_EQ(ran.out, "");
  }
}

TEST(Run, FailuresAreStatus1) {
  EXPECT_EQ(qw(run({"--ids", "[]"})).status, 1);
  EXPECT_EQ(qw(run({"--ids", "[320]"})).status, 1);
  EXPECT_EQ(qw(run({"--ids", "/no/such/file"})).status, 1);
  EXPECT_EQ(qw(run({"--messages", "/no/such/file"})).status, 1);
  EXPECT_EQ(qw(run({"Hello", "--max-tokens", "4", "--ignore-eos"}), {.out_path = "/dev/full"}).status, 1);
  EXPECT_EQ(qw(run({"Hello", "--max-tokens", "4", "--ignore-eos"}), {.close_stdout = true}).status, 1);
  const TempFolder folder;
  EXPECT_EQ(qw({"run", folder.path().string(), "Hello"}).status, 1);
  EXPECT_EQ(qw({"run", folder.file("x.gguf", "GGUFnonsense"), "Hello"}).status, 1);
}

// What a model writes may hold sequences that recolour, retitle or rewrite a screen.
TEST(Run, AnswersDoNotSteerTheTerminal) {
  if (!have_terminals()) GTEST_SKIP() << "no pseudo-terminal can be had here";
  const TempFolder folder;
  const std::string model = folder / "model", answer = "\x1b[31mred";
  write_scripted_model(model, {{"<go>", answer}, {answer, "<|im_end|>"}}, "<go>");
  PtyProgram p({"run", model, "hello", "--greedy"}, {});
  EXPECT_TRUE(p.expect("[31mred")) << p.shown();
  EXPECT_EQ(p.wait(), 0);
  EXPECT_NE(qw({"run", model, "hello", "--greedy"}).out.find(answer), std::string::npos);  // a pipe gets all
}

}  // namespace
}  // namespace qw::e2e
