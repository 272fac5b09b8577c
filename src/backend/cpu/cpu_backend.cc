#include "backend/cpu/cpu_backend.h"

#include <fmt/ranges.h>

#include "backend/cpu/cpu_features.h"
#include "backend/cpu/cpu_impl.h"
#include "backend/cpu/host/attention.inl"
#include "backend/cpu/host/elementwise.inl"
#include "backend/cpu/host/learning.inl"
#include "backend/cpu/host/linear.inl"
#include "backend/cpu/host/memory.inl"
#include "backend/cpu/host/moe.inl"
#include "backend/cpu/host/ordered.inl"
#include "backend/cpu/host/product.inl"
#include "backend/cpu/host/recurrent.inl"
#include "backend/cpu/host/rows.inl"
#include "base/env.h"

namespace qw {
namespace {

struct Isa {
  std::string_view name;
  void (*fill)(cpu::KernelTable<float>&);  // null: not compiled for this architecture
  bool supported;
};

// Lowest first; each table starts as a copy of the one below.
std::vector<Isa> all_isas() {
  const cpu::CpuFeatures f = cpu::cpu_features();
#if defined(__x86_64__)
  return {{"generic", cpu::fill_generic, true},
          {"avx2", cpu::fill_avx2, f.avx2},
          {"avx512", cpu::fill_avx512, f.avx512}};
#else
  return {{"generic", cpu::fill_generic, true}, {"avx2", nullptr, f.avx2}, {"avx512", nullptr, f.avx512}};
#endif
}

Result<cpu::KernelTable<float>> table_for(std::string_view wanted) {
  cpu::KernelTable<float> table{};
  std::vector<std::string_view> known;
  for (const Isa& isa : all_isas()) {
    known.push_back(isa.name);
    if (isa.supported) isa.fill(table);
    if (isa.name != wanted) continue;
    if (isa.supported) return table;
    return fail("cpu.isa_unsupported",
                {{"isa", wanted}, {"supported", fmt::to_string(fmt::join(supported_isas(), ", "))}});
  }
  if (wanted.empty()) return table;
  return fail("cpu.isa_unknown", {{"isa", wanted}, {"known", fmt::to_string(fmt::join(known, ", "))}});
}

}  // namespace

std::vector<std::string_view> supported_isas() {
  std::vector<std::string_view> names;
  for (const Isa& isa : all_isas())
    if (isa.supported) names.push_back(isa.name);
  return names;
}

Result<std::unique_ptr<Backend>> make_cpu_backend(const CpuOptions& options) {
  const std::string wanted = options.isa.empty() ? env("QW_ISA").value_or("") : options.isa;
  QW_TRY(cpu::KernelTable<float> table, table_for(wanted));
#if defined(__x86_64__)
  const cpu::CpuFeatures f = cpu::cpu_features();
  if (table.isa == std::string_view("avx512") && options.bf16_dot.value_or(f.avx512_bf16_fast) &&
      f.avx512_bf16)
    cpu::fill_avx512_bf16(table);
#endif
  return std::make_unique<cpu::CpuBackend<float>>(table, fmt::format("cpu/{}", table.isa), options.threads,
                                                  options.products);
}

Result<std::unique_ptr<Backend>> make_cpu_backend_f64(int threads) {
  cpu::KernelTable<double> table{};
  cpu::fill_generic(table);
  return std::make_unique<cpu::CpuBackend<double>>(table, "cpu/generic-f64", threads, Products::f32);
}

}  // namespace qw
