// qw eval on tiny random models (every kind, batches, taking up) and on the small real one.
#include <gtest/gtest.h>

#include <cmath>
#include <fstream>

#include "base/mmap.h"
#include "tests/e2e/process.h"
#include "tests/e2e/scripted_model.h"

namespace qw::e2e {
namespace {

const std::string kModel = QW_SOURCE_DIR "/tests/golden/data/models/qwen3_tied";

Json user(const std::string& text) {
  return Json::array({{{"role", "user"}, {"content", text}}});
}

std::string lines(const std::vector<Json>& items) {
  std::string out;
  for (const Json& item : items) out += to_json_line(item) + "\n";
  return out;
}

std::vector<Json> read_lines(const std::filesystem::path& file) {
  std::vector<Json> out;
  std::ifstream in(file);
  for (std::string line; std::getline(in, line);) out.push_back(Json::parse(line));
  return out;
}

std::string chat_template(const TempFolder& folder) {
  return folder.file("chat.jinja", "{% for m in messages %}{{ m.content }}\n{% endfor %}");
}

TEST(Eval, EveryKindHasItsResult) {
  const TempFolder folder;
  const std::vector<Json> items = {
      {{"kind", "settings"}, {"refusal_phrases", {"zzzz"}}, {"max_tokens", 5}},
      {{"kind", "exact"}, {"messages", user("a")}, {"answers", {"never this"}}, {"skill", "s"}},
      {{"kind", "refusal"}, {"id", "r"}, {"messages", user("b")}, {"refuse", false}, {"language", "en"}},
      {{"kind", "tool_call"},
       {"messages", user("c")},
       {"tools", {{{"name", "f"}}}},
       {"tool_calls", Json::array()}},
      {{"kind", "choice"}, {"prompt", "the river "}, {"choices", {"runs", "mill", "x"}}, {"answer", 0}},
      {{"kind", "choice"}, {"messages", user("d")}, {"choices", {"one", "two"}}, {"answer", 1}},
      {{"kind", "perplexity"}, {"text", "the river runs past the old mill"}}};
  const std::string tasks = folder.file("t.jsonl", lines(items)), out = folder / "r.jsonl";
  const Ran ran = qw({"eval", kModel, tasks, "--out", out, "--template", chat_template(folder), "--json"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const Json summary = ran.json();
  EXPECT_EQ(summary["items"], 6);
  EXPECT_EQ(summary["tasks"][0]["sha256"].get<std::string>().size(), 64U);
  EXPECT_TRUE(summary["model"].contains("config.json"));
  const std::vector<Json> results = read_lines(out);
  ASSERT_EQ(results.size(), 7U);
  EXPECT_EQ(results[0]["model"], summary["model"]);
  std::map<std::string, Json> by_id;
  for (size_t i = 1; i < results.size(); ++i) {
    EXPECT_FALSE(results[i].contains("error")) << results[i];
    by_id[results[i]["id"]] = results[i];
  }
  EXPECT_EQ(by_id["t.jsonl:2"]["pass"], false);
  EXPECT_EQ(by_id["t.jsonl:2"]["skill"], "s");
  EXPECT_LE(by_id["t.jsonl:2"]["tokens"], 5);
  EXPECT_EQ(by_id["r"]["pass"], true);
  EXPECT_EQ(by_id["t.jsonl:4"]["pass"], true);  // no call is wanted, none is made
  EXPECT_EQ(by_id["t.jsonl:5"]["log_p"].size(), 3U);
  EXPECT_GT(by_id["t.jsonl:7"]["perplexity"], 1.0);
}

TEST(Eval, TheLogProbabilitiesAreThoseOfTheLogits) {
  const TempFolder folder;
  const std::string prompt = "the river runs", choice = " past the old mill";
  const std::string tasks = folder.file(
      "t.jsonl", lines({{{"kind", "choice"}, {"prompt", prompt}, {"choices", {choice, " x"}}, {"answer", 0}},
                        {{"kind", "perplexity"}, {"text", prompt + choice}}}));
  const Ran ran = qw({"eval", kModel, tasks, "--out", folder / "r.jsonl", "--exact"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  const std::vector<Json> results = read_lines(folder / "r.jsonl");
  // The same through `qw run`, one forced token after the other.
  const Json ids = qw({"tokenize", kModel}, {.in = prompt + choice}).json();
  const size_t n_prompt = qw({"tokenize", kModel}, {.in = prompt}).json().size();
  double of_choice = 0, of_all = 0;
  for (size_t i = 1; i < ids.size(); ++i) {
    const Json before(std::vector<Json>(ids.begin(), ids.begin() + static_cast<std::ptrdiff_t>(i)));
    const Json got = qw({"run", kModel, "--ids", before.dump(), "--max-tokens", "1", "--greedy", "--exact",
                         "--logprobs", "320", "--ignore-eos", "--json"})
                         .json();
    double log_p = std::nan("");
    for (const Json& top : got["logprobs"][0]["top"])
      if (top["id"] == ids[i]) log_p = top["logprob"].get<double>();
    of_all += log_p;
    if (i >= n_prompt) of_choice += log_p;
  }
  // f32 on both sides; other batches may take other paths: a few ulp of a log-sum-exp a token.
  EXPECT_NEAR(results[1]["log_p"][0].get<double>(), of_choice, 1e-4);
  EXPECT_NEAR(results[2]["nll"].get<double>(), -of_all, 1e-4);
  EXPECT_EQ(results[2]["tokens"], ids.size() - 1);
}

TEST(Eval, AnAdapterCountsInScoresAnswersAndHashes) {
  const TempFolder folder;
  const std::string base = QW_SOURCE_DIR "/tests/golden/data/models/qwen2_tied";
  const std::string adapter = QW_SOURCE_DIR "/tests/golden/data/adapters/qwen2_head";
  const std::string merged = folder / "merged";
  ASSERT_EQ(qw({"merge", base, adapter, merged}).status, 0);
  const std::string tasks = folder.file(
      "t.jsonl", lines({{{"kind", "perplexity"}, {"text", "the river runs past the old mill"}},
                        {{"kind", "exact"}, {"messages", user("the river")}, {"answers", {"x"}}}}));
  const std::string jinja = chat_template(folder);
  std::vector<std::vector<Json>> runs;
  const std::vector<std::vector<std::string>> models = {{base, "--adapter", adapter}, {merged}, {base}};
  for (const auto& model : models) {
    std::vector<std::string> args = {"eval"};
    args.insert(args.end(), model.begin(), model.end());
    const std::string out = folder / std::to_string(runs.size());
    args.insert(args.end(), {tasks, "--out", out, "--template", jinja, "--exact", "--max-tokens", "12"});
    const Ran ran = qw(args);
    ASSERT_EQ(ran.status, 0) << ran.err;
    runs.push_back(read_lines(out));
  }
  EXPECT_TRUE(runs[0][0]["model"].contains("adapter/adapter_model.safetensors"));
  EXPECT_NEAR(runs[0][1]["nll"].get<double>(), runs[1][1]["nll"].get<double>(), 1e-3);
  EXPECT_EQ(runs[0][2]["answer"], runs[1][2]["answer"]);
  EXPECT_GT(std::abs(runs[0][1]["nll"].get<double>() - runs[2][1]["nll"].get<double>()), 1e-2);
}

TEST(Eval, ABatchAndOneByOneGiveTheSame) {
  const TempFolder folder;
  std::vector<Json> items;
  for (int i = 0; i < 24; ++i)
    items.push_back(
        {{"kind", "exact"}, {"messages", user("text " + std::to_string(i * i))}, {"answers", {"x"}}});
  const std::string tasks = folder.file("t.jsonl", lines(items)), jinja = chat_template(folder);
  std::vector<std::map<std::string, Json>> runs;
  for (const char* batch : {"1", "16"}) {
    const std::string out = folder / (std::string("r") + batch);
    const Ran ran = qw(
        {"eval", kModel, tasks, "--out", out, "--template", jinja, "--batch", batch, "--max-tokens", "12"});
    ASSERT_EQ(ran.status, 0) << ran.err;
    std::map<std::string, Json> by_id;
    for (const Json& r : read_lines(out))
      if (r.contains("id")) by_id[r["id"]] = r;
    runs.push_back(by_id);
  }
  ASSERT_EQ(runs[0].size(), 24U);
  EXPECT_EQ(runs[0], runs[1]);
}

TEST(Eval, TakesUpWhatIsThere) {
  const TempFolder folder;
  std::vector<Json> items;
  for (int i = 0; i < 6; ++i)
    items.push_back(
        {{"kind", "perplexity"}, {"id", std::to_string(i)}, {"text", "some text " + std::to_string(i)}});
  const std::string tasks = folder.file("t.jsonl", lines(items)), out = folder / "r.jsonl";
  const Ran whole = qw({"eval", kModel, tasks, "--out", out, "--json"});
  ASSERT_EQ(whole.status, 0) << whole.err;
  std::vector<Json> results = read_lines(out);
  // The header, three results of which one says something that only this file knows, and a torn line.
  results.resize(4);
  results[2]["nll"] = 1e6;
  std::ofstream(out) << lines(results) << "{\"task\":0,\"id\":\"4";
  const Ran rest = qw({"eval", kModel, tasks, "--out", out, "--json"});
  ASSERT_EQ(rest.status, 0) << rest.err;
  EXPECT_NE(rest.err.find('3'), rest.err.npos);
  EXPECT_EQ(rest.json()["items"], 6);
  EXPECT_GT(rest.json()["groups"][0]["nll"], 1e6);  // taken over, not computed again
  EXPECT_EQ(read_lines(out).size(), 7U);            // each of them JSON: the torn line is gone
  const Ran other = qw({"eval", kModel, tasks, "--out", out, "--max-tokens", "7"});
  EXPECT_EQ(other.status, 1);
  EXPECT_NE(other.err.find("r.jsonl"), other.err.npos);
}

TEST(Eval, ErrorsThatAreTakenOverCountAndThoseOfMemoryAreTriedAgain) {
  const TempFolder folder;
  const std::string tasks =
      folder.file("t.jsonl", lines({{{"kind", "perplexity"}, {"id", "short"}, {"text", "x"}},
                                    {{"kind", "perplexity"}, {"id", "good"}, {"text", "the river runs"}}}));
  const std::vector<std::string> args = {"eval", kModel, tasks, "--out", folder / "r.jsonl"};
  ASSERT_EQ(qw(args).status, 0);
  const Ran over = qw(args);
  EXPECT_NE(over.err.find("1 items could not be run"), over.err.npos) << over.err;
  std::vector<Json> results = read_lines(folder / "r.jsonl");
  ASSERT_EQ(results.size(), 3U);
  for (size_t i = 1; i < results.size(); ++i) {
    results[i].update({{"error", "no room"}, {"code", "memory.plan"}});
    results[i].erase("nll");
  }
  std::ofstream(folder / "r.jsonl") << lines(results);
  for (int run = 0; run < 2; ++run) {  // the second takes the last line of each item
    const Ran again = qw(args);
    EXPECT_NE(again.err.find("1 items could not be run"), again.err.npos) << again.err;
    results = read_lines(folder / "r.jsonl");
    ASSERT_EQ(results.size(), 5U);
  }
  for (size_t i = 3; i < results.size(); ++i)
    EXPECT_EQ(results[i].contains("nll"), results[i]["id"] == "good") << results[i];
}

TEST(Eval, ATornHeaderIsWrittenAnewAndAnotherFileIsLeftAlone) {
  const TempFolder folder;
  const std::string tasks =
      folder.file("t.jsonl", lines({{{"kind", "perplexity"}, {"text", "the river runs"}}}));
  const std::string out = folder / "r.jsonl";
  ASSERT_EQ(qw({"eval", kModel, tasks, "--out", out}).status, 0);
  const std::string header = to_json_line(read_lines(out)[0]);
  for (const size_t torn : {size_t{1}, size_t{40}, header.size()}) {
    std::ofstream(out) << header.substr(0, torn);
    const Ran ran = qw({"eval", kModel, tasks, "--out", out});
    ASSERT_EQ(ran.status, 0) << ran.err;
    const std::vector<Json> results = read_lines(out);
    ASSERT_EQ(results.size(), 2U) << torn;
    EXPECT_EQ(to_json_line(results[0]), header);
  }
  const std::string notes = folder.file("notes", "one line of mine");
  EXPECT_EQ(qw({"eval", kModel, tasks, "--out", notes}).status, 1);
  EXPECT_EQ(read_file(notes).value(), "one line of mine");
}

TEST(Eval, ARunThatIsTakenUpKeepsItsDate) {
  const TempFolder folder;
  const std::string tasks = folder.file(
      "t.jsonl",
      lines({{{"kind", "exact"}, {"messages", user("a")}, {"answers", {"x"}}, {"max_tokens", 2}}}));
  const std::string old = folder.file("old.jinja",
                                      "{% if strftime_now('%Y-%m-%d') == '2001-02-03' %}"
                                      "{{ raise_exception('long ago') }}{% endif %}a");
  const std::vector<std::string> args = {"eval",       kModel, tasks, "--out", folder / "r.jsonl",
                                         "--template", old};
  ASSERT_EQ(qw(args).status, 0);
  std::vector<Json> results = read_lines(folder / "r.jsonl");
  ASSERT_EQ(results.size(), 2U);
  EXPECT_FALSE(results[1].contains("error")) << results[1];
  ASSERT_EQ(results[0].at("date").get<std::string>().size(), 10U);
  results[0]["date"] = "2001-02-03";
  std::ofstream(folder / "r.jsonl") << to_json_line(results[0]) << "\n";
  ASSERT_EQ(qw(args).status, 0);
  results = read_lines(folder / "r.jsonl");
  ASSERT_EQ(results.size(), 2U);
  EXPECT_EQ(results[0].at("date"), "2001-02-03");
  EXPECT_NE(results[1].value("error", "").find("long ago"), std::string::npos) << results[1];
}

TEST(Eval, ATemplateOfTheSameNameIsAnotherRunWhenItChanged) {
  const TempFolder folder;
  const std::string tasks =
      folder.file("t.jsonl", lines({{{"kind", "exact"}, {"messages", user("a")}, {"answers", {"x"}}}}));
  const std::vector<std::string> args = {
      "eval",  kModel,       tasks,
      "--out", folder / "r", "--max-tokens",
      "2",     "--template", folder.file("chat.jinja", "{{ messages[0].content }}")};
  ASSERT_EQ(qw(args).status, 0);
  EXPECT_EQ(qw(args).status, 0);
  folder.file("chat.jinja", "{{ messages[0].content }}!");
  const Ran other = qw(args);
  EXPECT_EQ(other.status, 1);
  EXPECT_NE(other.err.find("--out"), other.err.npos) << other.err;
}

Json parsed_file(const std::filesystem::path& file) {
  return Json::parse(std::ifstream(file));
}

// What `qw eval` says of these items, by id.
std::map<std::string, Json> results_of(const std::filesystem::path& model, const TempFolder& folder,
                                       const std::vector<Json>& items) {
  const std::string out = folder / "out.jsonl";
  const Ran ran = qw({"eval", model.string(), folder.file("items.jsonl", lines(items)), "--out", out});
  EXPECT_EQ(ran.status, 0) << ran.err;
  std::map<std::string, Json> by_id;
  for (const Json& line : read_lines(out))
    if (line.contains("id")) by_id[line["id"]] = line;
  EXPECT_EQ(by_id.size(), items.size());
  return by_id;
}

Json choice_item(const std::string& id, const std::string& prompt) {
  return {{"id", id}, {"kind", "choice"}, {"prompt", prompt}, {"choices", {"x", "y"}}, {"answer", 0}};
}

TEST(Eval, AnIdThatTheModelLacksFailsItsItemAlone) {
  const TempFolder folder;
  const auto model = folder / "model";
  std::filesystem::copy(kModel, model);
  Json tokenizer = parsed_file(model / "tokenizer.json");
  Json far = tokenizer["added_tokens"].back();
  const int vocab = parsed_file(model / "config.json")["vocab_size"].get<int>();
  for (int id = far["id"].get<int>() + 1; id <= vocab; ++id) {
    far["id"] = id;
    far["content"] = id == vocab ? "<far>" : "<far" + std::to_string(id) + ">";
    tokenizer["added_tokens"].push_back(far);
  }
  std::ofstream(model / "tokenizer.json") << tokenizer.dump();
  const auto results = results_of(model, folder,
                                  {choice_item("far", "the <far>"),
                                   choice_item("near", "the river"),
                                   {{"id", "text"}, {"kind", "perplexity"}, {"text", "the <far> river"}}});
  EXPECT_EQ(results.at("far").value("code", ""), "ids.too_large") << results.at("far");
  EXPECT_EQ(results.at("text").value("code", ""), "ids.too_large") << results.at("text");
  EXPECT_FALSE(results.at("near").contains("error")) << results.at("near");
}

// A million tokens in one step through a layer of 65,536: half a terabyte of activations.
TEST(Eval, AnItemThatDoesNotFitIntoMemoryFailsAlone) {
  const TempFolder folder;
  const auto model = folder / "model";
  write_scripted_model(model, {{"<a>", "<b>"}}, "{{ messages[0].content }}", 1 << 16);
  Json config = parsed_file(model / "config.json");
  config["max_position_embeddings"] = 1 << 21;
  std::ofstream(model / "config.json") << config.dump();
  std::string text;
  for (int i = 0; i < 1 << 19; ++i) text += "x ";
  const auto results = results_of(model, folder, {choice_item("long", text), choice_item("short", "x y")});
  EXPECT_EQ(results.at("long").value("code", ""), "memory.plan") << results.at("long").value("error", "");
  EXPECT_FALSE(results.at("short").contains("error")) << results.at("short");
}

// The bytes of a tensor in a file of safetensors become numbers that are none.
void spoil(const std::filesystem::path& file, const std::string& tensor) {
  std::fstream io(file, std::ios::in | std::ios::out | std::ios::binary);
  uint64_t size = 0;
  io.read(reinterpret_cast<char*>(&size), sizeof size);
  std::string header(size, ' ');
  io.read(header.data(), static_cast<std::streamsize>(size));
  const Json at = Json::parse(header)[tensor]["data_offsets"];
  const std::string ones(at[1].get<size_t>() - at[0].get<size_t>(), '\xFF');
  io.seekp(static_cast<std::streamoff>(sizeof size + size + at[0].get<size_t>()));
  io << ones;
}

TEST(Eval, NumbersThatAreNotFiniteFailTheirItems) {
  const TempFolder folder;
  const auto model = folder / "model";
  write_scripted_model(model, {{"<a>", "<b>"}}, "{{ messages[0].content }}");
  spoil(model / "model.safetensors", "model.norm.weight");
  const auto results = results_of(
      model, folder, {choice_item("c", "x"), {{"id", "p"}, {"kind", "perplexity"}, {"text", "x y z"}}});
  for (const char* id : {"c", "p"}) {
    EXPECT_EQ(results.at(id).value("code", ""), "engine.non_finite") << results.at(id);
    EXPECT_FALSE(results.at(id).contains("nll")) << id;
  }
  EXPECT_EQ(results.at("c")["pass"], false);
}

TEST(Eval, BadFilesAndUse) {
  const TempFolder folder;
  const std::string bad =
      folder.file("bad.jsonl", "{\"kind\":\"perplexity\",\"text\":\"x y\"}\nnothing\n{}\n");
  const Ran ran = qw({"eval", kModel, bad});
  EXPECT_EQ(ran.status, 1);
  EXPECT_EQ(ran.out, "");
  EXPECT_NE(ran.err.find("bad.jsonl, line 2"), ran.err.npos) << ran.err;
  EXPECT_NE(ran.err.find("bad.jsonl, line 3"), ran.err.npos) << ran.err;
  const std::string twice =
      folder.file("twice.jsonl", lines({{{"kind", "perplexity"}, {"id", "a"}, {"text", "x"}},
                                        {{"kind", "perplexity"}, {"id", "a"}, {"text", "y"}}}));
  EXPECT_EQ(qw({"eval", kModel, twice}).status, 1);
  EXPECT_EQ(qw({"eval", kModel, folder.file("empty.jsonl", "\n")}).status, 1);
  EXPECT_EQ(qw({"eval", kModel}).status, 2);
  const std::string little = folder.file("little.jsonl", lines({{{"kind", "perplexity"}, {"text", "x"}}}));
  const Ran failed = qw({"--lang", "zh", "eval", kModel, little});
  EXPECT_EQ(failed.status, 0);
  EXPECT_NE(failed.err.find("按失败计"), failed.err.npos) << failed.err;
}

TEST(Eval, SmolLm2KnowsACapital) {
  if (smollm2().empty()) GTEST_SKIP() << "../shared/models/SmolLM2-135M-Instruct.Q4_1.gguf is absent";
  const TempFolder folder;
  const std::string tasks =
      folder.file("t.jsonl", lines({{{"kind", "exact"},
                                     {"messages", user("What is the capital of France?")},
                                     {"answers", {"paris"}},
                                     {"match", "contains"},
                                     {"ignore_case", true}},
                                    {{"kind", "choice"},
                                     {"prompt", "The capital of France is"},
                                     {"choices", {" Berlin", " Paris", " Rome"}},
                                     {"answer", 1}}}));
  const Ran ran = qw({"eval", smollm2().string(), tasks, "--json", "--max-tokens", "32"});
  ASSERT_EQ(ran.status, 0) << ran.err;
  for (const Json& group : ran.json()["groups"]) EXPECT_EQ(group["passed"], 1) << group;
}

}  // namespace
}  // namespace qw::e2e
