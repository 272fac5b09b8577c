#include "text/jinja/attribute_path.h"

#include "text/jinja/args.h"
#include "text/jinja/strings.h"
#include "text/jinja/unicode.h"

namespace qw::text::jinja {
namespace {

bool all_digits(std::string_view text) {
  for (size_t i = 0; i < text.size();)
    if (!has(next_cp(text, i), kDigit)) return false;
  return !text.empty();
}

}  // namespace

Value without_case(Interpreter& in, const Value& v) {
  if (!v.is_string()) return v;
  in.heap().touch(v.text().size());
  return in.heap().string(to_lower(v.text()), v.str->markup);
}

AttributePath::AttributePath(Interpreter& in, const Value& attribute, bool lower, const Value& fallback)
    : lower_(lower), fallback_(given(fallback) ? fallback : Value::missing()) {
  if (!given(attribute)) return;
  if (!attribute.is_string()) {
    parts_.push_back(attribute);
    return;
  }
  for (const std::string_view part : split_text(attribute.text(), ".", -1)) {
    const bool position = all_digits(part) && part.size() < 19;
    parts_.push_back(position ? in.heap().integer(BigInt::parse(part)) : in.heap().string_view(part));
  }
}

Value AttributePath::get(Interpreter& in, Value item) const {
  for (const Value& part : parts_) {
    item = in.item(item, part);
    if (!fallback_.is(Kind::missing) && item.is(Kind::undefined)) item = fallback_;
  }
  return lower_ ? without_case(in, item) : item;
}

std::vector<AttributePath> AttributePath::list(Interpreter& in, const Value& attribute, bool lower) {
  std::vector<AttributePath> out;
  if (attribute.is_string()) {
    for (const std::string_view part : split_text(attribute.text(), ",", -1))
      out.emplace_back(in, in.heap().string_view(part), lower);
  } else {
    out.emplace_back(in, attribute, lower);
  }
  return out;
}

}  // namespace qw::text::jinja
