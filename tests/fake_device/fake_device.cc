#include "tests/fake_device/fake_device.h"

#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstring>

namespace qw::test {

void FakeDevice::Blocks::protect(int mode) {
  const std::lock_guard lock(mutex);
  for (const auto& [p, bytes] : all) QW_CHECK(mprotect(p, bytes, mode) == 0, "mprotect of a block");
}

FakeDevice::Open::Open(Blocks& blocks) : blocks_(blocks) {
  blocks_.protect(PROT_READ | PROT_WRITE);
}

FakeDevice::Open::~Open() {
  blocks_.protect(PROT_NONE);
}

Result<StoragePtr> FakeDevice::alloc(size_t bytes) {
  const auto page = static_cast<size_t>(sysconf(_SC_PAGESIZE));
  const size_t whole = (std::max<size_t>(bytes, 1) + page - 1) / page * page;
  void* p = mmap(nullptr, whole, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  if (p == MAP_FAILED) return fail("memory.exhausted", {{"bytes", bytes}});
  const std::lock_guard lock(blocks_->mutex);
  blocks_->all.emplace(p, whole);
  return std::make_shared<Storage>(p, bytes,
                                   std::shared_ptr<const void>(p, [whole, blocks = blocks_](void* q) {
                                     const std::lock_guard guard(blocks->mutex);
                                     blocks->all.erase({q, whole});
                                     munmap(q, whole);
                                   }));
}

Result<StoragePtr> FakeDevice::import_host(std::span<const std::byte> bytes, std::shared_ptr<const void>) {
  QW_TRY(StoragePtr storage, alloc(bytes.size()));
  const Open open(*blocks_);
  if (!bytes.empty()) std::memcpy(storage->device_ptr(), bytes.data(), bytes.size());
  return storage;
}

}  // namespace qw::test
