// io/hf_folder, io/generation: folders, hub cache layout, what is refused.
#include <gtest/gtest.h>

#include "io/hf/folder.h"
#include "tests/io/tiny_models.h"

namespace qw {
namespace {

namespace fs = std::filesystem;

TEST(HfFolder, ReadsConfigAsItIsAndGenerationDefaults) {
  const TempDir dir;
  dir.write("config.json", R"({"model_type":"qwen2","rope_theta":1e6,"eos_token_id":7,"odd":[1,null]})");
  dir.write("generation_config.json",
            R"({"eos_token_id":[9,3,9],"do_sample":true,"temperature":0.6,"top_p":0.95,"top_k":20,"min_p":0,)"
            R"("repetition_penalty":1.05,"pad_token_id":1,"transformers_version":"4.51.0"})");
  const HfFolder hf = open_hf_folder(dir.path()).value();
  EXPECT_EQ(to_json_line(hf.config),
            R"({"model_type":"qwen2","rope_theta":1000000.0,"eos_token_id":7,"odd":[1,null]})");
  EXPECT_EQ(hf.generation.stop_ids, (std::vector<int32_t>{3, 9}));
  EXPECT_EQ(hf.generation.do_sample, true);
  EXPECT_EQ(hf.generation.temperature, 0.6);
  EXPECT_EQ(hf.generation.top_p, 0.95);
  EXPECT_EQ(hf.generation.top_k, 20);
  EXPECT_EQ(hf.generation.min_p, 0.0);
  EXPECT_EQ(hf.generation.repetition_penalty, 1.05);
}

TEST(HfFolder, StopSetFallsBackToTheConfig) {
  const TempDir dir;
  dir.write("config.json", R"({"eos_token_id":7})");
  EXPECT_EQ(open_hf_folder(dir.path()).value().generation.stop_ids, (std::vector<int32_t>{7}));
  dir.write("generation_config.json", R"({"eos_token_id":null,"do_sample":false})");
  const auto g = open_hf_folder(dir.path()).value().generation;
  EXPECT_EQ(g.stop_ids, (std::vector<int32_t>{7}));
  EXPECT_EQ(g.do_sample, false);
  dir.write("config.json", R"({"eos_token_id":null})");
  EXPECT_TRUE(open_hf_folder(dir.path()).value().generation.stop_ids.empty());
}

TEST(HfFolder, GenerationRefusals) {
  const auto error = [](const char* text) {
    const auto g = parse_generation_config(parse_json(text, "g").value(), "g");
    return g ? "none" : g.error().debug();
  };
  EXPECT_EQ(error("{}"), "none");
  EXPECT_EQ(error("[1]"), "generation.value file=g key={} found=[1]");
  EXPECT_EQ(error(R"({"eos_token_id":"x"})"), "generation.value file=g key=eos_token_id found=\"x\"");
  EXPECT_EQ(error(R"({"eos_token_id":-1})"), "generation.value file=g key=eos_token_id found=-1");
  EXPECT_EQ(error(R"({"eos_token_id":[1,99999999999]})"),
            "generation.value file=g key=eos_token_id found=[1,99999999999]");
  EXPECT_EQ(error(R"({"temperature":"hot"})"), "generation.value file=g key=temperature found=\"hot\"");
  EXPECT_EQ(error(R"({"temperature":-0.5})"), "generation.value file=g key=temperature found=-0.5");
  EXPECT_EQ(error(R"({"repetition_penalty":0})"), "generation.value file=g key=repetition_penalty found=0");
  EXPECT_EQ(error(R"({"top_k":1.5})"), "generation.value file=g key=top_k found=1.5");
  EXPECT_EQ(error(R"({"do_sample":1})"), "generation.value file=g key=do_sample found=1");
}

TEST(HfFolder, ResolvesTheHubCache) {
  const TempDir dir;
  dir.write("blobs/abc", "{}");
  const fs::path cache = dir.path();
  for (const char* hash : {"1111", "2222"}) {
    fs::create_directories(cache / "snapshots" / hash);
    fs::create_symlink("../../blobs/abc", cache / "snapshots" / hash / "config.json");
  }
  EXPECT_EQ(resolve_hf_folder(cache).error().code(), "hf.which_snapshot");
  dir.write("refs/main", "2222\n");
  EXPECT_EQ(resolve_hf_folder(cache).value(), cache / "snapshots" / "2222");
  EXPECT_EQ(open_hf_folder(cache).value().folder, cache / "snapshots" / "2222");
  dir.write("refs/main", "3333");  // a revision that was never fetched whole
  fs::remove_all(cache / "snapshots" / "1111");
  EXPECT_EQ(resolve_hf_folder(cache).value(), cache / "snapshots" / "2222");
  dir.write("refs/main", "../../..");
  EXPECT_EQ(resolve_hf_folder(cache).value(), cache / "snapshots" / "2222") << "no way out of the cache";
  fs::remove_all(cache / "snapshots" / "2222");
  EXPECT_EQ(resolve_hf_folder(cache).error().code(), "hf.no_snapshot");
  EXPECT_EQ(resolve_hf_folder(cache / "absent").error().code(), "hf.no_folder");
}

TEST(HfFolder, ConfigRefusals) {
  const TempDir dir;
  EXPECT_EQ(open_hf_folder(dir.path()).error().code(), "hf.no_config");
  dir.write("adapter_config.json", "{}");
  EXPECT_EQ(open_hf_folder(dir.path()).error().code(), "hf.adapter");
  dir.write("config.json", "[]");
  EXPECT_EQ(open_hf_folder(dir.path()).error().code(), "hf.not_object");
  dir.write("config.json", "{");
  EXPECT_EQ(open_hf_folder(dir.path()).error().code(), "json.parse");
  dir.write("config.json", R"({"quantization_config":{"quant_method":"hqq","bits":4}})");
  const Error e = open_hf_folder(dir.path()).error();
  EXPECT_EQ(e.code(), "hf.quant_method");
  EXPECT_EQ(e.arg("found"), "hqq");
  dir.write("config.json", R"({"quantization_config":null})");
  EXPECT_TRUE(open_hf_folder(dir.path()));
}

TEST(HfWeights, SingleShardedAndSymlinked) {
  const TempDir dir;
  write_counted(dir / "model-1.safetensors", {{"a", "F32", {2, 3}}, {"h", "BF16", {4}}});
  write_counted(dir / "model-2.safetensors",
                {{"b", "F16", {2}}, {"model.layers.0.self_attn.rotary_emb.inv_freq", "I64", {2}}});
  dir.write(
      "model.safetensors.index.json",
      R"({"weight_map":{"a":"model-1.safetensors","h":"model-1.safetensors","b":"model-2.safetensors"}})");
  auto sharded = open_hf_weights(dir.path()).value();
  EXPECT_EQ(sharded.n_files, 2);
  EXPECT_EQ(sharded.source->names(), (std::vector<std::string>{"a", "b", "h"}));
  EXPECT_EQ(sharded.source->take("b", std::vector<int64_t>{2}).value().format, QuantFormat::f16);
  const TempDir single;
  fs::create_symlink(dir / "model-1.safetensors", single / "model.safetensors");
  auto w = open_hf_weights(single.path()).value();
  EXPECT_EQ(w.n_files, 1);
  EXPECT_EQ(w.total_bytes, static_cast<int64_t>(fs::file_size(dir / "model-1.safetensors")));
  fs::remove(dir / "model-1.safetensors");
  EXPECT_EQ(open_hf_weights(single.path()).error().code(), "file.open") << "a dangling link";
}

TEST(HfWeights, Refusals) {
  const TempDir dir;
  EXPECT_EQ(open_hf_weights(dir.path()).error().code(), "hf.no_weights");
  dir.write("pytorch_model.bin", "PK");
  const Error torch = open_hf_weights(dir.path()).error();
  EXPECT_EQ(torch.code(), "hf.pytorch");
  EXPECT_EQ(torch.arg("found"), "pytorch_model.bin");
  write_counted(dir / "model.safetensors", {{"a", "F8_E4M3", {2}}});
  const Error f8 = open_hf_weights(dir.path()).error();
  EXPECT_EQ(f8.code(), "hf.f8");
  EXPECT_EQ(f8.arg("tensor"), "a");
  EXPECT_EQ(f8.arg("found"), "F8_E4M3");
  write_counted(dir / "model.safetensors", {{"a", "I32", {2}}});
  EXPECT_EQ(open_hf_weights(dir.path()).error().code(), "hf.dtype");
  dir.write("model.safetensors", "version https://git-lfs.github.com/spec/v1\noid sha256:0\n");
  EXPECT_EQ(open_hf_weights(dir.path()).error().code(), "file_kind.lfs_pointer");
}

}  // namespace
}  // namespace qw
