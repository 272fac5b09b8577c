// Members of CpuBackend: memory, scratch, splitting. Included by cpu_backend.cc.
#pragma once

#if defined(__linux__)
#include <sys/mman.h>
#endif

#include "backend/cpu/cpu_impl.h"

namespace qw::cpu {

inline constexpr size_t kAlign = 64;
// Element operations worth a hand-over to another thread (about 2 µs of work).
inline constexpr int64_t kInlineCost = 16384;

template <class Real>
CpuBackend<Real>::CpuBackend(const KernelTable<Real>& table, std::string name, int threads, Products products)
    : table_(table),
      products_(products == Products::bf16 ? &table_.bf16_product : &table_.product),
      packs_forward_(products != Products::f32),
      name_(std::move(name)),
      pool_(threads > 0 ? threads : available_cores()),
      scratch_(static_cast<size_t>(pool_.threads())) {}

// Large blocks ask for huge pages: products walk many rows at once, more pages than a processor remembers.
inline void* aligned_memory(size_t bytes) {
  constexpr size_t kHugePage = size_t{2} << 20;
  const size_t align = bytes >= 2 * kHugePage ? kHugePage : kAlign;
  bytes = (std::max<size_t>(bytes, 1) + align - 1) / align * align;
  void* p = std::aligned_alloc(align, bytes);
#if defined(__linux__)
  if (p != nullptr && align == kHugePage)
    madvise(p, bytes, MADV_HUGEPAGE);  // a wish: refusal changes nothing
#endif
  return p;
}

template <class Real>
Result<StoragePtr> CpuBackend<Real>::alloc(size_t bytes) {
  void* p = bytes > size_t{1} << 60 ? nullptr : aligned_memory(bytes);
  if (p == nullptr) return fail("memory.exhausted", {{"bytes", bytes}});
  return std::make_shared<Storage>(p, bytes,
                                   std::shared_ptr<const void>(p, [p](const void*) { std::free(p); }));
}

template <class Real>
Result<StoragePtr> CpuBackend<Real>::import_host(std::span<const std::byte> bytes,
                                                 std::shared_ptr<const void> holder) {
  // Storage is writable in type alone: nobody writes a weight that was lent from a file.
  return std::make_shared<Storage>(const_cast<std::byte*>(bytes.data()), bytes.size(), std::move(holder));
}

template <class Real>
void CpuBackend<Real>::upload(const Tensor& dst, const void* src) {
  QW_CHECK(dst.contiguous(), "upload to a strided tensor");
  if (dst.bytes() > 0) std::memcpy(dst.device_ptr(), src, dst.bytes());
}

template <class Real>
void CpuBackend<Real>::download(void* dst, const Tensor& src) {
  QW_CHECK(src.contiguous(), "download of a strided tensor");
  if (src.bytes() > 0) std::memcpy(dst, src.device_ptr(), src.bytes());
}

template <class Real>
void CpuBackend<Real>::reserve_scratch(int64_t elements) {
  if (elements <= scratch_elements_) return;
  for (auto& s : scratch_) {
    s.reset(static_cast<Real*>(aligned_memory(static_cast<size_t>(elements) * sizeof(Real))));
    QW_CHECK(s != nullptr, "out of memory for {} bytes of scratch",
             static_cast<size_t>(elements) * sizeof(Real));
  }
  scratch_elements_ = elements;
}

template <class Real>
template <class Fn>
void CpuBackend<Real>::split(int64_t n, int64_t cost, Fn fn) {
  const int64_t few = kInlineCost / std::max<int64_t>(cost, 1) + 1;
  const int64_t parts = int64_t{4} * pool_.threads();
  pool_.parallel_for(n, std::max(few, (n + parts - 1) / parts),
                     [&](int64_t begin, int64_t end, int) { fn(begin, end); });
}

}  // namespace qw::cpu
