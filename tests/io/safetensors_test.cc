// io/safetensors: reader, sharded sets, writer.
#include "io/hf/safetensors.h"

#include <gtest/gtest.h>

#include <cstring>
#include <numeric>

#include "io/hf/safetensors_writer.h"
#include "tests/io/temp_dir.h"

namespace qw {
namespace {

std::string file_bytes(const std::string& header, const std::string& data) {
  const uint64_t n = header.size();
  return std::string(reinterpret_cast<const char*>(&n), 8) + header + data;
}

std::string error_of(const std::string& bytes) {
  const auto r = parse_safetensors(std::as_bytes(std::span(bytes)), "m");
  return r ? "none" : r.error().debug();
}

std::string header_error(const std::string& header, size_t data_bytes = 8) {
  return error_of(file_bytes(header, std::string(data_bytes, 'd')));
}

TEST(Safetensors, ReadsTensorsMetadataScalarsAndEmptyOnes) {
  const std::string bytes = file_bytes(
      R"({"__metadata__":{"format":"pt"},"b":{"dtype":"BF16","shape":[2,2],"data_offsets":[4,12]},)"
      R"("a":{"dtype":"F32","shape":[],"data_offsets":[0,4],"later":{"x":[1,null]}},)"
      R"("e":{"dtype":"I64","shape":[0,3],"data_offsets":[4,4]}}   )",
      "aaaabbbbbbbb");
  const auto c = parse_safetensors(std::as_bytes(std::span(bytes)), "m").value();
  EXPECT_EQ(c.metadata.at("format"), "pt");
  ASSERT_EQ(c.tensors.size(), 3u);
  EXPECT_EQ(c.tensors.at("a").bytes.size(), 4u);
  EXPECT_TRUE(c.tensors.at("a").shape.empty());
  EXPECT_EQ(c.tensors.at("b").dtype, "BF16");
  EXPECT_EQ(c.tensors.at("b").shape, (std::vector<int64_t>{2, 2}));
  EXPECT_EQ(static_cast<char>(c.tensors.at("b").bytes[0]), 'b');
  EXPECT_TRUE(c.tensors.at("e").bytes.empty());
}

TEST(Safetensors, RefusesBadHeaders) {
  EXPECT_EQ(error_of(""), "file_kind.empty file=m");
  EXPECT_EQ(error_of(std::string(4, '\0')), "file_kind.unknown file=m begin=00000000");
  EXPECT_EQ(error_of(std::string(8, '\xff') + "{}"),
            "safetensors.header_size file=m found=18446744073709551615 limit=100000000");
  EXPECT_EQ(error_of(std::string("\x40\0\0\0\0\0\0\0{}", 10)),
            "safetensors.truncated file=m expected=72 found=10");
  EXPECT_EQ(header_error("{\"a\":", 0), "safetensors.header file=m offset=6");
  EXPECT_EQ(header_error("{}garbage", 0), "safetensors.header file=m offset=3");
  EXPECT_EQ(header_error("{}", 3), "safetensors.trailing file=m expected=0 found=3");
  EXPECT_EQ(header_error(R"({"a":1})"), "safetensors.entry file=m tensor=a key={}");
  EXPECT_EQ(header_error(R"({"a":[1]})"), "safetensors.entry file=m tensor=a key={}");
  EXPECT_EQ(header_error(R"({"a":{"shape":[2],"data_offsets":[0,8]}})"),
            "safetensors.entry file=m tensor=a key=dtype");
  EXPECT_EQ(header_error(R"({"a":{"dtype":"F32","data_offsets":[0,8]}})"),
            "safetensors.entry file=m tensor=a key=shape");
  EXPECT_EQ(header_error(R"({"a":{"dtype":"F32","shape":[2]}})"),
            "safetensors.entry file=m tensor=a key=data_offsets");
  EXPECT_EQ(header_error(R"({"a":{"dtype":"F32","shape":[2],"data_offsets":[0]}})"),
            "safetensors.entry file=m tensor=a key=data_offsets");
  EXPECT_EQ(header_error(R"({"a":{"dtype":"F32","shape":[-2],"data_offsets":[0,8]}})"),
            "safetensors.entry file=m tensor=a key=shape");
  EXPECT_EQ(header_error(R"({"a":{"dtype":"F32","shape":[2.0],"data_offsets":[0,8]}})"),
            "safetensors.entry file=m tensor=a key=shape");
  EXPECT_EQ(header_error(R"({"a":{"dtype":"F32","shape":[[2]],"data_offsets":[0,8]}})"),
            "safetensors.entry file=m tensor=a key=shape");
  EXPECT_EQ(header_error(R"({"a":{"dtype":7,"shape":[2],"data_offsets":[0,8]}})"),
            "safetensors.entry file=m tensor=a key=dtype");
  EXPECT_EQ(header_error(R"({"__metadata__":{"k":1}})", 0),
            "safetensors.entry file=m tensor=__metadata__ key=k");
  EXPECT_EQ(header_error(R"({"a":{"dtype":"F32","shape":[2],"shape":[2],"data_offsets":[0,8]}})"),
            "safetensors.duplicate file=m tensor=shape");
}

TEST(Safetensors, RefusesBadGeometry) {
  const auto one = [](const std::string& dtype, const std::string& shape, const std::string& offsets,
                      size_t n = 8) {
    return header_error(
        R"({"a":{"dtype":")" + dtype + R"(","shape":[)" + shape + R"(],"data_offsets":[)" + offsets + "]}}",
        n);
  };
  EXPECT_EQ(one("F32", "2", "0,8"), "none");
  EXPECT_EQ(one("Q99", "2", "0,8"), "safetensors.dtype file=m tensor=a found=Q99");
  EXPECT_EQ(one("F32", "3", "0,8"), "safetensors.size file=m tensor=a expected=12 found=8");
  EXPECT_EQ(one("F32", "2", "4,12", 12), "safetensors.offsets file=m tensor=a expected=0 found=[4, 12]");
  EXPECT_EQ(one("F32", "2", "8,0"), "safetensors.offsets file=m tensor=a expected=0 found=[8, 0]");
  EXPECT_EQ(one("F32", "4", "0,16"), "safetensors.truncated file=m expected=16 found=8");
  EXPECT_EQ(one("F32", "2", "0,8", 9), "safetensors.trailing file=m expected=8 found=9");
  EXPECT_EQ(one("F32", "4294967296,4294967296", "0,8"),
            "safetensors.shape file=m tensor=a found=[4294967296, 4294967296]");
  EXPECT_EQ(one("F32", "18446744073709551615", "0,8"),
            "safetensors.shape file=m tensor=a found=[18446744073709551615]");
  EXPECT_EQ(one("F32", "0,18446744073709551615", "0,0", 0),
            "safetensors.shape file=m tensor=a found=[0, 18446744073709551615]");
  const std::string a = R"({"a":{"dtype":"U8","shape":[4],"data_offsets":[0,4]},)";
  EXPECT_EQ(header_error(a + R"("b":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})"), "none");
  EXPECT_EQ(header_error(a + R"("b":{"dtype":"U8","shape":[4],"data_offsets":[3,7]}})"),
            "safetensors.offsets file=m tensor=b expected=4 found=[3, 7]");
  EXPECT_EQ(header_error(a + R"("b":{"dtype":"U8","shape":[3],"data_offsets":[5,8]}})"),
            "safetensors.offsets file=m tensor=b expected=4 found=[5, 8]");
  EXPECT_EQ(header_error(a + R"("a":{"dtype":"U8","shape":[4],"data_offsets":[4,8]}})"),
            "safetensors.duplicate file=m tensor=a");
}

TEST(Safetensors, DeepHeaderNeitherRecursesNorPasses) {
  const std::string deep = R"({"a":{"x":)" + std::string(2'000'000, '[');
  EXPECT_TRUE(header_error(deep, 0).starts_with("safetensors.header")) << header_error(deep, 0);
}

TEST(Safetensors, WriterRoundTripInAnyOrder) {
  const TempDir dir;
  const auto path = dir / "out.safetensors";
  std::vector<float> logits(6);
  std::iota(logits.begin(), logits.end(), 1.0f);
  const std::vector<uint8_t> ids{7, 8, 9};
  {
    auto w = SafetensorsWriter::create(
                 path, {{"ids", "U8", {3}}, {"logits", "F32", {2, 3}}, {"empty", "F32", {0, 4}}},
                 {{"model", "\"tiny\"\n"}})
                 .value();
    ASSERT_TRUE(w.write(1, 3, std::span(logits).subspan(3)));
    ASSERT_TRUE(w.write(0, 0, std::as_bytes(std::span(ids))));
    ASSERT_TRUE(w.write(1, 0, std::span(logits).first(3)));
    EXPECT_FALSE(std::filesystem::exists(path));
    ASSERT_TRUE(w.finish());
  }
  const auto set = open_safetensors(path).value();
  const SafetensorsTensor& t = *set.tensors.at("logits").tensor;
  EXPECT_EQ(t.shape, (std::vector<int64_t>{2, 3}));
  EXPECT_EQ(std::memcmp(t.bytes.data(), logits.data(), 24), 0);
  EXPECT_EQ(reinterpret_cast<uintptr_t>(t.bytes.data()) % 4, 0u);
  EXPECT_EQ(static_cast<uint8_t>(set.tensors.at("ids").tensor->bytes[2]), 9);
  EXPECT_EQ(set.files[0]->content().metadata.at("model"), "\"tiny\"\n");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1)
      << "no temporary file stays";
}

TEST(Safetensors, AbandonedWriterLeavesNothing) {
  const TempDir dir;
  dir.write("out", "old");
  { auto w = SafetensorsWriter::create(dir / "out", {{"a", "F32", {4}}}).value(); }
  EXPECT_EQ(read_file(dir / "out").value(), "old");
  EXPECT_EQ(std::distance(std::filesystem::directory_iterator(dir.path()), {}), 1);
  EXPECT_EQ(SafetensorsWriter::create(dir / "no/out", {}).error().code(), "file.write");
}

struct Shards {
  TempDir dir;
  Shards() {
    one("s1.safetensors", "a", 1);
    one("s2.safetensors", "b", 2);
  }
  void one(const std::string& file, const std::string& tensor, float v) {
    auto w = SafetensorsWriter::create(dir / file, {{tensor, "F32", {1}}}).value();
    ASSERT_TRUE(w.write(0, int64_t{0}, std::span(&v, 1)));
    ASSERT_TRUE(w.finish());
  }
  Result<SafetensorsSet> open(const std::string& weight_map) {
    return open_safetensors_index(dir.write(
        "model.safetensors.index.json", R"({"metadata":{"total_size":8},"weight_map":)" + weight_map + "}"));
  }
};

TEST(SafetensorsIndex, ReadsEachTensorFromTheFileTheIndexSays) {
  Shards s;
  const auto set = s.open(R"({"a":"s1.safetensors","b":"s2.safetensors"})").value();
  EXPECT_EQ(set.files.size(), 2u);
  EXPECT_EQ(set.tensors.at("a").file->path().filename(), "s1.safetensors");
  float b = 0;
  std::memcpy(&b, set.tensors.at("b").tensor->bytes.data(), 4);
  EXPECT_EQ(b, 2.0f);
}

TEST(SafetensorsIndex, NamesWhatIsWrong) {
  Shards s;
  const auto missing = s.open(R"({"a":"s1.safetensors","c":"s3.safetensors"})").error();
  EXPECT_EQ(missing.code(), "safetensors.shard_missing");
  EXPECT_EQ(missing.arg("missing"), "s3.safetensors");
  EXPECT_EQ(missing.arg("tensor"), "c");
  const auto elsewhere = s.open(R"({"a":"s2.safetensors"})").error();
  EXPECT_EQ(elsewhere.code(), "safetensors.not_in_shard");
  EXPECT_EQ(elsewhere.arg("tensor"), "a");
  s.one("s2.safetensors", "a", 3);
  s.one("s3.safetensors", "b", 3);
  EXPECT_EQ(s.open(R"({"a":"s2.safetensors","b":"s3.safetensors"})").value().tensors.size(), 2u);
  EXPECT_EQ(s.open(R"({"b":"s3.safetensors"})").value().tensors.size(), 1u);
  s.one("s4.safetensors", "a", 3);
  EXPECT_EQ(s.open(R"({"a":"../s1.safetensors"})").error().code(), "safetensors.index_path");
  EXPECT_EQ(s.open(R"({"a":""})").error().code(), "safetensors.index_path");
  EXPECT_EQ(s.open(R"({"a":3})").error().code(), "safetensors.index");
  EXPECT_EQ(s.open(R"({"a":{"b":"c"}})").error().code(), "safetensors.index");
  EXPECT_EQ(s.open(R"("a")").error().code(), "safetensors.index");
  EXPECT_EQ(s.open(R"({"a":"s1.safetensors","a":"s1.safetensors"})").error().code(), "safetensors.duplicate");
  EXPECT_EQ(s.open("{").error().code(), "json.parse");
  EXPECT_EQ(parse_safetensors_index("{}", "i").error().debug(), "safetensors.index file=i key=weight_map");
}

TEST(SafetensorsIndex, TwoCopiesOfATensorAreRefused) {
  const TempDir dir;
  const auto two = [&](const std::string& file, const std::string& x, const std::string& y) {
    auto w = SafetensorsWriter::create(dir / file, {{x, "U8", {0}}, {y, "U8", {0}}}).value();
    ASSERT_TRUE(w.finish());
  };
  two("s1", "a", "b");
  two("s2", "b", "c");
  const auto r =
      open_safetensors_index(dir.write("i.json", R"({"weight_map":{"a":"s1","c":"s2","b":"s1"}})"));
  EXPECT_EQ(r.error().code(), "safetensors.in_two_files");
  EXPECT_EQ(r.error().arg("tensor"), "b");
}

}  // namespace
}  // namespace qw
