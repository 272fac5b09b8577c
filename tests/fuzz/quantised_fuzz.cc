// A line of quantization_config and then any bytes as a safetensors file: every quantised weight found,
// checked and packed.
#include <unistd.h>

#include <cstdint>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "io/hf/quantised.h"

namespace {

// One file a process, in memory where there is such a place.
const std::string& file_name() {
  static const std::string name = [] {
    const std::filesystem::path shm = "/dev/shm";
    const auto folder = std::filesystem::is_directory(shm) ? shm : std::filesystem::temp_directory_path();
    return (folder / ("qw_quantised_fuzz_" + std::to_string(::getpid()))).string();
  }();
  return name;
}

}  // namespace

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  const std::string_view all(reinterpret_cast<const char*>(data), size);
  const size_t line = all.find('\n');
  if (line == std::string_view::npos) return 0;
  const auto json = qw::parse_json(all.substr(0, line), "f");
  if (!json) return 0;
  const auto quantization = qw::parse_quantization(*json, "f");
  if (!quantization) return 0;
  std::ofstream(file_name(), std::ios::binary) << all.substr(line + 1);
  const auto set = qw::open_safetensors(file_name());
  std::filesystem::remove(file_name());
  if (!set) return 0;
  const auto tensors = qw::quantised_tensors(*quantization, *set);
  if (!tensors) return 0;
  for (const auto& [name, t] : tensors->weights) {
    std::vector<std::byte> row(static_cast<size_t>(t.packer->row_size()));
    for (int64_t r = 0; r < t.packer->rows(); ++r) static_cast<void>(t.packer->pack(r, r + 1, row.data()));
    static_cast<void>(t.packer->input_order());
  }
  return 0;
}
