// Hugging Face folders that qw writes: models as they are come back byte for byte; with an adapter folded in
// they have the logits that PEFT computes with the adapter beside the model.
#include <unistd.h>

#include "golden/golden.h"
#include "golden/model_runner.h"
#include "io/checkpoint.h"
#include "io/hf/folder_writer.h"
#include "io/peft/peft.h"

namespace qw::golden {
namespace {

namespace fs = std::filesystem;

// A path of the test's own, removed with what lies there.
struct Place {
  fs::path path = fs::temp_directory_path() / fmt::format("qw_merge_{}", ::getpid());
  Place() { fs::remove_all(path); }
  ~Place() { fs::remove_all(path); }
};

struct Source {
  explicit Source(const fs::path& path)
      : folder(path), config(open_checkpoint(path).value().config), runner(Runner::open(path, "")) {
    runner->model().visit(list);
  }
  Status write(const fs::path& out, QuantFormat format, std::shared_ptr<const AdapterSet> adapter = nullptr,
               int64_t max_shard_bytes = 5'000'000'000) {
    WeightRows rows(list.weights(), runner->backend(), std::move(adapter));
    return write_hf_folder(
        out, {.files_from = folder, .config = config, .format = format, .max_shard_bytes = max_shard_bytes},
        rows);
  }

  fs::path folder;
  Json config;
  std::unique_ptr<Runner> runner;
  WeightList list;
};

// Tensor name → dtype, shape and bytes of every weight of a folder.
std::map<std::string, std::string> tensors_of(const fs::path& folder) {
  std::map<std::string, std::string> out;
  auto checkpoint = open_checkpoint(folder);
  EXPECT_TRUE(checkpoint) << checkpoint.error().debug();
  for (const fs::directory_entry& e : fs::directory_iterator(folder)) {
    const std::string name = e.path().filename().string();
    if (!name.starts_with("model") || !name.ends_with(".safetensors")) continue;
    const auto file = SafetensorsFile::open(e.path()).value();
    for (const auto& [tensor, t] : file->content().tensors)
      out[tensor] = fmt::format("{} [{}] ", t.dtype, fmt::join(t.shape, ", ")) +
                    std::string(reinterpret_cast<const char*>(t.bytes.data()), t.bytes.size());
  }
  return out;
}

QuantFormat stored_format(const Json& config) {
  const auto dtype = config.value("dtype", "float32");  // the original Qwen's config names none
  return dtype == "float32" ? QuantFormat::f32 : dtype == "float16" ? QuantFormat::f16 : QuantFormat::bf16;
}

struct HfFolderGolden : testing::TestWithParam<Case> {};

TEST_P(HfFolderGolden, AModelComesBackByteForByte) {
  Source source(data_folder() / "models" / GetParam().name);
  const Place out;
  const Status written = source.write(out.path, stored_format(source.config));
  ASSERT_TRUE(written) << written.error().debug();
  if (GetParam().name == "qwen3_moe_stacked") {  // is written as the hub has this type: an expert a tensor
    const std::vector<int32_t> ids{1, 2, 3, 4, 5};
    EXPECT_EQ(Runner::open(out.path, "")->logits(ids).values, source.runner->logits(ids).values);
    EXPECT_TRUE(tensors_of(out.path).contains("model.layers.0.mlp.experts.5.up_proj.weight"));
  } else {
    EXPECT_EQ(tensors_of(out.path), tensors_of(source.folder));
  }
  Json config = parse_json_file(out.path / "config.json").value();
  if (!source.config.contains("dtype")) config.erase("dtype");
  EXPECT_EQ(config, source.config);
  for (const char* file : {"generation_config.json", "tokenizer.json", "tokenizer_config.json"})
    EXPECT_EQ(read_file(out.path / file).value(), read_file(source.folder / file).value()) << file;
}

INSTANTIATE_TEST_SUITE_P(Golden, HfFolderGolden, testing::ValuesIn(cases("models")), param_name);

TEST(HfFolderWriter, ShardsWithAnIndexAndRemovesOldWeights) {
  Source source(data_folder() / "models" / "qwen3_untied");
  const Place out;
  ASSERT_TRUE(source.write(out.path, QuantFormat::f32, nullptr, 60'000));
  EXPECT_TRUE(fs::exists(out.path / "model.safetensors.index.json"));
  EXPECT_TRUE(fs::exists(out.path / "model-00001-of-00004.safetensors"));
  EXPECT_EQ(tensors_of(out.path), tensors_of(source.folder));
  ASSERT_TRUE(write_file_atomic(out.path / "log.jsonl", "kept"));
  ASSERT_TRUE(source.write(out.path, QuantFormat::f32));
  EXPECT_FALSE(fs::exists(out.path / "model.safetensors.index.json"));
  EXPECT_FALSE(fs::exists(out.path / "model-00001-of-00004.safetensors"));
  EXPECT_TRUE(fs::exists(out.path / "log.jsonl"));
  EXPECT_EQ(tensors_of(out.path), tensors_of(source.folder));
}

TEST(HfFolderWriter, RoundsToTheFormatAskedFor) {
  Source source(data_folder() / "models" / "llama");
  const Place out;
  ASSERT_TRUE(source.write(out.path, QuantFormat::bf16));
  const Json config = parse_json_file(out.path / "config.json").value();
  EXPECT_EQ(config["dtype"], "bfloat16");
  for (const auto& [name, content] : tensors_of(out.path)) EXPECT_TRUE(content.starts_with("BF16")) << name;
  const auto runner = Runner::open(out.path, "");
  Expected expected(source.folder / "expected.safetensors");
  // 8 bits of mantissa in some 20 products one after another, logits of size 10: about 20 · 10 · 2⁻⁹.
  EXPECT_TRUE(
      compare("logits", runner->logits(expected.ids("case1.input_ids")), expected.f32("case1.logits"), 0.4));
}

TEST(HfFolderWriter, RefusesNumbersTooLargeForTheFormat) {
  Source source(data_folder() / "models" / "llama");
  Backend& backend = source.runner->backend();
  Weight large = *source.list.weights().back();  // the file's own memory is read-only
  large.data = Tensor(backend.alloc(large.data.bytes()).value(), 0, large.shape, DType::f32);
  backend.fill(large.data, 1e6);
  WeightRows rows({&large}, backend);
  const Place out;
  const Status written =
      write_hf_folder(out.path, {.config = source.config, .format = QuantFormat::f16}, rows);
  ASSERT_FALSE(written);
  EXPECT_EQ(written.error().code(), "save.overflow");
  EXPECT_FALSE(fs::exists(out.path));
}

struct MergeGolden : testing::TestWithParam<Case> {};

TEST_P(MergeGolden, HasTheLogitsOfTheAdaptedModel) {
  Source source(GetParam().path("model"));
  const auto adapter =
      read_peft_adapter(GetParam().path("adapter"), source.list.weights(), source.runner->backend());
  ASSERT_TRUE(adapter) << adapter.error().debug();
  const Place out;
  const Status written = source.write(out.path, QuantFormat::f32, adapter->set);
  ASSERT_TRUE(written) << written.error().debug();
  const auto merged = Runner::open(out.path, "");
  Expected expected(GetParam().path("adapter") / "expected.safetensors");
  EXPECT_TRUE(compare("logits", merged->logits(expected.ids("input_ids")), expected.f32("logits"), 5e-4));
}

INSTANTIATE_TEST_SUITE_P(Golden, MergeGolden, testing::ValuesIn(cases("adapters")), param_name);

}  // namespace
}  // namespace qw::golden
