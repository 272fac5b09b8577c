// bitsandbytes. 4 bits: weight u8 [N · K / 2, 1], two codes a byte, the high nibble first; one absmax for
// every `blocksize` elements of the flattened weight, itself 8-bit codes of nested_quant_map with
// nested_absmax and an offset where the statistics were quantised again; the rest is JSON in
// weight.quant_state.bitsandbytes__nf4 (or fp4). 8 bits: weight i8 [N, K] and SCB [N], w = code · SCB ·
// (1/127). Spec: bitsandbytes 0.50, functional.py (QuantState) and backends/default/ops.py.
#include <cstring>

#include "base/json.h"
#include "io/hf/quantised_schemes.h"

namespace qw {
namespace {

// absmax of a block of elements, as f32.
struct Absmax {
  Part values;               // F32, or U8 codes
  Part nested_map, nested;   // F32 [256], F32
  int64_t nested_block = 0;  // > 0: values are codes
  float offset = 0.0F;

  float at(int64_t block) const {
    if (nested_block == 0) return values.load<float>(block);
    return nested_map.load<float>(values.load<uint8_t>(block)) * nested.load<float>(block / nested_block) +
           offset;
  }
};

class Bnb4Packer final : public RowPacker {
 public:
  Bnb4Packer(QuantFormat format, int64_t rows, int64_t cols, Part codes, Absmax absmax, int64_t block)
      : RowPacker(format, rows, cols), codes_(std::move(codes)), absmax_(std::move(absmax)), block_(block) {}

  bool pack(int64_t begin, int64_t end, std::byte* to) const override {
    auto* out = reinterpret_cast<uint8_t*>(to);
    const int64_t group = traits(format()).block;
    for (int64_t e = begin * cols(); e < end * cols(); e += group) {
      const float d = absmax_.at(e / block_);
      std::memcpy(out, &d, 4);
      out += 4;
      for (int64_t g = e; g < e + group; g += 32, out += 16)
        for (int64_t i = 0; i < 16; ++i) out[i] = static_cast<uint8_t>(code(g + i) | code(g + 16 + i) << 4);
    }
    return true;
  }

 private:
  int code(int64_t element) const {
    return element % 2 == 0 ? codes_.bytes()[element / 2] >> 4 : codes_.bytes()[element / 2] & 15;
  }

  Part codes_;
  Absmax absmax_;
  int64_t block_;
};

class Bnb8Packer final : public RowPacker {
 public:
  Bnb8Packer(QuantFormat format, Part codes, Part stats)
      : RowPacker(format, codes.shape()[0], codes.shape()[1]),
        codes_(std::move(codes)),
        stats_(std::move(stats)) {}

  bool pack(int64_t begin, int64_t end, std::byte* out) const override {
    const int64_t block = traits(format()).block;
    for (int64_t row = begin; row < end; ++row)
      for (int64_t k = 0; k < cols(); k += block, out += 4 + block) {
        const float d = stats_.load<float>(row);
        std::memcpy(out, &d, 4);
        std::memcpy(out + 4, codes_.bytes() + row * cols() + k, static_cast<size_t>(block));
      }
    return true;
  }

 private:
  Part codes_, stats_;
};

// The JSON of a quant_state; a member that is not there or of another kind is an error that names it.
class State {
 public:
  State(Json json, std::string file, std::string tensor)
      : json_(std::move(json)), file_(std::move(file)), tensor_(std::move(tensor)) {}

  Error bad(const char* key) const {
    return Error("hf.quant_state", {{"file", file_}, {"tensor", tensor_}, {"key", key}});
  }
  Result<int64_t> count(const Json& v, const char* key) const {
    if (!v.is_number_integer() || v < 1 || v > (int64_t{1} << 40)) return tl::unexpected(bad(key));
    return v.get<int64_t>();
  }
  Result<Json> member(const char* key) const {
    if (!json_.is_object() || !json_.contains(key)) return tl::unexpected(bad(key));
    return json_[key];
  }
  bool has(const char* key) const { return json_.is_object() && json_.contains(key); }

 private:
  Json json_;
  std::string file_, tensor_;
};

Result<Absmax> read_absmax(Parts& parts, const std::string& main, const State& state, int64_t n_blocks) {
  Absmax a;
  QW_TRY(a.values, parts.need(main + ".absmax", main));
  if (!state.has("nested_blocksize")) {
    QW_TRY(expect(a.values, main + ".absmax", {"F32"}, {n_blocks}));
    return a;
  }
  QW_TRY(expect(a.values, main + ".absmax", {"U8"}, {n_blocks}));
  QW_TRY(const Json block, state.member("nested_blocksize"));
  QW_TRY(a.nested_block, state.count(block, "nested_blocksize"));
  QW_TRY(const Json offset, state.member("nested_offset"));
  if (!offset.is_number()) return tl::unexpected(state.bad("nested_offset"));
  a.offset = offset.get<float>();
  QW_TRY(a.nested, parts.need(main + ".nested_absmax", main));
  QW_TRY(
      expect(a.nested, main + ".nested_absmax", {"F32"}, {(n_blocks + a.nested_block - 1) / a.nested_block}));
  QW_TRY(a.nested_map, parts.need(main + ".nested_quant_map", main));
  QW_TRY(expect(a.nested_map, main + ".nested_quant_map", {"F32"}, {256}));
  return a;
}

Packer four_bits(Parts& parts, const std::string& main, const Part& codes, bool nf4) {
  const std::string name = main + ".quant_state.bitsandbytes__" + (nf4 ? "nf4" : "fp4");
  QW_TRY(const Part text, parts.need(name, main));
  QW_TRY(Json json, parse_json(text.text(), text.file()));
  const State state(std::move(json), text.file(), name);
  QW_TRY(const Json shape, state.member("shape"));
  if (!shape.is_array() || shape.size() != 2) return tl::unexpected(state.bad("shape"));
  QW_TRY(const int64_t rows, state.count(shape[0], "shape"));
  QW_TRY(const int64_t cols, state.count(shape[1], "shape"));
  QW_TRY(const Json size, state.member("blocksize"));
  QW_TRY(const int64_t block, state.count(size, "blocksize"));
  if (block % 32 != 0) return tl::unexpected(state.bad("blocksize"));
  if (cols % 32 != 0)
    return fail("hf.quant_columns",
                {{"file", codes.file()}, {"tensor", main}, {"found", cols}, {"groups", 1}});
  if (codes.dtype() != "U8" || rows > (int64_t{1} << 40) / cols || codes.elements() != rows * cols / 2)
    return tl::unexpected(unexpected_tensor(codes, main, "U8 [N · K / 2, 1]"));
  QW_TRY(Absmax absmax, read_absmax(parts, main, state, (rows * cols + block - 1) / block));
  // The code book of the type; the file's copy of it is not read.
  parts.find(main + ".quant_map");
  const bool wide = cols % 64 == 0 && block % 64 == 0;
  const QuantFormat format = nf4    ? wide ? QuantFormat::nf4_64 : QuantFormat::nf4_32
                             : wide ? QuantFormat::fp4_64
                                    : QuantFormat::fp4_32;
  return std::make_shared<Bnb4Packer>(format, rows, cols, codes, std::move(absmax), block);
}

}  // namespace

Packer bitsandbytes_packer(const HfQuantization&, Parts& parts, const std::string& module) {
  const std::string main = module + ".weight";
  QW_TRY(const Part codes, parts.need(main, main));
  if (parts.has(main + ".quant_state.bitsandbytes__nf4")) return four_bits(parts, main, codes, true);
  if (parts.has(main + ".quant_state.bitsandbytes__fp4")) return four_bits(parts, main, codes, false);
  QW_TRY(const Part stats, parts.need(module + ".SCB", main));
  if (codes.shape().size() != 2 || codes.dtype() != "I8")
    return tl::unexpected(unexpected_tensor(codes, main, "I8 [N, K]"));
  const int64_t cols = codes.shape()[1];
  QW_TRY(expect(stats, module + ".SCB", {"F32"}, {codes.shape()[0]}));
  // 0: rows as they are; the others are orders of a GPU's memory.
  if (const Part form = parts.find(module + ".weight_format");
      form && (form.dtype() != "U8" || form.elements() != 1 || form.load<uint8_t>(0) != 0))
    return tl::unexpected(unexpected_tensor(form, module + ".weight_format", "U8 [] = 0"));
  if (cols < 1 || cols % 32 != 0)
    return fail("hf.quant_columns",
                {{"file", codes.file()}, {"tensor", main}, {"found", cols}, {"groups", 1}});
  return std::make_shared<Bnb8Packer>(cols % 128 == 0 ? QuantFormat::scb8_128 : QuantFormat::scb8_32, codes,
                                      stats);
}

}  // namespace qw
