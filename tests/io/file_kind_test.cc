// io/file_kind: what stands in for a checkpoint by mistake is told apart.
#include "io/file_kind.h"

#include <gtest/gtest.h>

#include <string>

namespace qw {
namespace {

std::string code_of(std::string_view bytes) {
  return foreign_file_error(std::as_bytes(std::span(bytes)), "f").debug();
}

TEST(FileKind, TellsMistakesApart) {
  EXPECT_EQ(code_of(""), "file_kind.empty file=f");
  EXPECT_EQ(code_of("version https://git-lfs.github.com/spec/v1\noid sha256:1\n"),
            "file_kind.lfs_pointer file=f");
  EXPECT_EQ(code_of("\n <!DOCTYPE html><html>"), "file_kind.html file=f");
  EXPECT_EQ(code_of("<HTML>"), "file_kind.html file=f");
  EXPECT_EQ(code_of("PK\x03\x04rest"), "file_kind.zip file=f");
  EXPECT_EQ(code_of("\x80\x02}q\x01"), "file_kind.pickle file=f");
  EXPECT_EQ(code_of("\x1f\x8b\x08"), "file_kind.compressed file=f");
  EXPECT_EQ(code_of(std::string("\x10\0\0\0\0\0\0\0{\"a\"", 12)), "file_kind.safetensors file=f");
  EXPECT_EQ(code_of("GGUF\x03"), "file_kind.gguf file=f");
  EXPECT_EQ(code_of("{\"model_type\": \"llama\"}"), "file_kind.json file=f");
  EXPECT_EQ(code_of("hello there"), "file_kind.text file=f");
  EXPECT_EQ(code_of(std::string("\0\1\2\xff", 4)), "file_kind.unknown file=f begin=000102ff");
}

}  // namespace
}  // namespace qw
