// The CPU backend: Backend over the kernel table of one instruction set and a pool of threads. One caller at
// a time. Spec: core/backend.h, docs/backend.md. Test: tests/backend
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/backend.h"

namespace qw {

struct CpuOptions {
  int threads = 0;  // 0: available_cores()
  std::string isa;  // "generic", "avx2", "avx512"; empty: QW_ISA, else the best that the machine runs
};

// f32 backend, name() = "cpu/<isa>". Errors: cpu.isa_unknown (args isa, known), cpu.isa_unsupported (args
// isa, supported).
Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuOptions& options = {});

// f64 backend for gradient checks, generic table alone (QW_ISA plays no part), name() = "cpu/generic-f64".
Result<std::unique_ptr<Backend>> make_cpu_backend_f64(int threads = 1);

// The tables that this machine runs, lowest first.
std::vector<std::string_view> supported_isas();

}  // namespace qw
