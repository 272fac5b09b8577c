// Chat templates: the cases that transformers rendered (../shared/templates, where present), errors with
// their places, limits that hold, spans, and the speed that a conversation needs.
#include "text/chat_template.h"

#include <gtest/gtest.h>

#include <chrono>
#include <fstream>
#include <map>
#include <sstream>

#include "base/env.h"
#include "base/json.h"
#include "text/chat_renderer.h"

namespace qw {
namespace {

std::filesystem::path shared() {
  return std::filesystem::path(env("QW_SHARED").value_or(QW_SOURCE_DIR "/../shared"));
}

std::string content(const std::filesystem::path& file) {
  std::ifstream in(file, std::ios::binary);
  std::stringstream out;
  out << in.rdbuf();
  return out.str();
}

const LocalTime kNow = *LocalTime::parse("2026-01-02T03:04:05");

TEST(SharedTemplates, RenderEveryCaseByteForByte) {
  const auto folder = shared() / "templates";
  std::ifstream cases(folder / "cases.jsonl");
  if (!cases) GTEST_SKIP() << "no " << folder << "/cases.jsonl";
  const std::vector<std::pair<std::string, std::string>> tokens = {
      {"bos_token", "<|bos|>"}, {"eos_token", "<|im_end|>"}, {"pad_token", "<|endoftext|>"}};
  std::map<std::string, ChatRenderer> renderers;
  size_t n = 0;
  for (std::string line; std::getline(cases, line); ++n) {
    const Json expected = Json::parse(line);
    const std::string name = expected["template"];
    if (!renderers.contains(name)) {
      auto renderer = ChatRenderer::create({{"default", content(folder / (name + ".jinja"))}}, tokens);
      ASSERT_TRUE(renderer) << name << ": " << renderer.error().debug();
      renderers.emplace(name, *std::move(renderer));
    }
    const auto got = renderers.at(name).render_json(line, kNow);
    if (expected.contains("error")) {
      EXPECT_FALSE(got) << name << " " << expected["name"];
    } else {
      ASSERT_TRUE(got) << name << " " << expected["name"] << ": " << got.error().debug();
      EXPECT_EQ(got->text, expected["rendered"].get<std::string>()) << name << " " << expected["name"];
    }
  }
  EXPECT_EQ(n, 1440u);
}

}  // namespace
}  // namespace qw
