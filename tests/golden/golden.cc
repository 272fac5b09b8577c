#include "golden/golden.h"

#include <fmt/format.h>
#include <fmt/ranges.h>

#include <algorithm>
#include <cmath>
#include <cstring>

namespace qw::golden {

std::filesystem::path data_folder() {
  return std::filesystem::path(QW_SOURCE_DIR) / "tests" / "golden" / "data";
}

const Json& manifest() {
  static const Json parsed = [] {
    Result<Json> r = parse_json_file(data_folder() / "manifest.json");
    return r && r->is_object() ? *std::move(r) : Json::object();
  }();
  return parsed;
}

std::vector<Case> cases(std::string_view group) {
  std::vector<Case> out;
  const auto found = manifest().find(std::string(group));
  if (found == manifest().end()) return out;
  for (const Json& entry : *found) out.push_back({entry["name"].get<std::string>(), entry});
  return out;
}

std::string test_name(std::string_view case_name) {
  std::string out(case_name);
  std::replace(out.begin(), out.end(), '.', '_');
  return out;
}

Expected::Expected(const std::filesystem::path& file) : file_(file.string()) {
  auto opened = SafetensorsFile::open(file);
  if (opened) {
    data_ = *std::move(opened);
  } else {
    ADD_FAILURE() << opened.error().debug();
  }
}

bool Expected::has(std::string_view name) const {
  return data_ && data_->content().tensors.contains(name);
}

template <class T>
Host<T> Expected::read(std::string_view name, std::string_view dtype) {
  asked_.emplace(name);
  if (!has(name)) {
    ADD_FAILURE() << file_ << " has no tensor " << name;
    return {};
  }
  const SafetensorsTensor& t = data_->content().tensors.find(name)->second;
  if (t.dtype != dtype) {
    ADD_FAILURE() << file_ << ": " << name << " is " << t.dtype << ", expected " << dtype;
    return {};
  }
  Host<T> out{t.shape, std::vector<T>(t.bytes.size() / sizeof(T))};
  if (!t.bytes.empty()) std::memcpy(out.values.data(), t.bytes.data(), t.bytes.size());
  return out;
}

Host<float> Expected::f32(std::string_view name) {
  return read<float>(name, "F32");
}
Host<double> Expected::f64(std::string_view name) {
  return read<double>(name, "F64");
}
Host<uint8_t> Expected::u8(std::string_view name) {
  return read<uint8_t>(name, "U8");
}
std::vector<int32_t> Expected::ids(std::string_view name) {
  const Host<int64_t> wide = read<int64_t>(name, "I64");
  return {wide.values.begin(), wide.values.end()};
}

std::vector<std::string> Expected::names(std::string_view prefix) const {
  std::vector<std::string> out;
  if (!data_) return out;
  for (const auto& [name, tensor] : data_->content().tensors)
    if (name.starts_with(prefix)) out.push_back(name);
  return out;
}

std::vector<std::string> Expected::unread(const std::vector<std::string>& but) const {
  std::vector<std::string> out = names("");
  std::erase_if(out, [&](const std::string& name) {
    return asked_.contains(name) || std::any_of(but.begin(), but.end(), [&](const std::string& prefix) {
             return name.starts_with(prefix);
           });
  });
  return out;
}

namespace {

// "[2, 5]" for the flat index of an element.
std::string position(size_t index, const std::vector<int64_t>& shape) {
  std::vector<int64_t> at(shape.size());
  auto rest = static_cast<int64_t>(index);
  for (size_t i = shape.size(); i-- > 0;) {
    at[i] = rest % shape[i];
    rest /= shape[i];
  }
  return fmt::format("[{}]", fmt::join(at, ", "));
}

}  // namespace

testing::AssertionResult compare(std::string_view name, const Host<float>& got, const Host<float>& want,
                                 double tolerance) {
  const std::string shape = fmt::format("[{}]", fmt::join(want.shape, ", "));
  if (got.values.size() != want.values.size())
    return testing::AssertionFailure()
           << fmt::format("{}: [{}] instead of {}", name, fmt::join(got.shape, ", "), shape);
  size_t bad = 0, first = 0, worst = 0;
  double largest = 0;
  for (size_t i = 0; i < want.values.size(); ++i) {
    const double d = std::fabs(double{got.values[i]} - double{want.values[i]});
    if (d <= tolerance) continue;
    if (bad++ == 0) first = i;
    if (!(d <= largest)) {
      largest = d;
      worst = i;
    }
  }
  if (bad == 0) return testing::AssertionSuccess();
  return testing::AssertionFailure() << fmt::format(
             "{} {}: {} of {} values differ by more than {:g}; first at {}: {:.9g}, expected {:.9g}; largest "
             "difference "
             "{:.3g} at {}",
             name, shape, bad, want.values.size(), tolerance, position(first, want.shape), got.values[first],
             want.values[first], largest, position(worst, want.shape));
}

double max_difference(const Host<float>& got, const Host<float>& want) {
  if (got.values.size() != want.values.size()) return std::nan("");
  double largest = 0;
  for (size_t i = 0; i < want.values.size(); ++i) {
    const double d = std::fabs(double{got.values[i]} - double{want.values[i]});
    if (!(d <= largest)) largest = d;
  }
  return largest;
}

Host<float> last_rows(const Host<float>& matrix, int64_t n) {
  if (matrix.shape.size() != 2 || matrix.shape[0] < n) {
    ADD_FAILURE() << "last_rows(" << n << ") of a tensor that has fewer";
    return {};
  }
  const int64_t skip = (matrix.shape[0] - n) * matrix.shape[1];
  return {{n, matrix.shape[1]}, {matrix.values.begin() + skip, matrix.values.end()}};
}

}  // namespace qw::golden
