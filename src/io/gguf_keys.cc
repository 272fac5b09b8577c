#include "io/gguf_keys.h"

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

}  // namespace qw
