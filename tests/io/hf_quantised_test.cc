// io/hf_quantization, io/hf_quantised: what configs of quantised folders may say, and files that do not keep
// to it. That right files are read rightly: tests/golden/quantised_golden_test.cc.
#include <gtest/gtest.h>

#include <cstring>
#include <functional>

#include "base/mmap.h"
#include "golden/golden.h"
#include "io/checkpoint.h"
#include "io/hf/folder.h"
#include "io/hf/quantised.h"
#include "io/hf/safetensors_writer.h"
#include "tests/io/temp_dir.h"

namespace qw {
namespace {

namespace fs = std::filesystem;

// ---- configs

std::string config_error(const std::string& quantization) {
  const auto q = parse_quantization(parse_json(quantization, "q").value(), "config.json");
  return q ? "none" : q.error().debug();
}

TEST(HfQuantization, ReadsWhatEachMethodSays) {
  const auto read = [](const std::string& text) {
    return parse_quantization(parse_json(text, "q").value(), "config.json").value();
  };
  const HfQuantization gptq =
      read(R"({"quant_method":"gptq","bits":8,"group_size":-1,"desc_act":true,"sym":true})");
  EXPECT_EQ(gptq.summary, "gptq, 8 bits, one group a row, desc_act");
  EXPECT_TRUE(gptq.zero_less_one);
  EXPECT_FALSE(gptq.dynamic);
  EXPECT_FALSE(read(R"({"quant_method":"gptq","bits":4,"group_size":128,"checkpoint_format":"gptq_v2"})")
                   .zero_less_one);
  EXPECT_EQ(
      read(R"({"quant_method":"awq","bits":4,"group_size":128,"version":"gemm","zero_point":true})").summary,
      "awq, 4 bits, groups of 128");
  const HfQuantization fp8 = read(R"({"quant_method":"fp8","fmt":"e4m3","weight_block_size":[128,64]})");
  EXPECT_EQ(fp8.block_rows, 128);
  EXPECT_EQ(fp8.block_cols, 64);
  EXPECT_EQ(
      read(R"({"quant_method":"bitsandbytes","load_in_4bit":true,"bnb_4bit_quant_type":"nf4"})").summary,
      "bitsandbytes, nf4");
  const HfQuantization unknown =
      read(R"({"quant_method":"gptq","bits":4,"group_size":128,"new_thing":3,"damp_percent":0.1})");
  EXPECT_EQ(unknown.unknown_keys, std::vector<std::string>{"quantization_config.new_thing"});
}

TEST(HfQuantization, RefusesWhatWouldBeComputedWrongly) {
  EXPECT_EQ(config_error("[]"), "config.missing key=quantization_config.quant_method");
  EXPECT_EQ(config_error(R"({"quant_method":"hqq"})"), "hf.quant_method file=config.json found=hqq");
  const std::string gptq = R"({"quant_method":"gptq","bits":4,"group_size":)";
  EXPECT_EQ(config_error(gptq + "128}"), "none");
  EXPECT_EQ(config_error(gptq + "0}"), "config.range key=quantization_config.group_size found=0");
  EXPECT_EQ(config_error(gptq + "48}"),
            "config.value key=quantization_config.group_size found=48 expected=-1, 32, 64, 128");
  EXPECT_EQ(config_error(gptq + "\"x\"}"),
            "config.type key=quantization_config.group_size expected=an integer found=\"x\"");
  EXPECT_EQ(config_error(R"({"quant_method":"gptq","bits":3,"group_size":128})"),
            "config.value key=quantization_config.bits found=3 expected=4, 8");
  EXPECT_EQ(config_error(gptq + R"(128,"checkpoint_format":"marlin"})"),
            "config.value key=quantization_config.checkpoint_format found=\"marlin\" expected=\"gptq\", "
            "\"gptq_v2\"");
  EXPECT_EQ(config_error(R"({"quant_method":"awq","bits":4,"group_size":128,"version":"gemv"})"),
            "config.value key=quantization_config.version found=\"gemv\" expected=\"gemm\", \"GEMM\"");
  EXPECT_EQ(config_error(R"({"quant_method":"fp8","weight_block_size":[128]})"),
            "config.value key=quantization_config.weight_block_size found=[128] expected=[128, 128]");
  EXPECT_EQ(config_error(R"({"quant_method":"bitsandbytes"})"),
            "config.missing key=quantization_config.load_in_4bit");
}

TEST(HfQuantization, RefusesGroupsOfCompressedTensors) {
  const auto with = [](const std::string& weights, const std::string& format = "pack-quantized",
                       const std::string& targets = R"(["Linear"])") {
    return config_error(R"({"quant_method":"compressed-tensors","format":")" + format +
                        R"(","config_groups":{"group_0":{"targets":)" + targets + R"(,"weights":{)" +
                        weights + "}}}}");
  };
  const std::string four = R"("num_bits":4,"type":"int","strategy":"group","group_size":)";
  const std::string at = "quantization_config.config_groups.group_0.";
  EXPECT_EQ(with(four + "64"), "none");
  EXPECT_EQ(with(four + "0"), "config.range key=" + at + "weights.group_size found=0");
  EXPECT_EQ(with(four + "64", "nvfp4-pack-quantized"),
            "config.value key=" + at +
                "format found=\"nvfp4-pack-quantized\" expected=pack-quantized, "
                "int-quantized, float-quantized, naive-quantized");
  EXPECT_EQ(with(R"("num_bits":6,"type":"int")"),
            "config.value key=" + at + "weights.num_bits found=6 expected=4, 8");
  EXPECT_EQ(
      with(R"("num_bits":8,"type":"float","strategy":"block","block_structure":[0,128])", "float-quantized"),
      "config.value key=" + at + "weights.block_structure found=[0,128] expected=[128, 128]");
  EXPECT_EQ(with(four + "64", "pack-quantized", R"j(["re:(?!x)"])j"),
            "pattern.unsupported pattern=(?!x) offset=1");
  EXPECT_EQ(config_error(R"({"quant_method":"compressed-tensors","format":"pack-quantized"})"),
            "config.missing key=quantization_config.config_groups");
}

TEST(HfQuantization, LiesInThreePlaces) {
  const TempDir dir;
  const std::string gptq = R"({"quant_method":"gptq","bits":4,"group_size":32,"odd":1})";
  dir.write("config.json", R"({"text_config":{"a":1,"quantization_config":)" + gptq + "}}");
  HfFolder nested = open_hf_folder(dir.path()).value();
  ASSERT_TRUE(nested.quantization);
  EXPECT_EQ(to_json_line(nested.config), R"({"text_config":{"a":1},"quantization_config.odd":true})");
  dir.write("config.json", "{}");
  EXPECT_FALSE(open_hf_folder(dir.path()).value().quantization);
  dir.write("quantize_config.json", R"({"bits":8,"group_size":128,"desc_act":false})");
  EXPECT_EQ(open_hf_folder(dir.path()).value().quantization->bits, 8);
  dir.write("quantize_config.json", "[1]");
  EXPECT_EQ(open_hf_folder(dir.path()).error().code(), "hf.not_object");
}

// ---- files

struct Tensor {
  std::string dtype;
  std::vector<int64_t> shape;
  std::vector<std::byte> bytes;
};
using Tensors = std::map<std::string, Tensor>;

// A golden folder with its tensors changed; answers the error of opening it and taking every weight.
class Changed {
 public:
  explicit Changed(const std::string& name) : folder_(golden::data_folder() / "quantised" / name) {
    const SafetensorsSet set = open_safetensors(folder_ / "model.safetensors").value();
    for (const auto& [key, item] : set.tensors)
      tensors_[key] = {
          item.tensor->dtype, item.tensor->shape, {item.tensor->bytes.begin(), item.tensor->bytes.end()}};
  }

  std::string error(const std::function<void(Tensors&)>& change) const {
    Tensors tensors = tensors_;
    change(tensors);
    const TempDir dir;
    for (const char* file : {"config.json", "quantize_config.json"})
      if (fs::exists(folder_ / file)) dir.write(file, read_file(folder_ / file).value());
    std::vector<SafetensorsPlan> plans;
    for (const auto& [key, t] : tensors) plans.push_back({key, t.dtype, t.shape});
    SafetensorsWriter writer = SafetensorsWriter::create(dir / "model.safetensors", plans).value();
    size_t i = 0;
    for (const auto& [key, t] : tensors)
      EXPECT_TRUE(writer.write(i++, 0, std::span<const std::byte>(t.bytes)));
    EXPECT_TRUE(writer.finish());
    const Status status = read_all(dir.path());
    return status ? "none" : without_file(status.error());
  }

 private:
  static Status read_all(const fs::path& path) {
    QW_TRY(Checkpoint c, open_checkpoint(path));
    for (const std::string& name : c.weights->names()) {
      if (!name.ends_with("_proj.weight")) continue;
      const Result<WeightBytes> any = c.weights->take(name, std::vector<int64_t>{});
      const std::string found(any ? "[]" : any.error().arg("found"));
      std::vector<int64_t> shape(2);
      if (std::sscanf(found.c_str(), "[%ld, %ld]", &shape[0], &shape[1]) != 2)
        return tl::unexpected(any.error());
      QW_TRY(const WeightBytes bytes, c.weights->take(name, shape));
      EXPECT_EQ(static_cast<int64_t>(bytes.bytes.size()), shape[0] * row_bytes(bytes.format, shape[1]))
          << name;
    }
    for (const char* name : {"model.embed_tokens.weight", "lm_head.weight", "model.norm.weight"})
      c.weights->ignore(name);
    for (const std::string& name : c.weights->names())
      for (const char* end : {"norm.weight", "q_proj.bias", "k_proj.bias", "v_proj.bias"})
        if (name.ends_with(end)) c.weights->ignore(name);
    return c.weights->finish();
  }
  static std::string without_file(const Error& e) {
    std::string text = e.code();
    for (const ErrorArg& arg : e.args())
      if (arg.name != "file") text += " " + arg.name + "=" + arg.value;
    return text;
  }

  fs::path folder_;
  Tensors tensors_;
};

const std::string kQ = "model.layers.0.self_attn.q_proj.";

TEST(HfQuantised, GptqFilesThatDoNotKeepToIt) {
  const Changed folder("gptq4_asym");
  EXPECT_EQ(folder.error([](Tensors&) {}), "none");
  EXPECT_EQ(folder.error([](Tensors& t) { t.erase(kQ + "scales"); }),
            "hf.quant_missing tensor=" + kQ + "qweight missing=" + kQ + "scales");
  EXPECT_EQ(folder.error([](Tensors& t) { t.erase(kQ + "qzeros"); }),
            "hf.quant_missing tensor=" + kQ + "qweight missing=" + kQ + "qzeros");
  EXPECT_EQ(folder.error([](Tensors& t) { t.erase(kQ + "qweight"); }).substr(0, 8), "hf.dtype")
      << "zeros are left over";
  EXPECT_EQ(folder.error([](Tensors& t) { t["x.scales"] = t[kQ + "scales"]; }),
            "weights.leftover tensor=x.scales count=1");
  EXPECT_EQ(folder.error([](Tensors& t) {
    t[kQ + "weight"] = {"F16", {1}, std::vector<std::byte>(2)};
  }),
            "hf.quant_twice tensor=" + kQ + "weight");
  EXPECT_EQ(folder.error([](Tensors& t) {
    t[kQ + "qweight"].shape = {16, 32};
  }),
            "hf.quant_tensor tensor=" + kQ + "qweight expected=I32 [16, 64] found=I32 [16, 32]");
  EXPECT_EQ(folder.error([](Tensors& t) {
    t[kQ + "scales"] = {"F16", {0, 64}, {}};
  }),
            "hf.quant_tensor tensor=" + kQ + "scales expected=F16 [G, N] found=F16 [0, 64]");
  EXPECT_EQ(folder.error([](Tensors& t) {
                    t[kQ + "scales"] = {"F16", {4, 32}, t[kQ + "scales"].bytes};
                  })
                .substr(0, 16),
            "hf.quant_columns");
  EXPECT_EQ(folder.error([](Tensors& t) {
    t[kQ + "scales"] = {"F16", {1, 64}, std::vector<std::byte>(128)};
    t[kQ + "qzeros"] = {"I32", {1, 8}, std::vector<std::byte>(32)};
  }),
            "hf.quant_tensor tensor=" + kQ + "scales expected=F16 [2, 64] found=F16 [1, 64]")
      << "another group size than the config's";
}

TEST(HfQuantised, BiasesOfZerosThatTheModelDoesNotHave) {
  const Changed folder("gptq4_asym");
  const std::string up = "model.layers.0.mlp.up_proj.", o = "model.layers.0.self_attn.o_proj.";
  const auto with = [&](const std::string& name, uint16_t last) {
    return folder.error([&](Tensors& t) {
      Tensor bias{"F16", {64}, std::vector<std::byte>(128)};
      std::memcpy(bias.bytes.data() + 126, &last, 2);
      t[name] = std::move(bias);
    });
  };
  EXPECT_EQ(with(up + "bias", 0), "none");
  EXPECT_EQ(with(o + "bias", 0x8000), "none") << "minus zero";
  EXPECT_EQ(with(o + "bias", 1), "weights.leftover tensor=" + o + "bias count=1")
      << "would change the output";
  EXPECT_EQ(with("model.layers.9.mlp.up_proj.bias", 0),
            "weights.leftover tensor=model.layers.9.mlp.up_proj.bias count=1")
      << "beside no weight";
}

TEST(HfQuantised, AnOrderOfColumnsThatIsNone) {
  const Changed folder("gptq4_desc_act");
  const auto with = [&](int32_t column, int32_t group) {
    return folder.error(
        [&](Tensors& t) { std::memcpy(t[kQ + "g_idx"].bytes.data() + 4 * column, &group, 4); });
  };
  const std::string bad = "hf.quant_order tensor=" + kQ + "g_idx groups=2 columns=32";
  EXPECT_EQ(with(3, 2), bad);
  EXPECT_EQ(with(3, -1), bad);
  EXPECT_EQ(with(3, 1 << 30), bad);
  EXPECT_EQ(folder.error([](Tensors& t) {
    std::fill(t[kQ + "g_idx"].bytes.begin(), t[kQ + "g_idx"].bytes.end(), std::byte{});
  }),
            bad);
  EXPECT_EQ(folder.error([](Tensors& t) {
                    t[kQ + "g_idx"].shape = {32, 2};
                  })
                .substr(0, 15),
            "hf.quant_tensor");
}

TEST(HfQuantised, Fp8FilesThatDoNotKeepToIt) {
  const Changed folder("fp8_block");
  EXPECT_EQ(folder.error([](Tensors&) {}), "none");
  EXPECT_EQ(folder.error([](Tensors& t) { t.erase(kQ + "weight_scale_inv"); }),
            "hf.quant_missing tensor=" + kQ + "weight missing=" + kQ + "weight_scale_inv");
  EXPECT_EQ(folder.error([](Tensors& t) {
    t[kQ + "weight_scale_inv"] = {"F32", {2, 1}, std::vector<std::byte>(8)};
  }),
            "hf.quant_tensor tensor=" + kQ + "weight_scale_inv expected=F32 [1, 1] found=F32 [2, 1]");
  EXPECT_EQ(folder.error([](Tensors& t) { t[kQ + "weight"].bytes[7] = std::byte{0xFF}; }),
            "hf.quant_nan tensor=" + kQ + "weight");
  EXPECT_EQ(folder.error([](Tensors& t) { t[kQ + "weight"].dtype = "F8_E5M2"; }).substr(0, 5), "hf.f8");
  EXPECT_EQ(folder.error([](Tensors& t) {
    t[kQ + "input_scale"] = {"F32", {}, std::vector<std::byte>(4)};
  }),
            "none")
      << "a scale of activations";
}

TEST(HfQuantised, StackedExpertsInFp8AreRefusedByName) {
  const Changed folder("fp8_block");
  const std::string experts = "model.layers.0.mlp.experts.";
  for (const std::string& name : {experts + "gate_up_proj", experts + "down_proj.weight"})
    EXPECT_EQ(folder.error([&](Tensors& t) {
      t[name] = {"F8_E4M3", {2, 64, 64}, std::vector<std::byte>(2 * 64 * 64)};
      t[name + "_scale_inv"] = {"F32", {2, 1, 1}, std::vector<std::byte>(8)};
    }),
              "hf.f8_stacked tensor=" + name);
}

TEST(HfQuantised, ScalesOfACacheIn8BitsAreLetPass) {
  const Tensor one{"F32", {1}, std::vector<std::byte>(4)};
  const std::string attention = "model.layers.0.self_attn.";
  for (const char* name : {"fp8_block", "ct_int4_asym"}) {
    const Changed folder(name);
    EXPECT_EQ(folder.error([&](Tensors& t) {
      for (const char* scale :
           {"k_scale", "v_scale", "q_scale", "k_proj.output_scale", "v_proj.output_scale"})
        t[attention + scale] = one;
    }),
              "none")
        << name;
    EXPECT_EQ(folder.error([&](Tensors& t) { t[attention + "x_scale"] = one; }),
              "weights.leftover tensor=" + attention + "x_scale count=1")
        << name;
  }
}

TEST(HfQuantised, CompressedFilesThatDoNotKeepToIt) {
  const Changed folder("ct_int4_asym");
  EXPECT_EQ(folder.error([](Tensors&) {}), "none");
  EXPECT_EQ(folder.error([](Tensors& t) { t.erase(kQ + "weight_zero_point"); }),
            "hf.quant_missing tensor=" + kQ + "weight_packed missing=" + kQ + "weight_zero_point");
  EXPECT_EQ(folder.error([](Tensors& t) { t.erase(kQ + "weight_shape"); }),
            "hf.quant_missing tensor=" + kQ + "weight_packed missing=" + kQ + "weight_shape");
  const auto with_cols = [&](int64_t cols) {
    return folder.error([&](Tensors& t) { std::memcpy(t[kQ + "weight_shape"].bytes.data() + 8, &cols, 8); });
  };
  EXPECT_EQ(with_cols(0), "hf.quant_columns tensor=" + kQ + "weight_packed found=0 groups=1");
  EXPECT_EQ(with_cols(-64), "hf.quant_columns tensor=" + kQ + "weight_packed found=-64 groups=1");
  EXPECT_EQ(with_cols(128),
            "hf.quant_tensor tensor=" + kQ + "weight_packed expected=I32 [64, 16] found=I32 [64, 8]");
  EXPECT_EQ(folder.error([](Tensors& t) {
    t[kQ + "weight"] = {"I8", {64, 64}, std::vector<std::byte>(64 * 64)};
    for (const char* part : {"weight_packed", "weight_shape"}) t.erase(kQ + part);
  }),
            "hf.quant_no_group tensor=" + kQ + "weight")
      << "the config says packed";
}

TEST(HfQuantised, BitsandbytesFilesThatDoNotKeepToIt) {
  const Changed folder("bnb_nf4_double");
  EXPECT_EQ(folder.error([](Tensors&) {}), "none");
  const std::string state = kQ + "weight.quant_state.bitsandbytes__nf4";
  const auto with = [&](std::string_view json) {
    return folder.error([&](Tensors& t) {
      const auto* bytes = reinterpret_cast<const std::byte*>(json.data());
      t[state] = {"U8", {static_cast<int64_t>(json.size())}, {bytes, bytes + json.size()}};
    });
  };
  EXPECT_EQ(with("{").substr(0, 10), "json.parse");
  EXPECT_EQ(with("[]"), "hf.quant_state tensor=" + state + " key=shape");
  EXPECT_EQ(with(R"({"shape":[64,-64]})"), "hf.quant_state tensor=" + state + " key=shape");
  EXPECT_EQ(with(R"({"shape":[64,64],"blocksize":0})"), "hf.quant_state tensor=" + state + " key=blocksize");
  EXPECT_EQ(with(R"({"shape":[64,64],"blocksize":48})"), "hf.quant_state tensor=" + state + " key=blocksize");
  EXPECT_EQ(with(R"({"shape":[64,96],"blocksize":64})").substr(0, 15), "hf.quant_tensor");
  EXPECT_EQ(with(R"({"shape":[1099511627776,64],"blocksize":64})").substr(0, 15), "hf.quant_tensor");
  EXPECT_EQ(with(R"({"shape":[64,64],"blocksize":64,"nested_blocksize":256,"nested_offset":"x"})"),
            "hf.quant_state tensor=" + state + " key=nested_offset");
  EXPECT_EQ(folder.error([](Tensors& t) { t.erase(kQ + "weight.nested_absmax"); }),
            "hf.quant_missing tensor=" + kQ + "weight missing=" + kQ + "weight.nested_absmax");
  EXPECT_EQ(folder.error([](Tensors& t) { t.erase(kQ + "weight.quant_state.bitsandbytes__nf4"); }),
            "hf.quant_missing tensor=" + kQ + "weight missing=" + kQ + "SCB");
}

}  // namespace
}  // namespace qw
