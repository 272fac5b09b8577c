#include "hub/external.h"

#include <gtest/gtest.h>
#include <stdlib.h>

#include <fstream>

namespace qw::hub {
namespace {

namespace fs = std::filesystem;

TEST(External, TheCacheOfHuggingFaceAndTheStoreOfOllama) {
  std::string pattern = (fs::temp_directory_path() / "qw-external-XXXXXX").string();
  const fs::path root = ::mkdtemp(pattern.data());
  const auto write = [&root](const fs::path& path, std::string_view text) {
    fs::create_directories((root / path).parent_path());
    std::ofstream(root / path) << text;
  };
  write("hub/models--Qwen--Whole/refs/main", "abc\n");
  write("hub/models--Qwen--Whole/blobs/1", "12345");
  write("hub/models--Qwen--Whole/snapshots/abc/config.json", "{}");
  fs::create_symlink("../../blobs/1", root / "hub/models--Qwen--Whole/snapshots/abc/model.safetensors");
  write("hub/models--Qwen--ConfigOnly/refs/main", "abc");
  write("hub/models--Qwen--ConfigOnly/snapshots/abc/config.json", "{}");
  write("hub/models--Qwen--Half/refs/main", "abc");
  write("hub/models--Qwen--Half/snapshots/abc/config.json", "{}");
  write("hub/models--Qwen--Half/snapshots/abc/a.safetensors", "1");
  write("hub/models--Qwen--Half/snapshots/abc/model.safetensors.index.json",
        R"({"weight_map":{"x":"a.safetensors","y":"b.safetensors"}})");
  write("hub/models--Qwen--Evil/refs/main", "../../..");
  write("hub/datasets--a--b/refs/main", "abc");
  write(
      "ollama/manifests/registry.ollama.ai/library/tiny/1b",
      R"({"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:aa"},{"mediaType":3}]})");
  write("ollama/manifests/registry.ollama.ai/me/gone/x",
        R"({"layers":[{"mediaType":"application/vnd.ollama.image.model","digest":"sha256:bb"}]})");
  write("ollama/manifests/registry.ollama.ai/me/torn/x", "{\"layers\":");
  write("ollama/blobs/sha256-aa", "GGUF");
  const ExternalFolders folders{.huggingface = root / "hub", .ollama = {root / "ollama", root / "none"}};
  const auto models = external_models(folders);
  ASSERT_EQ(models.size(), 2U);
  EXPECT_EQ(models[0].name, "Qwen/Whole");
  EXPECT_EQ(models[0].bytes, 7);
  EXPECT_EQ(models[1].name, "ollama:tiny:1b");
  EXPECT_EQ(find_external(folders, "qwen/whole")->path, root / "hub/models--Qwen--Whole/snapshots/abc");
  EXPECT_EQ(find_external(folders, "ollama:tiny:1b")->path, root / "ollama/blobs/sha256-aa");
  EXPECT_FALSE(find_external(folders, "Qwen/ConfigOnly"));
  EXPECT_FALSE(find_external(folders, "Qwen/Half"));
  write("hub/models--Qwen--Half/snapshots/abc/b.safetensors", "1");
  EXPECT_TRUE(find_external(folders, "Qwen/Half"));
  // A projector is no model, whatever its name begins with.
  write("hub/models--Qwen--Sight/refs/main", "abc");
  write("hub/models--Qwen--Sight/snapshots/abc/A.mmproj-F16.gguf", "1");
  EXPECT_FALSE(find_external(folders, "Qwen/Sight"));
  write("hub/models--Qwen--Sight/snapshots/abc/B-Q8_0.gguf", "1");
  EXPECT_EQ(find_external(folders, "Qwen/Sight")->path.filename(), "B-Q8_0.gguf");
  fs::remove_all(root);
}

}  // namespace
}  // namespace qw::hub
