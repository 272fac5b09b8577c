// io/gguf: every value type, splits, and every refusal.
#include "io/gguf/gguf.h"

#include <gtest/gtest.h>

#include <cmath>
#include <filesystem>
#include <fstream>
#include <limits>

#include "tests/io/gguf_builder.h"
#include "tests/io/temp_dir.h"

namespace qw {
namespace {

using B = GgufBuilder;

std::string error_of(const std::string& bytes) {
  const auto r = parse_gguf_text(bytes);
  return r ? "none" : r.error().debug();
}

TEST(Gguf, ReadsEveryValueType) {
  B b;
  b.kv("u8", 0, B::raw<uint8_t>(200)).kv("i8", 1, B::raw<int8_t>(-5)).kv("u16", 2, B::raw<uint16_t>(65535));
  b.kv("i16", 3, B::raw<int16_t>(-300))
      .u32("u32", 4'000'000'000u)
      .i32("i32", -7)
      .f32("f32", 1e-6f)
      .flag("yes", true);
  b.flag("no", false).text("text", "héllo").kv("u64", 10, B::raw(std::numeric_limits<uint64_t>::max()));
  b.kv("i64", 11, B::raw<int64_t>(-(int64_t{1} << 60)))
      .kv("f64", 12, B::raw(0.1))
      .texts("texts", {"a", "", "ccc"});
  b.ints("ints", {1, -2, 3});
  const std::string bytes = b.build();
  const auto c = parse_gguf_text(bytes).value();
  const auto at = [&](std::string_view key) { return c.metadata.at(key); };
  EXPECT_EQ(c.metadata.size(), 15u);
  EXPECT_EQ(at("u8").as_int(), 200);
  EXPECT_EQ(at("i8").as_int(), -5);
  EXPECT_EQ(at("u16").as_int(), 65535);
  EXPECT_EQ(at("i16").as_int(), -300);
  EXPECT_EQ(at("u32").as_int(), 4'000'000'000);
  EXPECT_EQ(at("i32").as_int(), -7);
  EXPECT_EQ(at("f32").as_number(), 1e-6);  // not 9.99999997e-07
  EXPECT_EQ(at("yes").as_bool(), true);
  EXPECT_EQ(at("no").as_bool(), false);
  EXPECT_EQ(at("text").as_string(), "héllo");
  EXPECT_EQ(at("u64").as_int(), std::nullopt);
  EXPECT_EQ(at("i64").as_int(), -(int64_t{1} << 60));
  EXPECT_EQ(at("f64").as_number(), 0.1);
  EXPECT_EQ(at("texts").as_strings(), (std::vector<std::string_view>{"a", "", "ccc"}));
  EXPECT_EQ(at("ints").as_ints(), (std::vector<int64_t>{1, -2, 3}));
  EXPECT_EQ(at("ints").type_text(), "array of i32");
  EXPECT_EQ(at("text").as_int(), std::nullopt);
  EXPECT_EQ(at("i32").as_string(), std::nullopt);
  EXPECT_EQ(at("i32").as_bool(), std::nullopt);
  EXPECT_EQ(at("texts").as_ints(), std::nullopt);
  EXPECT_EQ(at("ints").as_strings(), std::nullopt);
  EXPECT_FALSE(at("u8").as_items().has_value());
}

TEST(Gguf, ReadsNestedArraysAndLimitsThem) {
  // [[1, 2], []]
  const std::string inner = B::raw<uint32_t>(0) + B::raw<uint64_t>(2) + "\x01\x02";
  const std::string empty = B::raw<uint32_t>(8) + B::raw<uint64_t>(0);
  const std::string bytes =
      B().kv("n", 9, B::raw<uint32_t>(9) + B::raw<uint64_t>(2) + inner + empty).u32("after", 9).build();
  const auto c = parse_gguf_text(bytes).value();
  const auto items = c.metadata.at("n").as_items().value();
  ASSERT_EQ(items.size(), 2u);
  EXPECT_EQ(items[0].as_ints(), (std::vector<int64_t>{1, 2}));
  EXPECT_EQ(items[1].as_strings()->size(), 0u);
  EXPECT_EQ(c.metadata.at("after").as_int(), 9);
  std::string deep;
  for (int i = 0; i < 100'000; ++i) deep += B::raw<uint32_t>(9) + B::raw<uint64_t>(1);
  EXPECT_EQ(error_of(B().kv("n", 9, deep).build()), "gguf.nesting file=m.gguf key=n limit=8");
}

TEST(Gguf, ReadsTensors) {
  const std::vector<float> v{1, 2, 3, 4, 5, 6};
  const std::string block(34, '\7');
  const std::string bytes = B().f32s("a", {3, 2}, v).tensor("q", {32}, 8, block).build();
  const auto c = parse_gguf_text(bytes).value();
  const GgufTensor& a = c.tensors.at("a");
  EXPECT_EQ(a.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(a.type->name, "F32");
  ASSERT_EQ(a.bytes.size(), 24u);
  EXPECT_EQ(std::memcmp(a.bytes.data(), v.data(), 24), 0);
  EXPECT_EQ(c.tensors.at("q").bytes.size(), 34u);
  EXPECT_EQ(c.tensors.at("q").type->format, QuantFormat::q8_0);
  EXPECT_FALSE(find_ggml_type(24)->format.has_value());  // I8
  EXPECT_EQ(find_ggml_type(4), nullptr);
}

TEST(Gguf, Alignment) {
  B b;
  b.alignment = 128;
  const std::string bytes = b.u32("general.alignment", 128).f32s("a", {1}, {1}).f32s("b", {1}, {2}).build();
  const auto c = parse_gguf_text(bytes).value();
  EXPECT_EQ(c.tensors.at("b").bytes.data() - c.tensors.at("a").bytes.data(), 128);
  EXPECT_EQ(error_of(B().u32("general.alignment", 24).build()), "gguf.alignment file=m.gguf found=24");
  EXPECT_EQ(error_of(B().u32("general.alignment", 0).build()), "gguf.alignment file=m.gguf found=0");
  EXPECT_EQ(error_of(B().text("general.alignment", "32").build()), "gguf.alignment file=m.gguf found=string");
}

TEST(Gguf, RefusesOtherVersionsAndByteOrders) {
  B b;
  b.version = 1;
  EXPECT_EQ(error_of(b.build()), "gguf.version file=m.gguf found=1");
  b.version = 4;
  EXPECT_EQ(error_of(b.build()), "gguf.version file=m.gguf found=4");
  b.version = 0;
  EXPECT_EQ(error_of(b.build()), "gguf.version file=m.gguf found=0");
  b.version = 0x03000000;
  EXPECT_EQ(error_of(b.build()), "gguf.big_endian file=m.gguf");
  b.version = 2;
  EXPECT_EQ(error_of(b.build()), "none");
  EXPECT_EQ(error_of("GGUX"), "file_kind.text file=m.gguf");
}

TEST(Gguf, TruncationAtEveryByteIsAnError) {
  const std::string bytes = B().text("general.name", "x")
                                .texts("t", {"aa", "b"})
                                .ints("i", {1, 2})
                                .f32s("w", {4}, {1, 2, 3, 4})
                                .build();
  ASSERT_EQ(error_of(bytes), "none");
  const size_t data_end = bytes.size() - 16;  // the last tensor's padding may be absent
  for (size_t n = 0; n < data_end; ++n) EXPECT_NE(error_of(bytes.substr(0, n)), "none") << n;
  EXPECT_EQ(error_of(bytes.substr(0, data_end)), "none");
  EXPECT_EQ(parse_gguf_text(bytes.substr(0, data_end - 1)).error().debug(),
            fmt::format("gguf.truncated file=m.gguf at=w expected={} found={}", data_end, data_end - 1));
}

TEST(Gguf, HostileCountsAreRefusedBeforeAnythingIsAllocated) {
  constexpr uint64_t kHuge = std::numeric_limits<uint64_t>::max();
  for (const uint64_t n : {kHuge, kHuge / 8, uint64_t{1} << 62, uint64_t{1} << 40}) {
    B tensors;
    tensors.n_tensors = n;
    EXPECT_TRUE(error_of(tensors.build()).starts_with("gguf.truncated")) << n;
    B kv;
    kv.n_kv = n;
    EXPECT_TRUE(error_of(kv.build()).starts_with("gguf.truncated")) << n;
    for (const uint32_t element : {0u, 5u, 8u, 9u, 12u})
      EXPECT_TRUE(error_of(B().kv("k", 9, B::raw(element) + B::raw(n)).build()).starts_with("gguf.truncated"))
          << n;
    EXPECT_TRUE(error_of(B().kv("k", 8, B::raw(n)).build()).starts_with("gguf.truncated")) << n;
    EXPECT_TRUE(error_of("GGUF" + B::raw<uint32_t>(3) + B::raw<uint64_t>(0) + B::raw<uint64_t>(1) + B::raw(n))
                    .starts_with("gguf.truncated"));
  }
}

TEST(Gguf, RefusesBadMetadata) {
  EXPECT_EQ(error_of(B().kv("k", 13, "").build()), "gguf.value_type file=m.gguf key=k found=13");
  EXPECT_EQ(error_of(B().kv("k", 9, B::raw<uint32_t>(99) + B::raw<uint64_t>(0)).build()),
            "gguf.value_type file=m.gguf key=k found=99");
  EXPECT_EQ(error_of(B().u32("k", 1).u32("k", 1).build()), "gguf.duplicate file=m.gguf name=k");
}

// Sizes that overflow in elements, in blocks or in bytes, and rows that are no whole blocks, of every type.
TEST(Gguf, RefusesImpossibleSizesOfEveryType) {
  const std::string four(16, 'x');
  int types = 0;
  for (uint32_t id = 0; id < 64; ++id) {
    const GgmlType* type = find_ggml_type(id);
    if (type == nullptr) continue;
    ++types;
    const auto block = static_cast<uint64_t>(type->block);
    for (const uint64_t rows : {uint64_t{1} << 62, (uint64_t{1} << 63) / block + 1, UINT64_MAX / block})
      EXPECT_TRUE(error_of(B().tensor("t", {block, rows}, id, four).build()).starts_with("gguf.")) << id;
    EXPECT_TRUE(error_of(B().tensor("t", {block << 40, 1 << 12}, id, four).build()).starts_with("gguf."));
    EXPECT_TRUE(error_of(B().tensor("t", {block, 1 << 20}, id, four).build()).starts_with("gguf.truncated"));
    if (block > 1) {
      const std::string code = error_of(B().tensor("t", {block + 1, 2}, id, four).build());
      EXPECT_TRUE(code.starts_with("gguf.block")) << id;
    }
  }
  EXPECT_GE(types, 31);
}

TEST(Gguf, RefusesBadTensors) {
  const std::string four(16, 'x');
  EXPECT_EQ(error_of(B().tensor("t", {4}, 99, four).build()),
            "gguf.tensor_type file=m.gguf tensor=t found=99");
  EXPECT_EQ(error_of(B().tensor("t", {}, 0, four).build()), "gguf.dims file=m.gguf tensor=t found=0");
  EXPECT_EQ(error_of(B().tensor("t", {1, 1, 1, 1, 1}, 0, four).build()),
            "gguf.dims file=m.gguf tensor=t found=5");
  EXPECT_EQ(error_of(B().tensor("t", {0, 4}, 0, four).build()),
            "gguf.shape file=m.gguf tensor=t found=[0, 4]");
  EXPECT_EQ(error_of(B().tensor("t", {uint64_t{1} << 32, uint64_t{1} << 32}, 0, four).build()),
            "gguf.shape file=m.gguf tensor=t found=[4294967296, 4294967296]");
  EXPECT_EQ(error_of(B().tensor("t", {uint64_t{1} << 62}, 0, four).build()),
            "gguf.shape file=m.gguf tensor=t found=[4611686018427387904]");
  EXPECT_EQ(error_of(B().tensor("t", {33}, 8, four).build()),
            "gguf.block file=m.gguf tensor=t type=Q8_0 expected=32 found=33");
  EXPECT_EQ(error_of(B().tensor("t", {4}, 0, four, 4).build()),
            "gguf.offset file=m.gguf tensor=t found=4 alignment=32");
  EXPECT_EQ(error_of(B().tensor("a", {4}, 0, four).tensor("b", {4}, 0, four, 0).build()),
            "gguf.overlap file=m.gguf tensor=b other=a");
  EXPECT_EQ(error_of(B().tensor("a", {4}, 0, four).tensor("a", {4}, 0, four).build()),
            "gguf.duplicate file=m.gguf name=a");
  const std::string far = B().tensor("t", {4}, 0, four, int64_t{1} << 62).build();
  EXPECT_TRUE(error_of(far).starts_with("gguf.truncated file=m.gguf at=t")) << error_of(far);
}

std::string part(int no, int count, int total, const std::string& name) {
  B b;
  if (no == 0) b.text("general.architecture", "llama");
  b.u16("split.no", static_cast<uint16_t>(no))
      .u16("split.count", static_cast<uint16_t>(count))
      .i32("split.tensors.count", total);
  return b.f32s(name, {1}, {static_cast<float>(no)}).build();
}

TEST(GgufFile, FindsAllPartsFromAnyOfThem) {
  const TempDir dir;
  for (int i = 0; i < 3; ++i)
    dir.write(fmt::format("m-{:05}-of-00003.gguf", i + 1), part(i, 3, 3, fmt::format("t{}", i)));
  for (int i = 0; i < 3; ++i) {
    const auto file = GgufFile::open(dir / fmt::format("m-{:05}-of-00003.gguf", i + 1)).value();
    EXPECT_EQ(file->n_parts(), 3u);
    EXPECT_EQ(file->tensors().size(), 3u);
    EXPECT_EQ(file->find("general.architecture")->as_string(), "llama");
    EXPECT_EQ(file->find("absent"), nullptr);
    EXPECT_EQ(file->path().filename(), "m-00001-of-00003.gguf");
  }
  std::filesystem::remove(dir / "m-00002-of-00003.gguf");
  const Error e = GgufFile::open(dir / "m-00003-of-00003.gguf").error();
  EXPECT_EQ(e.code(), "gguf.split_missing");
  EXPECT_EQ(e.arg("missing"), "m-00002-of-00003.gguf");
}

TEST(GgufFile, RefusesPartsThatDoNotBelongTogether) {
  const TempDir dir;
  const auto first = dir.write("m-00001-of-00002.gguf", part(0, 2, 2, "a"));
  const auto second = [&](const std::string& bytes) {
    dir.write("m-00002-of-00002.gguf", bytes);
    return GgufFile::open(first);
  };
  EXPECT_TRUE(second(part(1, 2, 2, "b")));
  EXPECT_EQ(second(part(1, 2, 2, "a")).error().code(), "gguf.duplicate");
  EXPECT_EQ(second(part(0, 2, 2, "b")).error().arg("key"), "split.no");
  EXPECT_EQ(second(part(1, 3, 2, "b")).error().arg("key"), "split.count");
  EXPECT_EQ(second(B().f32s("b", {1}, {1}).build()).error().arg("key"), "split.no");
  dir.write("m-00001-of-00002.gguf", part(0, 2, 5, "a"));
  const Error e = second(part(1, 2, 5, "b")).error();
  EXPECT_EQ(e.arg("key"), "split.tensors.count");
  EXPECT_EQ(e.arg("found"), "5");
  EXPECT_EQ(GgufFile::open(dir.write("other.gguf", part(0, 2, 2, "a"))).error().code(), "gguf.split_name");
  EXPECT_EQ(GgufFile::open(dir.write("n-00001-of-00003.gguf", part(0, 2, 2, "a"))).error().code(),
            "gguf.split_value");
  EXPECT_TRUE(GgufFile::open(dir.write("whole.gguf", part(0, 1, 1, "a"))));
}

TEST(GgufFile, RealModel) {
  const auto path = std::filesystem::path(QW_SOURCE_DIR) / "../shared/models/SmolLM2-135M-Instruct.Q4_1.gguf";
  if (!std::filesystem::exists(path)) GTEST_SKIP() << path << " is absent";
  const auto file = GgufFile::open(path).value();
  EXPECT_EQ(file->tensors().size(), 272u);
  EXPECT_EQ(file->metadata().size(), 33u);
  EXPECT_EQ(file->total_bytes(), 98'362'432);
  EXPECT_EQ(file->find("tokenizer.ggml.tokens")->as_strings()->size(), 49152u);
  EXPECT_EQ(file->find("llama.attention.layer_norm_rms_epsilon")->as_number(), 1e-5);
  const GgufTensor& e = file->tensors().at("token_embd.weight");
  EXPECT_EQ(e.shape, (std::vector<int64_t>{49152, 576}));
  EXPECT_EQ(e.type->name, "Q8_0");
}

}  // namespace
}  // namespace qw
