// What a written folder takes from its source beside the weights; the weights:
// tests/golden/merge_golden_test.cc.
#include <gtest/gtest.h>

#include <set>

#include "backend/cpu/cpu_backend.h"
#include "base/mmap.h"
#include "io/hf/folder_writer.h"
#include "tests/io/temp_dir.h"

namespace qw {
namespace {

namespace fs = std::filesystem;

std::set<std::string> files_below(const fs::path& folder) {
  std::set<std::string> out;
  for (const auto& entry : fs::recursive_directory_iterator(folder))
    if (entry.is_regular_file()) out.insert(entry.path().lexically_relative(folder).string());
  return out;
}

TEST(HfFolderWriter, CopiesWhatBelongsToTheText) {
  const TempDir dir;
  for (const char* name : {"qwen.tiktoken", "tokenizer_config.json", "modules.json", "1_Pooling/config.json",
                           "sentence_bert_config.json", "config_sentence_transformers.json", "LICENSE.txt",
                           "additional_chat_templates/rag.jinja", "generation_config.json",
                           "quantize_config.json", "adapter_config.json", "notes.txt", "old.safetensors",
                           "deep/er/tokenizer.json", "deep/tokenizer.json"})
    dir.write(std::string("in/") + name, name);
  const auto backend = make_cpu_backend().value();
  for (int round = 0; round < 2; ++round) {  // the second one into the folder of the first
    WeightRows rows({}, *backend);
    const Status written = write_hf_folder(
        dir / "out",
        {.files_from = dir / "in", .config = Json::object(), .files = {{"generation_config.json", "own"}}},
        rows);
    ASSERT_TRUE(written) << written.error().debug();
    EXPECT_EQ(
        files_below(dir / "out"),
        (std::set<std::string>{"1_Pooling/config.json", "LICENSE.txt", "additional_chat_templates/rag.jinja",
                               "config.json", "config_sentence_transformers.json", "generation_config.json",
                               "model.safetensors", "modules.json", "qwen.tiktoken",
                               "sentence_bert_config.json", "tokenizer_config.json"}));
  }
  EXPECT_EQ(*read_file(dir / "out/1_Pooling/config.json"), "1_Pooling/config.json");
  EXPECT_EQ(*read_file(dir / "out/generation_config.json"), "own");
}

}  // namespace
}  // namespace qw
