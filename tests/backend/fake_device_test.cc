#include "tests/fake_device/fake_device.h"

#include "tests/backend/support.h"

namespace qw::test {
namespace {

TEST(FakeDevice, ComputesAndCannotBeRead) {
  FakeDevice device(make_backend("generic"));
  const std::vector<float> x{1, 2, 3}, two(3, 2.0f);
  const Tensor t(*device.alloc(12), 0, {3}, DType::f32), out(*device.alloc(12), 0, {3}, DType::f32);
  const Tensor lent(*device.import_host(std::as_bytes(std::span(two)), nullptr), 0, {3}, DType::f32);
  device.upload(t, x.data());
  device.add(out, t, lent);
  std::vector<float> got(3);
  device.download(got.data(), out);
  EXPECT_EQ(got, (std::vector<float>{3, 4, 5}));
  for (const Tensor& hidden : {t, out, lent})
    EXPECT_DEATH(std::memcpy(got.data(), hidden.device_ptr(), 12), "");
}

TEST(FakeDevice, StorageMayOutliveIt) {
  StoragePtr storage;
  {
    FakeDevice device(make_backend("generic"));
    storage = *device.alloc(100);
  }
  EXPECT_EQ(storage->bytes(), 100u);
}

}  // namespace
}  // namespace qw::test
