#include "ops/dims.h"

namespace qw::ops {

Dims& Dims::arg(std::string_view name, const Shape& shape, std::string_view letters) {
  QW_CHECK(shape.rank() == static_cast<int>(letters.size()), "{}: {} is {}, expected dimensions {}", op_,
           name, shape.str(), letters);
  for (int i = 0; i < shape.rank(); ++i) {
    const char letter = letters[static_cast<size_t>(i)];
    if (letter == '*') continue;
    int64_t& bound = bound_[static_cast<unsigned char>(letter)];
    if (letter >= '0' && letter <= '9') bound = letter - '0';
    if (bound < 0) bound = shape[i];
    QW_CHECK(bound == shape[i], "{}: dimension {} of {} is {}, expected {}", op_, letter, name, shape[i],
             bound);
  }
  return *this;
}

}  // namespace qw::ops
