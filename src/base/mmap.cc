#include "base/mmap.h"

#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstring>

#include "base/atomic_file.h"
#include "base/descriptor.h"

namespace qw {
namespace {

tl::unexpected<Error> file_error(std::string_view code, const std::filesystem::path& path) {
  return fail(code, {{"file", path.string()}, {"reason", std::strerror(errno)}});
}

}  // namespace

Result<std::shared_ptr<const MappedFile>> MappedFile::open(const std::filesystem::path& path) {
  const Descriptor file(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!file.open()) return file_error("file.open", path);
  struct stat st = {};
  if (::fstat(file.get(), &st) != 0) return file_error("file.open", path);
  if (!S_ISREG(st.st_mode)) return fail("file.not_regular", {{"file", path.string()}});
  const auto size = static_cast<size_t>(st.st_size);
  const void* data = nullptr;
  if (size > 0) {
    data = ::mmap(nullptr, size, PROT_READ, MAP_SHARED, file.get(), 0);
    if (data == MAP_FAILED) return file_error("file.open", path);
  }
  return std::shared_ptr<const MappedFile>(new MappedFile(path, static_cast<const std::byte*>(data), size));
}

MappedFile::~MappedFile() {
  if (size_ > 0) ::munmap(const_cast<std::byte*>(data_), size_);
}

Result<std::string> read_file(const std::filesystem::path& path, size_t max_bytes) {
  QW_TRY(const auto file, MappedFile::open(path));
  const std::span<const std::byte> b = file->bytes();
  if (b.size() > max_bytes) return fail("file.too_large", {{"file", path.string()}, {"limit", max_bytes}});
  return std::string(reinterpret_cast<const char*>(b.data()), b.size());
}

Status write_file_atomic(const std::filesystem::path& path, std::string_view content) {
  QW_TRY(AtomicFile file, AtomicFile::create(path));
  QW_TRY(file.write(0, std::as_bytes(std::span(content))));
  return file.commit();
}

}  // namespace qw
