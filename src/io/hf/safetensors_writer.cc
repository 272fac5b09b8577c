#include "io/hf/safetensors_writer.h"

#include <algorithm>
#include <numeric>
#include <utility>

#include "base/atomic_file.h"
#include "base/check.h"
#include "base/json.h"
#include "io/hf/safetensors.h"

namespace qw {

struct SafetensorsWriter::State {
  struct Span {
    int64_t begin = 0;  // in the file
    int64_t bytes = 0;
    int64_t written = 0;
  };
  AtomicFile file;
  std::vector<Span> spans;
};

namespace {

int64_t plan_bytes(const SafetensorsPlan& p) {
  const std::optional<int64_t> element = safetensors_dtype_bytes(p.dtype);
  QW_CHECK(element.has_value(), "{} has no safetensors dtype {}", p.name, p.dtype);
  int64_t n = *element;
  for (const int64_t d : p.shape) {
    QW_CHECK(d >= 0, "{} has a negative extent", p.name);
    n *= d;
  }
  return n;
}

// The order in the file: wide dtypes first so that every tensor is aligned to its element, then names.
std::vector<size_t> layout_order(const std::vector<SafetensorsPlan>& plans) {
  std::vector<size_t> order(plans.size());
  std::iota(order.begin(), order.end(), size_t{0});
  std::sort(order.begin(), order.end(), [&](size_t a, size_t b) {
    const int64_t wa = *safetensors_dtype_bytes(plans[a].dtype);
    const int64_t wb = *safetensors_dtype_bytes(plans[b].dtype);
    return wa != wb ? wa > wb : plans[a].name < plans[b].name;
  });
  for (size_t i = 1; i < order.size(); ++i)
    QW_CHECK(plans[order[i]].name != plans[order[i - 1]].name, "{} is planned twice", plans[order[i]].name);
  return order;
}

}  // namespace

SafetensorsWriter::SafetensorsWriter(std::unique_ptr<State> state) : state_(std::move(state)) {}
SafetensorsWriter::SafetensorsWriter(SafetensorsWriter&&) noexcept = default;
SafetensorsWriter& SafetensorsWriter::operator=(SafetensorsWriter&&) noexcept = default;
SafetensorsWriter::~SafetensorsWriter() = default;

Result<SafetensorsWriter> SafetensorsWriter::create(const std::filesystem::path& path,
                                                    const std::vector<SafetensorsPlan>& plans,
                                                    const std::map<std::string, std::string>& metadata) {
  QW_TRY(AtomicFile file, AtomicFile::create(path));
  auto state = std::make_unique<State>(State{std::move(file), std::vector<State::Span>(plans.size())});
  for (size_t i = 0; i < plans.size(); ++i) state->spans[i].bytes = plan_bytes(plans[i]);
  Json header = Json::object();
  if (!metadata.empty()) header["__metadata__"] = metadata;
  int64_t end = 0;
  for (const size_t i : layout_order(plans)) {
    state->spans[i].begin = end;
    end += state->spans[i].bytes;
    header[plans[i].name] = {
        {"dtype", plans[i].dtype}, {"shape", plans[i].shape}, {"data_offsets", {state->spans[i].begin, end}}};
  }
  std::string text = header.dump(-1, ' ', false, Json::error_handler_t::replace);
  text.append((8 - text.size() % 8) % 8, ' ');
  for (State::Span& s : state->spans) s.begin += 8 + static_cast<int64_t>(text.size());

  const uint64_t length = text.size();
  QW_TRY(state->file.write(0, std::as_bytes(std::span(&length, 1))));
  QW_TRY(state->file.write(8, std::as_bytes(std::span(text))));
  return SafetensorsWriter(std::move(state));
}

Status SafetensorsWriter::write(size_t plan_index, int64_t offset, std::span<const std::byte> bytes) {
  QW_CHECK(state_ && plan_index < state_->spans.size());
  State::Span& s = state_->spans[plan_index];
  const auto n = static_cast<int64_t>(bytes.size());
  QW_CHECK(offset >= 0 && offset <= s.bytes && n <= s.bytes - offset, "tensor {}: {} + {} of {} bytes",
           plan_index, offset, n, s.bytes);
  QW_TRY(state_->file.write(s.begin + offset, bytes));
  s.written += n;
  return {};
}

Status SafetensorsWriter::write(size_t plan_index, int64_t first_element, std::span<const float> values) {
  return write(plan_index, first_element * static_cast<int64_t>(sizeof(float)), std::as_bytes(values));
}

Status SafetensorsWriter::finish() {
  QW_CHECK(state_ != nullptr);
  State& s = *state_;
  for (size_t i = 0; i < s.spans.size(); ++i)
    QW_CHECK(s.spans[i].written == s.spans[i].bytes, "tensor {}: {} of {} bytes written", i,
             s.spans[i].written, s.spans[i].bytes);
  return s.file.commit();
}

}  // namespace qw
