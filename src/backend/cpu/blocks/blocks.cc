#include "backend/cpu/blocks/blocks.h"

#include <cstring>

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
    case kTq1_0:
      return run<Tq1_0>;
    case kTq2_0:
      return run<Tq2_0>;
    case kQ1_0:
      return run<Q1_0>;
    case kQ2_0:
      return run<Q2_0>;
    default:
      return nullptr;
  }
}

}  // namespace

void decode_groups(float* out, const uint8_t* row, Format format, int64_t first, int64_t n) {
  find(format)(out, row, first, n);
}

}  // namespace qw::cpu
