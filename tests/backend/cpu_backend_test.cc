// The choice of a table, memory, and the blocks of real GGUF files.
#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "base/json.h"
#include "tests/backend/support.h"

namespace qw::test {
namespace {

TEST(CpuBackend, TakesTheBestTableAndObeysQwIsa) {
  ASSERT_EQ(unsetenv("QW_ISA"), 0);
  const auto isas = supported_isas();
  ASSERT_EQ(isas.front(), "generic");
  EXPECT_EQ(make_cpu_backend().value()->name(), fmt::format("cpu/{}", isas.back()));
  for (const std::string_view isa : isas) {
    ASSERT_EQ(setenv("QW_ISA", std::string(isa).c_str(), 1), 0);
    EXPECT_EQ(make_cpu_backend().value()->name(), fmt::format("cpu/{}", isa));
  }
  ASSERT_EQ(setenv("QW_ISA", "sse9", 1), 0);
  const auto refused = make_cpu_backend();
  ASSERT_FALSE(refused.has_value());
  EXPECT_EQ(refused.error().debug(), "cpu.isa_unknown isa=sse9 known=generic, avx2, avx512");
  EXPECT_EQ(make_cpu_backend({.threads = 1, .isa = "generic"}).value()->name(), "cpu/generic")
      << "the option wins";
  ASSERT_EQ(unsetenv("QW_ISA"), 0);
}

TEST(CpuBackend, RefusesATableThatTheMachineDoesNotRun) {
  for (const std::string isa : {"avx2", "avx512"}) {
    const auto isas = supported_isas();
    if (std::find(isas.begin(), isas.end(), isa) != isas.end()) continue;
    EXPECT_EQ(make_cpu_backend({.threads = 1, .isa = isa}).error().code(), "cpu.isa_unsupported");
    return;
  }
  GTEST_SKIP() << "this machine runs every table";
}

TEST(CpuBackend, MemoryIsAlignedAndItsEndIsAnError) {
  Bench b("generic");
  for (const size_t bytes : {size_t{0}, size_t{1}, size_t{63}, size_t{1} << 20})
    EXPECT_EQ(reinterpret_cast<uintptr_t>(b->alloc(bytes).value()->device_ptr()) % 64, 0u);
  EXPECT_EQ(b->alloc(size_t{1} << 62).error().code(), "memory.exhausted");
}

TEST(CpuBackend, LentMemoryIsUsedInPlaceAndKeptAlive) {
  Bench b("generic");
  auto holder = std::make_shared<std::vector<std::byte>>(100);
  const std::weak_ptr<const void> watch = holder;
  StoragePtr storage = b->import_host({holder->data() + 3, 97}, holder).value();
  EXPECT_EQ(storage->device_ptr(), holder->data() + 3);
  holder.reset();
  EXPECT_FALSE(watch.expired());
  storage.reset();
  EXPECT_TRUE(watch.expired());
}

}  // namespace
}  // namespace qw::test
