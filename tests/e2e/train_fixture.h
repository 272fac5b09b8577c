// A folder with chats to learn from, and configurations of runs on the tiny models of the goldens.
#pragma once

#include <gtest/gtest.h>

#include <fstream>

#include "tests/e2e/process.h"

namespace qw::e2e {

inline const std::string kModels = QW_SOURCE_DIR "/tests/golden/data/models/";

inline std::string chats(int n) {
  std::string out;
  for (int i = 0; i < n; ++i)
    out += fmt::format(
        R"({{"messages":[{{"role":"user","content":"say {}"}},{{"role":"assistant","content":"word{} and more"}}]}})"
        "\n",
        i % 7, i % 7);
  return out;
}

struct TrainTest : testing::Test {
  TempFolder folder;
  std::string data = folder.file("chats.jsonl", chats(40));

  std::string config(const std::string& name, const std::string& more,
                     const std::string& model = "qwen3_tied") {
    return folder.file(name + ".toml",
                       fmt::format("model = \"{}{}\"\nout = \"{}\"\ntask = \"sft\"\ndata = [\"{}\"]\n"
                                   "batch_size = 4\nseq_len = 64\nlr = 0.003\nsteps = 12\n{}",
                                   kModels, model, out(name), data, more));
  }
  std::string out(const std::string& name) const { return (folder / ("out-" + name)).string(); }
  std::vector<Json> log(const std::string& name) const {
    std::vector<Json> lines;
    std::ifstream in(out(name) + "/log.jsonl");
    for (std::string line; std::getline(in, line);) lines.push_back(Json::parse(line));
    return lines;
  }
  std::vector<double> losses(const std::string& name) const {
    std::vector<double> v;
    for (const Json& line : log(name))
      if (line.contains("loss")) v.push_back(line["loss"].get<double>());
    return v;
  }
};

}  // namespace qw::e2e
