#include "io/safetensors_writer.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstring>
#include <numeric>
#include <utility>

#include "base/check.h"
#include "base/json.h"
#include "io/safetensors.h"

namespace qw {

struct SafetensorsWriter::State {
  struct Span {
    int64_t begin = 0;  // in the file
    int64_t bytes = 0;
    int64_t written = 0;
  };
  std::filesystem::path path;
  std::string temp;
  int fd = -1;
  std::vector<Span> spans;

  ~State() {
    if (fd < 0) return;
    ::close(fd);
    ::unlink(temp.c_str());
  }
  tl::unexpected<Error> error() const {
    return fail("file.write", {{"file", path.string()}, {"reason", std::strerror(errno)}});
  }
  Status put(int64_t offset, std::span<const std::byte> bytes) const {
    while (!bytes.empty()) {
      const ssize_t n = ::pwrite(fd, bytes.data(), bytes.size(), offset);
      if (n < 0 && errno == EINTR) continue;
      if (n < 0) return error();
      offset += n;
      bytes = bytes.subspan(static_cast<size_t>(n));
    }
    return {};
  }
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
  auto state = std::make_unique<State>();
  state->path = path;
  state->spans.resize(plans.size());
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

  state->temp = path.string() + ".XXXXXX";
  state->fd = ::mkstemp(state->temp.data());
  if (state->fd < 0) return state->error();
  const uint64_t length = text.size();
  QW_TRY(state->put(0, std::as_bytes(std::span(&length, 1))));
  QW_TRY(state->put(8, std::as_bytes(std::span(text))));
  return SafetensorsWriter(std::move(state));
}

Status SafetensorsWriter::write(size_t plan_index, int64_t offset, std::span<const std::byte> bytes) {
  QW_CHECK(state_ && plan_index < state_->spans.size());
  State::Span& s = state_->spans[plan_index];
  const auto n = static_cast<int64_t>(bytes.size());
  QW_CHECK(offset >= 0 && offset <= s.bytes && n <= s.bytes - offset, "tensor {}: {} + {} of {} bytes",
           plan_index, offset, n, s.bytes);
  QW_TRY(state_->put(s.begin + offset, bytes));
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
  const mode_t mask = ::umask(0);
  ::umask(mask);
  if (::fchmod(s.fd, 0666 & ~mask) != 0 || ::fsync(s.fd) != 0 ||
      ::rename(s.temp.c_str(), s.path.c_str()) != 0)
    return s.error();
  ::close(s.fd);
  s.fd = -1;
  return {};
}

}  // namespace qw
