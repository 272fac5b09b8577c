// Typed look-ups of GGUF metadata with errors that name the key. Test: tests/io/gguf_config_test.cc
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "io/gguf/gguf.h"

namespace qw {

// Errors: gguf.key_type (args file, key, expected, found).
class GgufKeys {
 public:
  explicit GgufKeys(const GgufFile& file) : file_(file) {}

  // Each is none where the key is absent.
  Result<std::optional<int64_t>> integer(std::string_view key) const;
  Result<std::optional<double>> number(std::string_view key) const;
  Result<std::optional<bool>> flag(std::string_view key) const;
  Result<std::optional<std::string_view>> text(std::string_view key) const;
  Result<std::vector<std::string_view>> texts(std::string_view key) const;  // empty where absent
  Result<std::vector<int64_t>> integers(std::string_view key) const;        // empty where absent

  // What must be there, or has a value where it is `absent`. Errors also: gguf.key_missing, gguf.key_value.
  Result<int64_t> size(std::string_view key, std::optional<int64_t> absent = std::nullopt) const;  // ≥ 1, int
  Result<double> positive(std::string_view key) const;                                             // finite
  Result<double> epsilon(std::string_view key) const;  // 0 ≤ n < 1
  // Of a number of blocks: every block has tensors, so a larger one is nonsense that must not size anything.
  Status check_blocks(std::string_view key, int64_t n) const;

  std::string name() const { return file_.path().string(); }
  // gguf.key_missing (args file, key).
  tl::unexpected<Error> missing(std::string_view key) const {
    return fail("gguf.key_missing", {{"file", name()}, {"key", key}});
  }
  // gguf.key_value (args file, key, expected, found).
  tl::unexpected<Error> bad_value(std::string_view key, ErrorArg expected, ErrorArg found) const {
    return fail("gguf.key_value", {{"file", name()}, {"key", key}, std::move(expected), std::move(found)});
  }

 private:
  tl::unexpected<Error> bad_type(std::string_view key, std::string_view expected,
                                 const GgufValue& found) const {
    return fail("gguf.key_type",
                {{"file", name()}, {"key", key}, {"expected", expected}, {"found", found.type_text()}});
  }

  const GgufFile& file_;
};

}  // namespace qw
