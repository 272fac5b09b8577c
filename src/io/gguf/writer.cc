#include "io/gguf/writer.h"

#include <cstring>
#include <type_traits>

#include "base/check.h"
#include "io/gguf/gguf.h"

namespace qw {
namespace {

constexpr int64_t kAlignment = 32;  // the format's default, so general.alignment need not be said

template <class T>
void put(std::string& out, T value) {
  static_assert(std::is_trivially_copyable_v<T>);
  char raw[sizeof(T)];
  std::memcpy(raw, &value, sizeof(T));
  out.append(raw, sizeof(T));
}

void put_text(std::string& out, std::string_view text) {
  put(out, uint64_t{text.size()});
  out.append(text);
}

uint32_t id_of(GgufType type) {
  return static_cast<uint32_t>(type);
}

uint32_t ggml_type_of(QuantFormat format) {
  constexpr uint32_t kMaxId = 64;
  for (uint32_t id = 0; id < kMaxId; ++id)
    if (const GgmlType* type = find_ggml_type(id); type != nullptr && type->format == format) return id;
  QW_CHECK(false, "GGUF has no {}", traits(format).name);
  return 0;
}

int64_t aligned(int64_t n) {
  return (n + kAlignment - 1) / kAlignment * kAlignment;
}

}  // namespace

void GgufMetadata::begin(std::string_view key, uint32_t type) {
  put_text(bytes_, key);
  put(bytes_, type);
  ++count_;
}
void GgufMetadata::text(std::string_view key, std::string_view value) {
  begin(key, id_of(GgufType::string));
  put_text(bytes_, value);
}
void GgufMetadata::u32(std::string_view key, uint32_t value) {
  begin(key, id_of(GgufType::u32));
  put(bytes_, value);
}
void GgufMetadata::i32(std::string_view key, int32_t value) {
  begin(key, id_of(GgufType::i32));
  put(bytes_, value);
}
void GgufMetadata::f32(std::string_view key, double value) {
  begin(key, id_of(GgufType::f32));
  put(bytes_, static_cast<float>(value));
}
void GgufMetadata::flag(std::string_view key, bool value) {
  begin(key, id_of(GgufType::boolean));
  put(bytes_, static_cast<uint8_t>(value ? 1 : 0));
}
void GgufMetadata::texts(std::string_view key, std::span<const std::string_view> values) {
  begin(key, id_of(GgufType::array));
  put(bytes_, id_of(GgufType::string));
  put(bytes_, uint64_t{values.size()});
  for (const std::string_view v : values) put_text(bytes_, v);
}
void GgufMetadata::ints(std::string_view key, std::span<const int32_t> values) {
  begin(key, id_of(GgufType::array));
  put(bytes_, id_of(GgufType::i32));
  put(bytes_, uint64_t{values.size()});
  for (const int32_t v : values) put(bytes_, v);
}

void GgufMetadata::value(std::string_view key, const GgufValue& v) {
  begin(key, id_of(v.type()));
  if (v.type() == GgufType::string) put(bytes_, uint64_t{v.encoded().size()});
  if (v.type() == GgufType::array) {
    put(bytes_, id_of(v.element()));
    put(bytes_, v.count());
  }
  bytes_.append(reinterpret_cast<const char*>(v.encoded().data()), v.encoded().size());
}

void GgufMetadata::flags(std::string_view key, const std::vector<bool>& values) {
  begin(key, id_of(GgufType::array));
  put(bytes_, id_of(GgufType::boolean));
  put(bytes_, uint64_t{values.size()});
  for (const bool v : values) put(bytes_, static_cast<uint8_t>(v ? 1 : 0));
}

int64_t gguf_tensor_bytes(const GgufTensorPlan& plan) {
  const int64_t block = plan.type != nullptr ? plan.type->block : traits(plan.format).block;
  const int64_t bytes = plan.type != nullptr ? plan.type->block_bytes : traits(plan.format).block_bytes;
  QW_CHECK(!plan.shape.empty() && plan.shape.back() % block == 0, "{}: rows are no whole blocks", plan.name);
  int64_t blocks = plan.shape.back() / block;
  for (size_t i = 0; i + 1 < plan.shape.size(); ++i) blocks *= plan.shape[i];
  return blocks * bytes;
}

Result<GgufWriter> GgufWriter::create(const std::filesystem::path& path, const GgufMetadata& metadata,
                                      const std::vector<GgufTensorPlan>& plans) {
  constexpr uint32_t kVersion = 3;
  std::string head = "GGUF";
  put(head, kVersion);
  put(head, uint64_t{plans.size()});
  put(head, metadata.count());
  head += metadata.bytes();
  std::vector<Span> spans;
  int64_t end = 0;  // in the data section
  for (const GgufTensorPlan& plan : plans) {
    put_text(head, plan.name);
    put(head, static_cast<uint32_t>(plan.shape.size()));
    for (auto d = plan.shape.rbegin(); d != plan.shape.rend(); ++d) put(head, static_cast<uint64_t>(*d));
    put(head, plan.type != nullptr ? plan.type->id : ggml_type_of(plan.format));
    put(head, static_cast<uint64_t>(end));
    spans.push_back({.begin = end, .bytes = gguf_tensor_bytes(plan)});
    end = aligned(end + spans.back().bytes);
  }
  head.resize(static_cast<size_t>(aligned(static_cast<int64_t>(head.size()))), '\0');
  const auto data = static_cast<int64_t>(head.size());
  for (Span& s : spans) s.begin += data;
  QW_TRY(AtomicFile file, AtomicFile::create(path));
  QW_TRY(file.write(0, std::as_bytes(std::span(head))));
  // What lies between tensors reads as zeros; the last byte of the section makes the file as long as it says.
  if (end > 0) {
    const std::byte zero{0};
    QW_TRY(file.write(data + end - 1, std::span(&zero, 1)));
  }
  return GgufWriter(std::move(file), std::move(spans));
}

Status GgufWriter::write(size_t i, int64_t offset, std::span<const std::byte> bytes) {
  QW_CHECK(i < spans_.size());
  Span& s = spans_[i];
  const auto n = static_cast<int64_t>(bytes.size());
  QW_CHECK(offset >= 0 && offset <= s.bytes && n <= s.bytes - offset, "tensor {}: {} + {} of {} bytes", i,
           offset, n, s.bytes);
  s.written += n;
  return file_.write(s.begin + offset, bytes);
}

Status GgufWriter::finish() {
  for (size_t i = 0; i < spans_.size(); ++i)
    QW_CHECK(spans_[i].written == spans_[i].bytes, "tensor {}: {} of {} bytes written", i, spans_[i].written,
             spans_[i].bytes);
  return file_.commit();
}

}  // namespace qw
