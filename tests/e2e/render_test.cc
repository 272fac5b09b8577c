#include <gtest/gtest.h>

#include <fstream>

#include "tests/e2e/process.h"

namespace qw::e2e {
namespace {

constexpr const char* kCase = R"({"messages": [{"role": "user", "content": "hi"}]})";

// A folder with nothing but tokenizer_config.json.
std::string model_with(const TempFolder& folder, const Json& chat_template,
                       const Json& more = Json::object()) {
  Json config = more;
  config["chat_template"] = chat_template;
  folder.file("tokenizer_config.json", config.dump());
  return folder.path().string();
}

std::string render(const std::string& model, const std::string& object, std::vector<std::string> more = {}) {
  std::vector<std::string> args{"render", model, "-"};
  args.insert(args.end(), more.begin(), more.end());
  const Ran ran = qw(args, {.in = object});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_EQ(ran.err, "");
  return ran.out;
}

TEST(Render, VariablesOfTheContract) {
  const TempFolder folder;
  const std::string model =
      model_with(folder,
                 "{{ messages[0].content }}|{{ tools is none }}|{{ documents is none }}|{{ "
                 "add_generation_prompt }}|{{ bos_token }}|{{ my_token }}|{{ x }}",
                 {{"bos_token", "<s>"}, {"my_token", {{"content", "<m>"}}}});
  EXPECT_EQ(render(model, kCase), "hi|True|True|False|<s>|<m>|");
  EXPECT_EQ(
      render(
          model,
          R"({"messages": [{"content": "é"}], "tools": [{}], "kwargs": {"x": 1.0, "add_generation_prompt": true, "bos_token": "!"}})"),
      "é|False|True|True|!|<m>|1.0");
}

TEST(Render, SpellingAndOrderAreKept) {
  const TempFolder folder;
  const std::string model = model_with(folder, "{{ messages | tojson }}");
  const std::string messages = R"([{"z": 1.0, "a": 123456789012345678901234567890, "m": 100, "é": "ü"}])";
  EXPECT_EQ(render(model, "{\"messages\": " + messages + "}"), messages);
}

TEST(Render, WhichTemplate) {
  const TempFolder folder;
  const Json list = Json::array(
      {{{"name", "default"}, {"template", "plain"}}, {{"name", "tool_use"}, {"template", "tools"}}});
  const std::string model = model_with(folder, list);
  EXPECT_EQ(render(model, kCase), "plain");
  EXPECT_EQ(render(model, R"({"messages": [], "tools": [{"a": 1}]})"), "tools");
  folder.file("chat_template.jinja", "file");
  EXPECT_EQ(render(model, kCase), "file");
  const TempFolder other;
  EXPECT_EQ(render(model, kCase, {"--template", other.file("t.jinja", "flag")}), "flag");
  EXPECT_EQ(qw({"render", model, "-", "--template", "/no/such/file"}, {.in = kCase}).status, 1);
}

TEST(Render, Time) {
  const TempFolder folder;
  const std::string model = model_with(folder, "{{ strftime_now('%Y-%m-%d %H:%M:%S') }}");
  EXPECT_EQ(render(model, kCase, {"--now", "2026-01-02T03:04:05"}), "2026-01-02 03:04:05");
  EXPECT_EQ(render(model, kCase).size(), 19U);
  EXPECT_EQ(qw({"render", model, "-", "--now", "yesterday"}, {.in = kCase}).status, 2);
}

TEST(Render, JsonlGoesOnAfterABadCase) {
  const TempFolder folder;
  const std::string model = model_with(folder,
                                       "{% if messages[0].content == 'bad' %}{{ raise_exception('no!') }}{% "
                                       "endif %}{{ messages[0].content }}\n");
  const std::string lines =
      std::string(kCase) + "\n{\"messages\": [{\"content\": \"bad\"}]}\nnonsense\n" + kCase + "\n";
  for (const bool by_file : {false, true}) {
    const std::string file = by_file ? folder.file("cases.jsonl", lines) : "-";
    const Ran ran = qw({"render", model, file, "--jsonl"}, {.in = by_file ? "" : lines});
    EXPECT_EQ(ran.status, 0) << ran.err;
    const auto answers = ran.jsonl();
    ASSERT_EQ(answers.size(), 4U);
    EXPECT_EQ(answers[0]["rendered"], "hi");  // jinja drops one final newline of a template
    EXPECT_NE(answers[1]["error"].get<std::string>().find("no!"), std::string::npos);
    EXPECT_TRUE(answers[2].contains("error"));
    EXPECT_EQ(answers[3], answers[0]);
  }
}

TEST(Render, FailuresSayWhere) {
  const TempFolder folder;
  const Ran bad = qw({"render", model_with(folder, "a\n{% if %}"), "-"}, {.in = kCase});
  EXPECT_EQ(bad.status, 1);
  EXPECT_NE(bad.err.find('2'), bad.err.npos) << bad.err;  // the line
  const Ran loop =
      qw({"render",
          model_with(folder,
                     "{% for i in range(99999) %}{% for j in range(99999) %}{{ j }}{% endfor %}{% endfor %}"),
          "-"},
         {.in = kCase});
  EXPECT_EQ(loop.status, 1);
  EXPECT_EQ(qw({"render", model_with(folder, Json()), "-"}, {.in = kCase}).status, 1);  // no template at all
  EXPECT_EQ(qw({"render", folder.path().string(), "/no/such/file"}).status, 1);
  EXPECT_EQ(qw({"render", folder.path().string()}).status, 2);
}

// Every published template on every case, byte for byte.
TEST(Render, SharedTemplates) {
  const auto cases_file = shared("templates/cases.jsonl");
  if (cases_file.empty()) GTEST_SKIP() << "../shared/templates is absent";
  const TempFolder folder;
  folder.file("tokenizer_config.json",
              R"({"bos_token": "<|bos|>", "eos_token": "<|im_end|>", "pad_token": "<|endoftext|>"})");
  std::map<std::string, std::vector<Json>> by_template;
  std::ifstream in(cases_file);
  for (std::string line; std::getline(in, line);) {
    Json c = Json::parse(line);
    by_template[c["template"]].push_back(c);
  }
  EXPECT_EQ(by_template.size(), 20U);
  for (const auto& [name, cases] : by_template) {
    std::string lines;
    for (const Json& c : cases) lines += c.dump() + "\n";
    const Ran ran = qw({"render", folder.path().string(), "-", "--jsonl", "--now", "2026-01-02T03:04:05",
                        "--template", shared("templates/" + name + ".jinja").string()},
                       {.in = lines});
    ASSERT_EQ(ran.status, 0) << ran.err;
    const auto got = ran.jsonl();
    ASSERT_EQ(got.size(), cases.size()) << name;
    for (size_t i = 0; i < cases.size(); ++i) {
      if (cases[i].contains("rendered"))
        EXPECT_EQ(got[i]["rendered"], cases[i]["rendered"]) << name << " " << cases[i]["name"];
      else
        EXPECT_TRUE(got[i].contains("error"))
            << name << " " << cases[i]["name"] << " instead of " << cases[i]["error"];
    }
  }
}

}  // namespace
}  // namespace qw::e2e
