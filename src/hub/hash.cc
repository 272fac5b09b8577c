#include "hub/hash.h"

#include <openssl/evp.h>

#include <array>
#include <string_view>

#include "base/check.h"

namespace qw::hub {

struct ContentHash::Impl {
  EVP_MD_CTX* context = EVP_MD_CTX_new();
  ~Impl() { EVP_MD_CTX_free(context); }
};

ContentHash::ContentHash(HashKind kind, int64_t size) : impl_(std::make_unique<Impl>()) {
  QW_CHECK(kind != HashKind::none && impl_->context != nullptr);
  const EVP_MD* md = kind == HashKind::sha256 ? EVP_sha256() : EVP_sha1();
  QW_CHECK(EVP_DigestInit_ex(impl_->context, md, nullptr) == 1);
  if (kind != HashKind::git_sha1) return;
  std::string head = fmt::format("blob {}", size);
  head.push_back('\0');
  add(std::as_bytes(std::span(head)));
}

ContentHash::~ContentHash() = default;
ContentHash::ContentHash(ContentHash&&) noexcept = default;
ContentHash& ContentHash::operator=(ContentHash&&) noexcept = default;

void ContentHash::add(std::span<const std::byte> bytes) {
  QW_CHECK(EVP_DigestUpdate(impl_->context, bytes.data(), bytes.size()) == 1);
}

std::string ContentHash::finish() {
  std::array<unsigned char, EVP_MAX_MD_SIZE> digest{};
  unsigned size = 0;
  QW_CHECK(EVP_DigestFinal_ex(impl_->context, digest.data(), &size) == 1);
  return fmt::format("{:02x}", fmt::join(digest.begin(), digest.begin() + size, ""));
}

}  // namespace qw::hub
