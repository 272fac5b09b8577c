// Golden data for tests: finds tests/golden/data, lists its cases, loads expected tensors and compares. The
// data and what its tensors mean are described in tools/goldens/README.md. Test:
// tests/golden/manifest_test.cc
#pragma once

#include <gtest/gtest.h>

#include <cstdint>
#include <filesystem>
#include <memory>
#include <ostream>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"
#include "io/hf/safetensors.h"

namespace qw::golden {

std::filesystem::path data_folder();

// data/manifest.json; an empty object where it cannot be read (manifest_test then says why).
const Json& manifest();

// One case of a group of the manifest: "models", "gguf", "learning".
struct Case {
  std::string name;
  Json facts;  // its manifest entry
  std::filesystem::path path(std::string_view key) const {
    return data_folder() / facts[std::string(key)].get<std::string>();
  }
};
std::vector<Case> cases(std::string_view group);
inline void PrintTo(const Case& c, std::ostream* out) {
  *out << c.name;
}
// The case's name as GoogleTest allows it: "llama.F32" → "llama_F32". For INSTANTIATE_TEST_SUITE_P.
std::string test_name(std::string_view case_name);
inline std::string param_name(const testing::TestParamInfo<Case>& info) {
  return test_name(info.param.name);
}

// A tensor on the host, row-major.
template <class T>
struct Host {
  std::vector<int64_t> shape;
  std::vector<T> values;
};

// The tensors of one golden file. It remembers which were asked for: a test ends with EXPECT_EQ(unread(),
// {}), so that nothing in the file goes unlooked at.
class Expected {
 public:
  explicit Expected(const std::filesystem::path& file);

  bool has(std::string_view name) const;
  // Each fails the running test where the tensor is absent or of another type, and answers an empty one.
  Host<float> f32(std::string_view name);
  Host<double> f64(std::string_view name);
  Host<uint8_t> u8(std::string_view name);
  std::vector<int32_t> ids(std::string_view name);  // stored as int64
  // Names never asked for, but for those that begin with one of `but`.
  std::vector<std::string> unread(const std::vector<std::string>& but = {}) const;
  std::vector<std::string> names(std::string_view prefix) const;

 private:
  template <class T>
  Host<T> read(std::string_view name, std::string_view dtype);

  std::string file_;
  std::shared_ptr<const SafetensorsFile> data_;
  std::set<std::string, std::less<>> asked_;
};

// Success where the element counts agree and no value differs by more than `tolerance` (NaN differs). Else
// the failure names `name`, how many values differ, the first of them by its position, and the largest
// difference.
testing::AssertionResult compare(std::string_view name, const Host<float>& got, const Host<float>& want,
                                 double tolerance);
// The largest absolute difference; NaN where there is one.
double max_difference(const Host<float>& got, const Host<float>& want);

// The last `n` rows of a matrix.
Host<float> last_rows(const Host<float>& matrix, int64_t n);

}  // namespace qw::golden
