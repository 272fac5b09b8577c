#include "io/gguf/keys.h"

#include <cmath>
#include <limits>

namespace qw {

Result<std::optional<int64_t>> GgufKeys::integer(std::string_view key) const {
  const GgufValue* v = file_.find(key);
  if (!v) return std::optional<int64_t>();
  const auto i = v->as_int();
  if (!i) return bad_type(key, "integer", *v);
  return i;
}

Result<std::optional<double>> GgufKeys::number(std::string_view key) const {
  const GgufValue* v = file_.find(key);
  if (!v) return std::optional<double>();
  const auto d = v->as_number();
  if (!d) return bad_type(key, "f32", *v);
  return d;
}

Result<std::optional<bool>> GgufKeys::flag(std::string_view key) const {
  const GgufValue* v = file_.find(key);
  if (!v) return std::optional<bool>();
  const auto b = v->as_bool();
  if (!b) return bad_type(key, "bool", *v);
  return b;
}

Result<std::optional<std::string_view>> GgufKeys::text(std::string_view key) const {
  const GgufValue* v = file_.find(key);
  if (!v) return std::optional<std::string_view>();
  const auto s = v->as_string();
  if (!s) return bad_type(key, "string", *v);
  return s;
}

Result<std::vector<std::string_view>> GgufKeys::texts(std::string_view key) const {
  const GgufValue* v = file_.find(key);
  if (!v) return std::vector<std::string_view>();
  auto s = v->as_strings();
  if (!s) return bad_type(key, "array of string", *v);
  return *std::move(s);
}

Result<std::vector<int64_t>> GgufKeys::integers(std::string_view key) const {
  const GgufValue* v = file_.find(key);
  if (!v) return std::vector<int64_t>();
  auto i = v->as_ints();
  if (!i) return bad_type(key, "array of i32", *v);
  return *std::move(i);
}

Result<int64_t> GgufKeys::size(std::string_view key, std::optional<int64_t> absent) const {
  QW_TRY(const auto n, integer(key));
  if (!n && absent) return *absent;
  if (!n) return missing(key);
  if (*n < 1 || *n > std::numeric_limits<int32_t>::max())
    return bad_value(key, {"expected", ">= 1"}, {"found", *n});
  return *n;
}

Result<double> GgufKeys::positive(std::string_view key) const {
  QW_TRY(const auto n, number(key));
  if (!n) return missing(key);
  if (!(*n > 0) || !std::isfinite(*n)) return bad_value(key, {"expected", "> 0"}, {"found", *n});
  return *n;
}

Result<double> GgufKeys::epsilon(std::string_view key) const {
  QW_TRY(const auto n, number(key));
  if (!n) return missing(key);
  if (!(*n >= 0 && *n < 1)) return bad_value(key, {"expected", "0..1"}, {"found", *n});
  return *n;
}

Status GgufKeys::check_blocks(std::string_view key, int64_t n) const {
  const auto n_tensors = static_cast<int64_t>(file_.tensors().size());
  if (n > n_tensors) return bad_value(key, {"expected", fmt::format("<= {}", n_tensors)}, {"found", n});
  return {};
}

}  // namespace qw
