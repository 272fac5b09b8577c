#include "quant/quantise.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <cstring>
#include <limits>
#include <vector>

#include "base/check.h"
#include "io/encode.h"
#include "quant/blocks.h"

namespace qw::quant {
namespace {

using Encode = bool (*)(const float* x, const float* w, uint8_t* out);

Encode encoder_of(QuantFormat format) {
  switch (format) {
    case QuantFormat::q4_0:
      return encode_q4_0;
    case QuantFormat::q4_1:
      return encode_q4_1;
    case QuantFormat::q5_0:
      return encode_q5_0;
    case QuantFormat::q5_1:
      return encode_q5_1;
    case QuantFormat::q2_k:
      return encode_q2_k;
    case QuantFormat::q3_k:
      return encode_q3_k;
    case QuantFormat::q4_k:
      return encode_q4_k;
    case QuantFormat::q5_k:
      return encode_q5_k;
    case QuantFormat::q6_k:
      return encode_q6_k;
    case QuantFormat::iq4_nl:
      return encode_iq4_nl;
    case QuantFormat::iq4_xs:
      return encode_iq4_xs;
    case QuantFormat::mxfp4:
      return encode_mxfp4;
    case QuantFormat::tq1_0:
      return encode_tq1_0;
    case QuantFormat::tq2_0:
      return encode_tq2_0;
    default:
      return nullptr;
  }
}

// Formats that io writes without a choice to make.
bool is_plain(QuantFormat format) {
  return format == QuantFormat::f32 || format == QuantFormat::f16 || format == QuantFormat::bf16 ||
         format == QuantFormat::q8_0;
}

// The weights of the errors in one block: those of its columns, none of them quite 0, so that a column that
// the sample never used is still kept.
void block_weights(std::span<const float> importance, float* w) {
  double sum = 0;
  for (const float v : importance) sum += static_cast<double>(v);
  const auto mean = static_cast<float>(sum / static_cast<double>(importance.size()));
  const float floor = 1e-3F * mean;
  for (size_t i = 0; i < importance.size(); ++i) w[i] = mean > 0 ? (importance[i] + floor) / mean : 1.0F;
}

// No f16 scale reaches further than 65504 · 128 · 32; those of mxfp4 go as far as f32.
bool in_reach(QuantFormat format, std::span<const float> x) {
  const float limit = format == QuantFormat::mxfp4 ? std::numeric_limits<float>::max() : 3e8F;
  return std::all_of(x.begin(), x.end(), [limit](float v) { return std::abs(v) <= limit; });
}

}  // namespace

bool quantise_row(QuantFormat format, std::span<const float> x, std::span<const float> importance,
                  std::byte* out) {
  const auto block = static_cast<size_t>(traits(format).block);
  const auto block_bytes = static_cast<size_t>(traits(format).block_bytes);
  QW_CHECK(x.size() % block == 0 && (importance.empty() || importance.size() == x.size()),
           "{} numbers, {} weights in blocks of {}", x.size(), importance.size(), block);
  if (!traits(format).is_float && !in_reach(format, x)) return false;
  if (is_plain(format)) {
    std::vector<std::byte> bytes;
    const bool fits = encode(format, x, bytes);
    std::memcpy(out, bytes.data(), bytes.size());
    return fits;
  }
  const Encode encode_block = encoder_of(format);
  QW_CHECK(encode_block != nullptr, "quantise to {}", traits(format).name);
  std::array<float, 256> w;
  w.fill(1.0F);
  bool fits = true;
  for (size_t i = 0; i < x.size(); i += block, out += block_bytes) {
    if (!importance.empty()) block_weights(importance.subspan(i, block), w.data());
    fits = encode_block(&x[i], w.data(), reinterpret_cast<uint8_t*>(out)) && fits;
  }
  return fits;
}

}  // namespace qw::quant
