#include "io/gguf/gguf.h"

#include <algorithm>
#include <array>
#include <bit>
#include <limits>
#include <utility>

#include "io/file_kind.h"
#include "io/gguf/cursor.h"

namespace qw {
namespace {

constexpr uint32_t kMaxDims = 4;  // GGML_MAX_DIMS
constexpr uint64_t kDefaultAlignment = 32;
constexpr auto kMaxInt64 = static_cast<uint64_t>(std::numeric_limits<int64_t>::max());

// Ids and block sizes: ggml_type and GGML_QUANT_SIZES of gguf-py 0.19.0; ids that are absent there are
// unknown here.
constexpr auto kGgmlTypes = std::to_array<GgmlType>({
    {0, "F32", 1, 4, QuantFormat::f32},
    {1, "F16", 1, 2, QuantFormat::f16},
    {2, "Q4_0", 32, 18, QuantFormat::q4_0},
    {3, "Q4_1", 32, 20, QuantFormat::q4_1},
    {6, "Q5_0", 32, 22, QuantFormat::q5_0},
    {7, "Q5_1", 32, 24, QuantFormat::q5_1},
    {8, "Q8_0", 32, 34, QuantFormat::q8_0},
    {9, "Q8_1", 32, 36, std::nullopt},
    {10, "Q2_K", 256, 84, QuantFormat::q2_k},
    {11, "Q3_K", 256, 110, QuantFormat::q3_k},
    {12, "Q4_K", 256, 144, QuantFormat::q4_k},
    {13, "Q5_K", 256, 176, QuantFormat::q5_k},
    {14, "Q6_K", 256, 210, QuantFormat::q6_k},
    {15, "Q8_K", 256, 292, std::nullopt},
    {16, "IQ2_XXS", 256, 66, QuantFormat::iq2_xxs},
    {17, "IQ2_XS", 256, 74, QuantFormat::iq2_xs},
    {18, "IQ3_XXS", 256, 98, QuantFormat::iq3_xxs},
    {19, "IQ1_S", 256, 50, QuantFormat::iq1_s},
    {20, "IQ4_NL", 32, 18, QuantFormat::iq4_nl},
    {21, "IQ3_S", 256, 110, QuantFormat::iq3_s},
    {22, "IQ2_S", 256, 82, QuantFormat::iq2_s},
    {23, "IQ4_XS", 256, 136, QuantFormat::iq4_xs},
    {24, "I8", 1, 1, std::nullopt},
    {25, "I16", 1, 2, std::nullopt},
    {26, "I32", 1, 4, std::nullopt},
    {27, "I64", 1, 8, std::nullopt},
    {28, "F64", 1, 8, std::nullopt},
    {29, "IQ1_M", 256, 56, QuantFormat::iq1_m},
    {30, "BF16", 1, 2, QuantFormat::bf16},
    {34, "TQ1_0", 256, 54, QuantFormat::tq1_0},
    {35, "TQ2_0", 256, 66, QuantFormat::tq2_0},
    {39, "MXFP4", 32, 17, QuantFormat::mxfp4},
    {40, "NVFP4", 64, 36, QuantFormat::nvfp4},
    {41, "Q1_0", 128, 18, QuantFormat::q1_0},
    {42, "Q2_0", 64, 18, QuantFormat::q2_0},
});

struct TensorEntry {
  GgufTensor tensor;
  uint64_t offset = 0;  // in the data section
  uint64_t size = 0;
};

class Parser {
 public:
  Parser(std::span<const std::byte> bytes, std::string_view file) : in_{bytes}, file_(file) {}

  Result<GgufContent> run() {
    QW_TRY(read_header());
    QW_TRY(read_metadata());
    QW_TRY(read_alignment());
    for (uint64_t i = 0; i < n_tensors_; ++i) QW_TRY(read_tensor());
    QW_TRY(place_tensors());
    return std::move(content_);
  }

 private:
  // `at` is the key, tensor or field that the file ends in.
  tl::unexpected<Error> truncated(std::string_view at) const {
    return fail("gguf.truncated",
                {{"file", file_}, {"at", at}, {"expected", in_.need}, {"found", in_.bytes.size()}});
  }

  Status read_header() {
    uint32_t magic = 0;
    if (!in_.read(magic) || magic != 0x46554747)  // "GGUF"
      return tl::unexpected(foreign_file_error(in_.bytes, file_));
    if (!in_.read(content_.version)) return truncated("version");
    // A version in the upper half is a small number written by a big-endian machine.
    if (content_.version != 0 && (content_.version & 0xffff) == 0)
      return fail("gguf.big_endian", {{"file", file_}});
    if (content_.version != 2 && content_.version != 3)
      return fail("gguf.version", {{"file", file_}, {"found", content_.version}});
    if (!in_.read(n_tensors_)) return truncated("tensor_count");
    if (!in_.read(n_metadata_)) return truncated("metadata_kv_count");
    return {};
  }

  Status read_metadata() {
    for (uint64_t i = 0; i < n_metadata_; ++i) {
      std::string_view key;
      uint32_t type = 0;
      if (!in_.read_string(key)) return truncated("metadata_kv_count");
      if (!in_.read(type)) return truncated(key);
      GgufValue value;
      uint32_t found = 0;
      switch (read_gguf_value(in_, type, 0, value, found)) {
        case GgufRead::ok:
          break;
        case GgufRead::truncated:
          return truncated(key);
        case GgufRead::bad_type:
          return fail("gguf.value_type", {{"file", file_}, {"key", key}, {"found", found}});
        case GgufRead::too_deep:
          return fail("gguf.nesting", {{"file", file_}, {"key", key}, {"limit", kGgufMaxNesting}});
      }
      if (!content_.metadata.emplace(key, value).second)
        return fail("gguf.duplicate", {{"file", file_}, {"name", key}});
    }
    return {};
  }

  Status read_alignment() {
    const auto it = content_.metadata.find("general.alignment");
    if (it == content_.metadata.end()) return {};
    const auto v = it->second.as_int();
    if (!v || *v <= 0 || *v > (int64_t{1} << 30) || !std::has_single_bit(static_cast<uint64_t>(*v)))
      return fail("gguf.alignment",
                  {{"file", file_}, {"found", v ? fmt::to_string(*v) : it->second.type_text()}});
    alignment_ = static_cast<uint64_t>(*v);
    return {};
  }

  Status read_tensor() {
    TensorEntry e;
    std::string_view name;
    uint32_t n_dims = 0;
    if (!in_.read_string(name)) return truncated("tensor_count");
    if (!in_.read(n_dims)) return truncated(name);
    if (n_dims == 0 || n_dims > kMaxDims)
      return fail("gguf.dims", {{"file", file_}, {"tensor", name}, {"found", n_dims}});
    std::array<uint64_t, kMaxDims> dims{};
    for (uint32_t d = 0; d < n_dims; ++d)
      if (!in_.read(dims[d])) return truncated(name);
    uint32_t type = 0;
    if (!in_.read(type) || !in_.read(e.offset)) return truncated(name);
    e.tensor.name = name;
    e.tensor.type = find_ggml_type(type);
    if (!e.tensor.type) return fail("gguf.tensor_type", {{"file", file_}, {"tensor", name}, {"found", type}});
    QW_TRY(measure(e, std::span(dims).first(n_dims)));
    entries_.push_back(std::move(e));
    return {};
  }

  // Shape and size of a tensor from the file's dimensions, fastest first.
  Status measure(TensorEntry& e, std::span<const uint64_t> dims) {
    const GgmlType& type = *e.tensor.type;
    uint64_t n = 1;
    for (const uint64_t d : dims) {
      if (d == 0 || d > kMaxInt64 / n)
        return fail("gguf.shape", {{"file", file_},
                                   {"tensor", e.tensor.name},
                                   {"found", fmt::format("[{}]", fmt::join(dims, ", "))}});
      n *= d;
    }
    const auto block = static_cast<uint64_t>(type.block);
    if (dims[0] % block != 0)
      return fail("gguf.block", {{"file", file_},
                                 {"tensor", e.tensor.name},
                                 {"type", type.name},
                                 {"expected", block},
                                 {"found", dims[0]}});
    const auto block_bytes = static_cast<uint64_t>(type.block_bytes);
    if (n / block > kMaxInt64 / block_bytes)
      return fail("gguf.shape", {{"file", file_},
                                 {"tensor", e.tensor.name},
                                 {"found", fmt::format("[{}]", fmt::join(dims, ", "))}});
    e.size = n / block * block_bytes;
    e.tensor.shape.assign(dims.rbegin(), dims.rend());
    return {};
  }

  Status place_tensors() {
    const uint64_t begin =
        (uint64_t{in_.pos} + alignment_ - 1) / alignment_ * alignment_;  // of the data section
    std::stable_sort(entries_.begin(), entries_.end(),
                     [](const TensorEntry& a, const TensorEntry& b) { return a.offset < b.offset; });
    uint64_t end = 0;
    for (size_t i = 0; i < entries_.size(); ++i) {
      TensorEntry& e = entries_[i];
      if (e.offset % alignment_ != 0)
        return fail(
            "gguf.offset",
            {{"file", file_}, {"tensor", e.tensor.name}, {"found", e.offset}, {"alignment", alignment_}});
      if (e.offset < end)
        return fail("gguf.overlap",
                    {{"file", file_}, {"tensor", e.tensor.name}, {"other", entries_[i - 1].tensor.name}});
      const uint64_t file_bytes = in_.bytes.size();
      if (begin > file_bytes || e.offset > file_bytes - begin || e.size > file_bytes - begin - e.offset) {
        in_.need = e.offset > kMaxInt64 ? UINT64_MAX : begin + e.offset + e.size;
        return truncated(e.tensor.name);
      }
      end = e.offset + e.size;
      e.tensor.bytes = in_.bytes.subspan(static_cast<size_t>(begin + e.offset), static_cast<size_t>(e.size));
      const std::string_view name = e.tensor.name;
      if (!content_.tensors.emplace(name, std::move(e.tensor)).second)
        return fail("gguf.duplicate", {{"file", file_}, {"name", name}});
    }
    return {};
  }

  GgufCursor in_;
  std::string_view file_;
  uint64_t n_tensors_ = 0;
  uint64_t n_metadata_ = 0;
  uint64_t alignment_ = kDefaultAlignment;
  std::vector<TensorEntry> entries_;
  GgufContent content_;
};

}  // namespace

const GgmlType* find_ggml_type(uint32_t id) {
  const auto it =
      std::find_if(kGgmlTypes.begin(), kGgmlTypes.end(), [id](const GgmlType& t) { return t.id == id; });
  return it == kGgmlTypes.end() ? nullptr : &*it;
}

Result<GgufContent> parse_gguf(std::span<const std::byte> bytes, std::string_view file) {
  return Parser(bytes, file).run();
}

}  // namespace qw
