// The CPU backend: Backend over the kernel table of one instruction set and a pool of threads. One caller at
// a time. Spec: core/backend.h, docs/backend.md. Test: tests/backend
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/backend.h"

namespace qw {

// How products with weights and their gradients are computed. Every choice keeps a row's bits free of its
// company, of cuts and of the number of threads.
enum class Products : uint8_t {
  // Serving: `linear` sums in an order that suits one row as well as many, so that decode agrees with
  // prefill.
  f32,
  // Training: every product over packed operands, each element one chain of fma along its sum. The fastest
  // way for many rows; slow for a few.
  f32_packed,
  // The same with both operands rounded to bf16 (nearest even) and sums in f32.
  bf16,
};

struct CpuOptions {
  int threads = 0;  // 0: available_cores()
  std::string isa;  // "generic", "avx2", "avx512"; empty: QW_ISA, else the best that the machine runs
  Products products = Products::f32;
  // Products::bf16 by dot instructions or by fma over rounded numbers, which give the same bits; unset: the
  // faster one. For tests and benches.
  std::optional<bool> bf16_dot = {};
};

// f32 backend, name() = "cpu/<isa>". Errors: cpu.isa_unknown (args isa, known), cpu.isa_unsupported (args
// isa, supported).
Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuOptions& options = {});

// f64 backend for gradient checks, generic table alone (QW_ISA plays no part), name() = "cpu/generic-f64".
Result<std::unique_ptr<Backend>> make_cpu_backend_f64(int threads = 1);

// The tables that this machine runs, lowest first.
std::vector<std::string_view> supported_isas();

}  // namespace qw
