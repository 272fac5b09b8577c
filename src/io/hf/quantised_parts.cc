#include "io/hf/quantised_parts.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>

namespace qw {
namespace {

float from_f16(uint16_t h) {
  const uint32_t sign = (h & 0x8000U) << 16;
  const uint32_t rest = h & 0x7FFFU;
  if (rest >= 0x7C00U) return std::bit_cast<float>(sign | 0x7F800000U | (rest & 0x3FFU) << 13);
  if (rest >= 0x400U) return std::bit_cast<float>(sign | ((rest << 13) + (112U << 23)));
  const float subnormal = static_cast<float>(rest) * 0x1p-24F;
  return sign != 0 ? -subnormal : subnormal;
}

}  // namespace

int64_t Part::elements() const {
  int64_t n = 1;
  for (const int64_t d : tensor_->shape) n *= d;  // the reader refused overflow
  return n;
}

std::string_view Part::text() const {
  return {reinterpret_cast<const char*>(tensor_->bytes.data()), tensor_->bytes.size()};
}

float Part::number(int64_t i) const {
  if (tensor_->dtype == "F32") return load<float>(i);
  const auto bits = load<uint16_t>(i);
  return tensor_->dtype == "F16" ? from_f16(bits) : std::bit_cast<float>(static_cast<uint32_t>(bits) << 16);
}

Part Parts::find(const std::string& name) {
  const auto it = set_.tensors.find(name);
  if (it == set_.tensors.end()) return {};
  used_.insert(name);
  return Part(it->second);
}

Result<Part> Parts::need(const std::string& name, const std::string& of) {
  const Part part = find(name);
  if (part) return part;
  const auto it = set_.tensors.find(of);
  const std::string file = it == set_.tensors.end() ? "" : it->second.file->path().string();
  return fail("hf.quant_missing", {{"file", file}, {"tensor", of}, {"missing", name}});
}

Error unexpected_tensor(const Part& part, std::string_view name, std::string_view expected) {
  return Error("hf.quant_tensor",
               {{"file", part.file()},
                {"tensor", name},
                {"expected", expected},
                {"found", fmt::format("{} [{}]", part.dtype(), fmt::join(part.shape(), ", "))}});
}

Status expect(const Part& part, std::string_view name, std::initializer_list<std::string_view> dtypes,
              std::initializer_list<int64_t> shape) {
  const bool typed = std::find(dtypes.begin(), dtypes.end(), part.dtype()) != dtypes.end();
  if (typed && std::equal(shape.begin(), shape.end(), part.shape().begin(), part.shape().end())) return {};
  return tl::unexpected(
      unexpected_tensor(part, name, fmt::format("{} [{}]", *dtypes.begin(), fmt::join(shape, ", "))));
}

Status expect_floats(const Part& part, std::string_view name, std::initializer_list<int64_t> shape) {
  return expect(part, name, {"F32", "F16", "BF16"}, shape);
}

}  // namespace qw
