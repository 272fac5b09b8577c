#include "engine/dry_backend.h"

#include <sys/mman.h>

#include <algorithm>

namespace qw {

Result<StoragePtr> DryBackend::alloc(size_t bytes) {
  const size_t size = std::max<size_t>(bytes, 1);
  void* p = ::mmap(nullptr, size, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS | MAP_NORESERVE, -1, 0);
  if (p == MAP_FAILED) return fail("memory.exhausted", {{"bytes", bytes}});
  return std::make_shared<Storage>(p, bytes,
                                   std::shared_ptr<const void>(p, [size](void* q) { ::munmap(q, size); }));
}

Result<StoragePtr> DryBackend::import_host(std::span<const std::byte> bytes, std::shared_ptr<const void>) {
  return alloc(bytes.size());
}

}  // namespace qw
