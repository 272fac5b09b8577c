// The one place where numeric tolerances come from (docs/design.md §5.14): type, reduction length and norms.
#pragma once

#include <cmath>
#include <cstdint>
#include <limits>

#include "core/dtype.h"

namespace qw::test {

// Distance of 1 to the next number of a type.
inline double epsilon(DType t) {
  switch (t) {
    case DType::f64:
      return std::numeric_limits<double>::epsilon();
    case DType::f16:
      return 0x1p-10;
    case DType::bf16:
      return 0x1p-7;
    default:
      return static_cast<double>(std::numeric_limits<float>::epsilon());
  }
}

// Bound on the error of a sum of n products accumulated in `t`. `magnitude` bounds Σ|x||w| (by
// Cauchy-Schwarz |x|₂ |w|₂ does). Each of the n roundings is at most eps/2 of a partial sum; they behave like
// a random walk, hence √n, and the factor 2 + √n leaves room for short sums.
inline double sum_tolerance(DType t, int64_t n, double magnitude) {
  return epsilon(t) * (2.0 + std::sqrt(static_cast<double>(n))) * magnitude +
         std::numeric_limits<float>::min();
}

// Bound on the error of `operations` roundings in a row of a value of this magnitude.
inline double rounding_tolerance(DType t, int operations, double magnitude) {
  return epsilon(t) * operations * magnitude + std::numeric_limits<float>::min();
}

}  // namespace qw::test
