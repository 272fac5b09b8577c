// Save → load of whole models: every weight comes back with the same bytes, under the same name.
#include <unistd.h>

#include <filesystem>

#include "backend/cpu/cpu_backend.h"
#include "golden/golden.h"
#include "io/checkpoint.h"
#include "io/save_weights.h"
#include "models/model.h"

namespace qw::golden {
namespace {

struct Loaded {
  std::unique_ptr<Model> model;
  WeightList list;
};

Loaded load(const std::filesystem::path& path, Backend& backend) {
  auto checkpoint = open_checkpoint(path);
  EXPECT_TRUE(checkpoint) << checkpoint.error().debug();
  auto loaded = load_model(checkpoint->config, *checkpoint->weights, backend);
  EXPECT_TRUE(loaded) << loaded.error().debug();
  Loaded out{std::move(loaded->model), {}};
  out.model->visit(out.list);
  return out;
}

std::vector<std::byte> bytes_of(const Weight& w, Backend& backend) {
  std::vector<std::byte> bytes(w.data.bytes());
  backend.download(bytes.data(), w.data);
  return bytes;
}

struct Save : testing::TestWithParam<Case> {};

TEST_P(Save, ComesBackByteForByte) {
  const auto backend = make_cpu_backend({}).value();
  const auto source = data_folder() / "models" / GetParam().name;
  const Loaded first = load(source, *backend);
  const auto folder = std::filesystem::temp_directory_path() /
                      ("qw_save_" + GetParam().name + "_" + std::to_string(::getpid()));
  std::filesystem::create_directories(folder);
  std::filesystem::copy_file(source / "config.json", folder / "config.json");
  const Status saved = save_weights(folder / "model.safetensors", first.list.weights(), *backend);
  ASSERT_TRUE(saved) << saved.error().debug();
  const Loaded second = load(folder, *backend);
  ASSERT_EQ(first.list.weights().size(), second.list.weights().size());
  for (size_t i = 0; i < first.list.weights().size(); ++i) {
    const Weight& a = *first.list.weights()[i];
    const Weight& b = *second.list.weights()[i];
    EXPECT_EQ(a.name, b.name);
    EXPECT_EQ(a.format, b.format) << a.name;
    EXPECT_EQ(bytes_of(a, *backend), bytes_of(b, *backend)) << a.name;
  }
  std::filesystem::remove_all(folder);
}

INSTANTIATE_TEST_SUITE_P(Golden, Save, testing::ValuesIn(cases("models")), param_name);

TEST(SaveRefuses, BlocksThatSafetensorsCannotHold) {
  const auto backend = make_cpu_backend({}).value();
  const Loaded q4 = load(data_folder() / "gguf" / "llama_blocks.Q4_0.gguf", *backend);
  const Status saved = save_weights("/nonexistent/model.safetensors", q4.list.weights(), *backend);
  ASSERT_FALSE(saved);
  EXPECT_EQ(saved.error().code(), "save.quantised");
}

}  // namespace
}  // namespace qw::golden
