#include "backend/cpu/blocks/blocks.h"

#include <cstring>

#include "backend/cpu/blocks/hub.h"
#include "backend/cpu/blocks/k_quants.h"
#include "backend/cpu/blocks/lattice.h"
#include "backend/cpu/blocks/plain.h"

namespace qw::cpu {
namespace {

template <class Block>
void run(float* out, const uint8_t* row, int64_t first, int64_t n) {
  for (int64_t i = first; i < first + n; i += 32)
    Block::group(out + (i - first), row + i / Block::kElements * Block::kBytes,
                 static_cast<int>(i % Block::kElements / 32));
}

using Run = void (*)(float* out, const uint8_t* row, int64_t first, int64_t n);

// Formats of quantised folders.
Run find_hub(Format format) {
  switch (format) {
    case kInt4_32:
      return run<Int4<32>>;
    case kInt4_64:
      return run<Int4<64>>;
    case kInt4_128:
      return run<Int4<128>>;
    case kInt8_32:
      return run<Int8<32>>;
    case kInt8_128:
      return run<Int8<128>>;
    case kE4m3_32:
      return run<E4m3<32>>;
    case kE4m3_128:
      return run<E4m3<128>>;
    case kNf4_32:
      return run<Table4<32, kNf4Values>>;
    case kNf4_64:
      return run<Table4<64, kNf4Values>>;
    case kFp4_32:
      return run<Table4<32, kBnbFp4Values>>;
    case kFp4_64:
      return run<Table4<64, kBnbFp4Values>>;
    case kScb8_32:
      return run<Scb8<32>>;
    case kScb8_128:
      return run<Scb8<128>>;
    default:
      return nullptr;
  }
}

Run find(Format format) {
  switch (format) {
    case kQ8_0:
      return run<Q8_0>;
    case kQ4_0:
      return run<Q4_0>;
    case kQ4_1:
      return run<Q4_1>;
    case kQ5_0:
      return run<Q5_0>;
    case kQ5_1:
      return run<Q5_1>;
    case kQ2K:
      return run<Q2K>;
    case kQ3K:
      return run<Q3K>;
    case kQ4K:
      return run<Q4K>;
    case kQ5K:
      return run<Q5K>;
    case kQ6K:
      return run<Q6K>;
    case kIq1S:
      return run<Iq1S>;
    case kIq1M:
      return run<Iq1M>;
    case kIq2Xxs:
      return run<Iq2Xxs>;
    case kIq2Xs:
      return run<Iq2Xs>;
    case kIq2S:
      return run<Iq2S>;
    case kIq3Xxs:
      return run<Iq3Xxs>;
    case kIq3S:
      return run<Iq3S>;
    case kIq4Nl:
      return run<Iq4Nl>;
    case kIq4Xs:
      return run<Iq4Xs>;
    case kMxfp4:
      return run<Mxfp4>;
    case kNvfp4:
      return run<Nvfp4>;
    case kNvfp4S:
      return run<Nvfp4S>;
    case kTq1_0:
      return run<Tq1_0>;
    case kTq2_0:
      return run<Tq2_0>;
    case kQ1_0:
      return run<Q1_0>;
    case kQ2_0:
      return run<Q2_0>;
    default:
      return find_hub(format);
  }
}

}  // namespace

// bitsandbytes: functional.py, create_normal_map and the table of get_4bit_type("fp4"), over their largest.
const float kNf4Values[16] = {-1.0F,         -0.696192801F, -0.525073051F,  -0.394917488F,
                              -0.284441382F, -0.18477343F,  -0.0910500363F, 0.0F,
                              0.0795802996F, 0.160930201F,  0.246112302F,   0.337915242F,
                              0.440709829F,  0.562617004F,  0.722956836F,   1.0F};
const float kBnbFp4Values[16] = {
    0.0F, 0.00520833349F,  0.666666687F,  1.0F,  0.333333343F,  0.5F,  0.166666672F,  0.25F,
    0.0F, -0.00520833349F, -0.666666687F, -1.0F, -0.333333343F, -0.5F, -0.166666672F, -0.25F};

void decode_groups(float* out, const uint8_t* row, Format format, int64_t first, int64_t n) {
  find(format)(out, row, first, n);
}

}  // namespace qw::cpu
