// GGUF to GGUF: what is not a matrix, and matrices of the wanted type, keep their bytes; metadata stay, of
// any architecture; stacks of experts, NVFP4 scales and importance matrices.
#include "quant/requantise.h"

#include <gtest/gtest.h>

#include <cstring>

#include "backend/cpu/blocks/blocks.h"
#include "backend/cpu/cpu_backend.h"
#include "base/rng.h"
#include "io/gguf/writer.h"
#include "quant/quantise.h"

namespace qw::quant {
namespace {

namespace fs = std::filesystem;

struct Folder {
  fs::path path = fs::temp_directory_path() / fmt::format("qw_requantise_{}", ::getpid());
  Folder() { fs::create_directories(path); }
  ~Folder() { fs::remove_all(path); }
};

std::vector<float> normals(uint64_t key, int64_t n) {
  const Rng rng(key);
  std::vector<float> out;
  for (int64_t i = 0; i < n; ++i)
    out.push_back(static_cast<float>(0.02 * rng.normal(static_cast<uint64_t>(i))));
  return out;
}

struct Tensor {
  GgufTensorPlan plan;
  std::vector<std::byte> bytes;
};
Tensor tensor(std::string name, QuantFormat format, std::vector<int64_t> shape, uint64_t key) {
  Tensor t{{std::move(name), format, std::move(shape)}, {}};
  int64_t n = 1;
  for (const int64_t d : t.plan.shape) n *= d;
  t.bytes.resize(static_cast<size_t>(gguf_tensor_bytes(t.plan)));
  if (format == QuantFormat::nvfp4) {
    const Rng rng(key);
    for (size_t i = 0; i < t.bytes.size(); ++i)
      t.bytes[i] = static_cast<std::byte>(i % 36 < 4 ? 0x20 + rng.below(16, i) : rng.below(256, i));
  } else {
    EXPECT_TRUE(quantise_row(format, normals(key, n), {}, t.bytes.data()));
  }
  return t;
}

// An architecture that this program has never heard of.
std::shared_ptr<const GgufFile> write(const fs::path& path, const std::vector<Tensor>& tensors) {
  GgufMetadata m;
  m.text("general.architecture", "future");
  m.u32("future.attention.head_count", 4);
  m.u32("future.expert_count", 3);
  m.u32("general.file_type", 0);
  m.u32("split.count", 1);
  const std::vector<std::string_view> words{"a", "", "c"};
  m.texts("tokenizer.ggml.tokens", words);
  m.flag("future.flag", true);
  std::vector<GgufTensorPlan> plans;
  for (const Tensor& t : tensors) plans.push_back(t.plan);
  auto writer = GgufWriter::create(path, m, plans).value();
  for (size_t i = 0; i < tensors.size(); ++i) EXPECT_TRUE(writer.write(i, 0, tensors[i].bytes));
  EXPECT_TRUE(writer.finish());
  return GgufFile::open(path).value();
}

bool same_bytes(std::span<const std::byte> a, std::span<const std::byte> b) {
  return std::equal(a.begin(), a.end(), b.begin(), b.end());
}

TEST(Requantise, KeepsAllButTheMatricesAndThoseToo) {
  const Folder folder;
  const std::vector<Tensor> tensors{tensor("token_embd.weight", QuantFormat::bf16, {40, 512}, 1),
                                    tensor("output.weight", QuantFormat::q6_k, {40, 512}, 2),
                                    tensor("blk.0.attn_norm.weight", QuantFormat::f32, {512}, 3),
                                    tensor("blk.0.ffn_gate_inp.weight", QuantFormat::f32, {3, 512}, 4),
                                    tensor("blk.0.ffn_up_exps.weight", QuantFormat::f16, {3, 8, 512}, 5),
                                    tensor("blk.0.odd.weight", QuantFormat::f32, {5, 96}, 6),
                                    tensor("mtp.0.weight", QuantFormat::q4_k, {7, 256}, 7)};
  const auto in = write(folder.path / "in.gguf", tensors);
  const auto backend = make_cpu_backend({.threads = 2, .isa = {}}).value();
  int64_t last = 0;
  const auto report =
      requantise_gguf(folder.path / "out.gguf", in, *backend, {.recipe = find_recipe("q4_k_s"), .threads = 2},
                      [&](int64_t done, int64_t total) -> Status {
                        EXPECT_GT(done, last);
                        EXPECT_LE(done, total);
                        last = done;
                        return {};
                      })
          .value();
  const auto out = GgufFile::open(folder.path / "out.gguf").value();
  EXPECT_EQ(out->tensors().size(), tensors.size());
  EXPECT_EQ(report.tensors, 7);
  EXPECT_EQ(report.passed, 4);
  EXPECT_EQ(report.substitutes, 1);
  EXPECT_EQ(last, report.bytes);
  for (const Tensor& t : tensors) {
    const GgufTensor& got = out->tensors().at(t.plan.name);
    EXPECT_EQ(got.shape, t.plan.shape);
    const bool changed = t.plan.name == "token_embd.weight" || t.plan.name == "blk.0.odd.weight" ||
                         t.plan.name == "blk.0.ffn_up_exps.weight";
    EXPECT_EQ(same_bytes(got.bytes, t.bytes), !changed) << t.plan.name;
  }
  EXPECT_EQ(out->tensors().at("blk.0.ffn_up_exps.weight").type->name, "Q4_K");
  EXPECT_EQ(out->tensors().at("blk.0.odd.weight").type->name, "Q5_0");
  EXPECT_EQ(out->find("general.file_type")->as_int(), 14);
  EXPECT_EQ(out->find("general.quantization_version")->as_int(), 2);
  EXPECT_EQ(out->find("split.count"), nullptr);
  EXPECT_EQ(out->find("future.flag")->as_bool(), true);
  EXPECT_EQ(out->find("tokenizer.ggml.tokens")->as_strings(), (std::vector<std::string_view>{"a", "", "c"}));
}

TEST(Requantise, TwiceIsOnce) {
  const Folder folder;
  const auto in =
      write(folder.path / "in.gguf", {tensor("blk.0.attn_q.weight", QuantFormat::f32, {9, 256}, 1)});
  const auto backend = make_cpu_backend({.threads = 1, .isa = {}}).value();
  const RequantisePlan plan{.recipe = find_recipe("q5_k_m")};
  ASSERT_TRUE(requantise_gguf(folder.path / "a.gguf", in, *backend, plan));
  const auto once = GgufFile::open(folder.path / "a.gguf").value();
  ASSERT_TRUE(requantise_gguf(folder.path / "b.gguf", once, *backend, plan));
  const auto twice = GgufFile::open(folder.path / "b.gguf").value();
  EXPECT_TRUE(same_bytes(once->tensors().begin()->second.bytes, twice->tensors().begin()->second.bytes));
}

TEST(Requantise, FoldsTheScalesOfNvfp4) {
  const Folder folder;
  std::vector<Tensor> tensors{tensor("blk.0.up_exps.weight", QuantFormat::nvfp4, {2, 3, 64}, 1),
                              tensor("blk.0.up_exps.scale", QuantFormat::f32, {2}, 2),
                              tensor("blk.0.up_exps.input_scale", QuantFormat::f32, {2}, 3)};
  const float scales[2] = {0.5F, 3.0F};
  std::memcpy(tensors[1].bytes.data(), scales, sizeof scales);
  const auto in = write(folder.path / "in.gguf", tensors);
  const auto backend = make_cpu_backend({.threads = 1, .isa = {}}).value();
  ASSERT_TRUE(requantise_gguf(folder.path / "out.gguf", in, *backend, {.recipe = find_recipe("f32")}));
  const auto out = GgufFile::open(folder.path / "out.gguf").value();
  ASSERT_EQ(out->tensors().size(), 1U);
  std::vector<float> want(6 * 64), got(6 * 64);
  cpu::decode_groups(want.data(), reinterpret_cast<const uint8_t*>(tensors[0].bytes.data()), cpu::kNvfp4, 0,
                     6 * 64);
  for (size_t i = 0; i < want.size(); ++i) want[i] *= scales[i / (3 * 64)];
  std::memcpy(got.data(), out->tensors().begin()->second.bytes.data(), got.size() * sizeof(float));
  EXPECT_EQ(got, want);
}

TEST(Requantise, WeighsColumnsAndRefusesTheMatrixOfAnotherModel) {
  const Folder folder;
  const auto in =
      write(folder.path / "in.gguf", {tensor("blk.0.ffn_up_exps.weight", QuantFormat::f32, {2, 8, 256}, 1),
                                      tensor("blk.1.attn_q.weight", QuantFormat::f32, {8, 256}, 2)});
  const auto backend = make_cpu_backend({.threads = 1, .isa = {}}).value();
  Imatrix imatrix;
  imatrix.add("blk.0.ffn_up_exps.weight", 0, normals(5, 256), 256);
  imatrix.add("blk.0.ffn_up_exps.weight", 1, {}, 256);  // never asked: weighed as the others are
  const auto made = requantise_gguf(folder.path / "out.gguf", in, *backend,
                                    {.recipe = find_recipe("q2_k_s"), .imatrix = &imatrix});
  ASSERT_TRUE(made);
  EXPECT_EQ(made->unweighted, 1);
  ASSERT_TRUE(requantise_gguf(folder.path / "plain.gguf", in, *backend, {.recipe = find_recipe("q2_k_s")}));
  const auto aimed = GgufFile::open(folder.path / "out.gguf").value();
  const auto plain = GgufFile::open(folder.path / "plain.gguf").value();
  EXPECT_FALSE(same_bytes(aimed->tensors().at("blk.0.ffn_up_exps.weight").bytes,
                          plain->tensors().at("blk.0.ffn_up_exps.weight").bytes));
  EXPECT_TRUE(same_bytes(aimed->tensors().at("blk.1.attn_q.weight").bytes,
                         plain->tensors().at("blk.1.attn_q.weight").bytes));
  Imatrix other;
  other.add("blk.1.attn_q.weight", 0, normals(5, 64), 64);
  const auto refused = requantise_gguf(folder.path / "no.gguf", in, *backend,
                                       {.recipe = find_recipe("q2_k_s"), .imatrix = &other});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().code(), "quantize.imatrix_shape");
  EXPECT_FALSE(fs::exists(folder.path / "no.gguf"));
}

TEST(Requantise, RefusesNumbersThatAreNone) {
  const Folder folder;
  Tensor bad = tensor("blk.0.attn_q.weight", QuantFormat::f32, {2, 256}, 1);
  const float nan = NAN;
  std::memcpy(bad.bytes.data() + 400, &nan, 4);
  const auto in = write(folder.path / "in.gguf", {bad});
  const auto backend = make_cpu_backend({.threads = 1, .isa = {}}).value();
  const auto made =
      requantise_gguf(folder.path / "out.gguf", in, *backend, {.recipe = find_recipe("q4_k_m")});
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().code(), "quantize.not_finite");
  EXPECT_FALSE(fs::exists(folder.path / "out.gguf"));
}

}  // namespace
}  // namespace qw::quant
