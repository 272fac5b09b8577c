// Tensors, weights and random numbers for the kernel tests, and the list of backends they run on.
#pragma once

#include <gtest/gtest.h>

#include <bit>
#include <cmath>
#include <cstring>
#include <memory>
#include <string>
#include <vector>

#include "backend/cpu/blocks/blocks.h"
#include "backend/cpu/cpu_backend.h"
#include "base/rng.h"
#include "core/backend.h"

namespace qw::test {

// "f64" or a table name.
inline std::unique_ptr<Backend> make_backend(const std::string& name, int threads = 1) {
  auto backend =
      name == "f64" ? make_cpu_backend_f64(threads) : make_cpu_backend({.threads = threads, .isa = name});
  QW_CHECK(backend.has_value(), "{}", backend.error().debug());
  return *std::move(backend);
}

inline std::vector<std::string> tables() {
  const auto isas = supported_isas();
  return {isas.begin(), isas.end()};
}
inline std::vector<std::string> tables_and_f64() {
  auto names = tables();
  names.emplace_back("f64");
  return names;
}

using Values = std::vector<double>;

// Normal numbers, exact in f32.
inline Values normals(uint64_t key, int64_t n, double scale = 1.0) {
  Values v(static_cast<size_t>(n));
  const Rng rng(key);
  for (size_t i = 0; i < v.size(); ++i) v[i] = static_cast<double>(static_cast<float>(scale * rng.normal(i)));
  return v;
}

inline double norm(const double* p, int64_t n) {
  double s = 0;
  for (int64_t i = 0; i < n; ++i) s += p[i] * p[i];
  return std::sqrt(s);
}

// Backend plus what tests do with it all the time.
class Bench {
 public:
  explicit Bench(const std::string& name, int threads = 1) : backend_(make_backend(name, threads)) {}
  explicit Bench(const CpuOptions& options) {
    auto backend = make_cpu_backend(options);
    QW_CHECK(backend.has_value(), "{}", backend.error().debug());
    backend_ = *std::move(backend);
  }
  Backend& operator*() { return *backend_; }
  Backend* operator->() { return backend_.get(); }
  DType real() const { return backend_->real(); }

  Tensor empty(const Shape& shape, DType dtype) {
    const size_t bytes = static_cast<size_t>(shape.elements()) * static_cast<size_t>(traits(dtype).bytes);
    return Tensor(*backend_->alloc(bytes + 64), 0, shape, dtype);
  }
  Tensor empty(const Shape& shape) { return empty(shape, real()); }
  Tensor real(const Values& v, const Shape& shape) {
    const Tensor t = empty(shape);
    put(t, v);
    return t;
  }
  Tensor ints(const std::vector<int32_t>& v) {
    const Tensor t = empty({static_cast<int64_t>(v.size())}, DType::i32);
    backend_->upload(t, v.data());
    return t;
  }
  void put(const Tensor& t, const Values& v) {
    if (t.dtype() == DType::f64) {
      backend_->upload(t, v.data());
      return;
    }
    const std::vector<float> f(v.begin(), v.end());
    backend_->upload(t, f.data());
  }
  Values get(const Tensor& t) {
    Values v(static_cast<size_t>(t.elements()));
    if (t.dtype() == DType::f64) {
      backend_->download(v.data(), t);
      return v;
    }
    std::vector<float> f(v.size());
    backend_->download(f.data(), t);
    return {f.begin(), f.end()};
  }

 private:
  std::unique_ptr<Backend> backend_;
};

inline uint16_t f16_bits(double x) {
  // Rounds by the host's own arithmetic: a quantum of 2^-24 below 2^-14, of 2^(e-10) above.
  if (x == 0) return std::signbit(x) ? 0x8000 : 0;
  const int sign = x < 0 ? 0x8000 : 0;
  x = std::abs(x);
  const int e = std::max(std::ilogb(x), -14);
  const double units = std::nearbyint(std::ldexp(x, 10 - e));  // below 2048
  const int bits = ((e + 14) << 10) + static_cast<int>(units);
  return static_cast<uint16_t>(sign | std::min(bits, 0x7c00));
}
inline double f16_value(uint16_t h) {
  const int e = h >> 10 & 31, m = h & 1023;
  const double v = e == 0 ? std::ldexp(m, -24) : std::ldexp(1024 + m, e - 25);
  return (h & 0x8000) != 0 ? -v : v;
}
inline uint16_t bf16_bits(double x) {
  const auto u = std::bit_cast<uint32_t>(static_cast<float>(x));
  return static_cast<uint16_t>((u + 0x7fff + (u >> 16 & 1)) >> 16);
}
inline double bf16_value(uint16_t h) {
  return static_cast<double>(std::bit_cast<float>(static_cast<uint32_t>(h) << 16));
}

// A weight with random content, its bytes starting at `offset` (mapped files align nothing), and its exact
// values.
struct TestWeight {
  Weight weight;
  Values values;
};

// Offsets of the f16 numbers in a block: scales that random bits may not be.
inline std::vector<int> f16_scales(QuantFormat format) {
  switch (format) {
    case QuantFormat::q5_1:
    case QuantFormat::q4_k:
    case QuantFormat::q5_k:
      return {0, 2};
    case QuantFormat::q2_k:
      return {80, 82};
    case QuantFormat::q3_k:
      return {108};
    case QuantFormat::q6_k:
      return {208};
    case QuantFormat::tq1_0:
      return {52};
    case QuantFormat::tq2_0:
      return {64};
    case QuantFormat::mxfp4:
    case QuantFormat::nvfp4:
    case QuantFormat::iq1_m:
      return {};
    default:
      return format >= QuantFormat::int4_32 ? std::vector<int>() : std::vector<int>{0};
  }
}

// The scale and zero point of a block of a format of quantised folders; e4m3 bytes that are NaN become
// numbers.
inline void set_hub_head(uint8_t* block, QuantFormat format, double scale) {
  const auto bits = std::bit_cast<uint32_t>(static_cast<float>(scale));
  const bool int4 = format <= QuantFormat::int4_128;
  const uint32_t head = int4 ? (bits & 0xffff0000u) | (block[0] & 15u) : bits;
  const auto zero = static_cast<float>(block[4]);
  std::memcpy(block, &head, 4);
  if (format == QuantFormat::int8_32 || format == QuantFormat::int8_128) std::memcpy(block + 4, &zero, 4);
  if (format == QuantFormat::e4m3_32 || format == QuantFormat::e4m3_128)
    for (int i = 4; i < traits(format).block_bytes; ++i)
      if ((block[i] & 0x7f) == 0x7f) block[i] ^= 1;
}

// Random bits; their values are those of decode_groups, which the golden blocks hold against ggml.
inline void append_coded_row(std::vector<uint8_t>& bytes, Values& values, QuantFormat format, int64_t cols,
                             const Rng& rng) {
  const auto size = static_cast<size_t>(traits(format).block_bytes);
  std::vector<uint8_t> row(static_cast<size_t>(row_bytes(format, cols)));
  for (size_t i = 0; i < row.size(); ++i) row[i] = static_cast<uint8_t>(rng.below(256, i));
  for (size_t at = 0; at < row.size(); at += size) {
    for (const int offset : f16_scales(format)) {
      const uint16_t h = f16_bits(0.01 * rng.normal(1'000'000 + at + static_cast<size_t>(offset)));
      std::memcpy(&row[at + static_cast<size_t>(offset)], &h, 2);
    }
    if (format == QuantFormat::mxfp4) row[at] = static_cast<uint8_t>(118 + row[at] % 8);
    if (format >= QuantFormat::int4_32) set_hub_head(&row[at], format, 0.01 * rng.normal(1'000'000 + at));
    if (format == QuantFormat::iq1_m) row[at + 55] = 0x20;  // the exponent of the scale
  }
  std::vector<float> decoded(static_cast<size_t>(cols));
  cpu::decode_groups(decoded.data(), row.data(), static_cast<cpu::Format>(format), 0, cols);
  bytes.insert(bytes.end(), row.begin(), row.end());
  values.insert(values.end(), decoded.begin(), decoded.end());
}

inline void append_row(std::vector<uint8_t>& bytes, Values& values, QuantFormat format, int64_t cols,
                       uint64_t key) {
  const auto put16 = [&](uint16_t h) {
    bytes.push_back(static_cast<uint8_t>(h));
    bytes.push_back(static_cast<uint8_t>(h >> 8));
  };
  const Rng rng(key);
  if (traits(format).is_float) {
    for (const double x : normals(key, cols)) {
      if (format == QuantFormat::f32 || format == QuantFormat::f64) {
        const auto f = static_cast<float>(x);
        const auto* p = format == QuantFormat::f32 ? reinterpret_cast<const uint8_t*>(&f)
                                                   : reinterpret_cast<const uint8_t*>(&x);
        bytes.insert(bytes.end(), p, p + traits(format).block_bytes);
        values.push_back(x);
      } else {
        const bool half = format == QuantFormat::f16;
        put16(half ? f16_bits(x) : bf16_bits(x));
        values.push_back(half ? f16_value(f16_bits(x)) : bf16_value(bf16_bits(x)));
      }
    }
    return;
  }
  if (format > QuantFormat::q4_1) return append_coded_row(bytes, values, format, cols, rng);
  for (int64_t b = 0; b < cols / 32; ++b) {
    const auto base = static_cast<uint64_t>(b) * 100;
    const uint16_t d = f16_bits(0.02 * rng.normal(base)), m = f16_bits(0.1 * rng.normal(base + 1));
    put16(d);
    if (format == QuantFormat::q4_1) put16(m);
    const double scale = f16_value(d), offset = format == QuantFormat::q4_1 ? f16_value(m) : -8 * scale;
    if (format == QuantFormat::q8_0) {
      for (uint64_t i = 0; i < 32; ++i) {
        const int q = static_cast<int>(rng.below(256, base + 2 + i)) - 128;
        bytes.push_back(static_cast<uint8_t>(q));
        values.push_back(scale * q);
      }
      continue;
    }
    uint8_t nibbles[16];
    for (uint64_t i = 0; i < 16; ++i)
      bytes.push_back(nibbles[i] = static_cast<uint8_t>(rng.below(256, base + 2 + i)));
    for (int i = 0; i < 32; ++i) {
      const int q = i < 16 ? nibbles[i] & 15 : nibbles[i - 16] >> 4;
      values.push_back(scale * q + offset);
    }
  }
}

inline TestWeight make_weight(Bench& b, QuantFormat format, int64_t rows, int64_t cols, uint64_t key,
                              size_t offset = 0) {
  TestWeight t;
  std::vector<uint8_t> bytes;
  for (int64_t r = 0; r < rows; ++r)
    append_row(bytes, t.values, format, cols, key * 1000003 + static_cast<uint64_t>(r));
  auto holder = std::make_shared<std::vector<std::byte>>(bytes.size() + offset);
  if (!bytes.empty()) std::memcpy(holder->data() + offset, bytes.data(), bytes.size());
  const StoragePtr storage = *b->import_host(*holder, holder);
  t.weight.name = "test";
  t.weight.shape = Shape{rows, cols};
  t.weight.format = format;
  const int64_t stored = traits(format).is_float ? cols : row_bytes(format, cols);
  t.weight.data = Tensor(storage, offset, Shape{rows, stored}, storage_dtype(format));
  return t;
}

inline constexpr QuantFormat kAllFormats[] = {QuantFormat::f32,  QuantFormat::f64,  QuantFormat::f16,
                                              QuantFormat::bf16, QuantFormat::q8_0, QuantFormat::q4_0,
                                              QuantFormat::q4_1};
// Of the formats that came later those with a kernel, and one for all that have none.
inline constexpr QuantFormat kCodedFormats[] = {
    QuantFormat::q5_0,     QuantFormat::q5_1,    QuantFormat::q2_k,     QuantFormat::q3_k,
    QuantFormat::q4_k,     QuantFormat::q5_k,    QuantFormat::q6_k,     QuantFormat::iq4_nl,
    QuantFormat::iq4_xs,   QuantFormat::mxfp4,   QuantFormat::nvfp4,    QuantFormat::iq2_xs,
    QuantFormat::int4_32,  QuantFormat::int4_64, QuantFormat::int4_128, QuantFormat::int8_128,
    QuantFormat::e4m3_128, QuantFormat::nf4_64,  QuantFormat::scb8_128, QuantFormat::fp4_32};

}  // namespace qw::test
