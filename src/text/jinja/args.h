// Binding of call arguments to parameters, with Python's rules and messages.
#pragma once

#include <array>

#include "text/jinja/interpreter.h"

namespace qw::text::jinja {

// How a builtin takes its arguments: names in order; the first `required` must be given, the first
// `positional_only` cannot be given by name.
struct Signature {
  std::string_view function;
  size_t required = 0;
  size_t positional_only = 0;
};

// Absent arguments are Kind::missing.
template <size_t N>
std::array<Value, N> bind(const Signature& sig, const Args& args, const char* const (&names)[N]) {
  std::array<Value, N> out;
  out.fill(Value::missing());
  if (args.positional.size() > N)
    type_error("{}() takes at most {} arguments ({} given)", sig.function, N, args.positional.size());
  for (size_t i = 0; i < args.positional.size(); ++i) out[i] = args.positional[i];
  for (const Keyword& keyword : args.keywords) {
    size_t i = sig.positional_only;
    while (i < N && keyword.name != names[i]) ++i;
    if (i == N) type_error("{}() got an unexpected keyword argument '{}'", sig.function, keyword.name);
    if (!out[i].is(Kind::missing))
      type_error("{}() got multiple values for argument '{}'", sig.function, names[i]);
    out[i] = keyword.value;
  }
  for (size_t i = 0; i < sig.required; ++i)
    if (out[i].is(Kind::missing)) type_error("{}() missing required argument: '{}'", sig.function, names[i]);
  return out;
}

inline void bind_none(std::string_view function, const Args& args) {
  if (!args.positional.empty() || !args.keywords.empty()) type_error("{}() takes no arguments", function);
}

inline Value value_or(const Value& v, const Value& fallback) {
  return v.is(Kind::missing) ? fallback : v;
}
inline bool truth_or(const Value& v, bool fallback) {
  return v.is(Kind::missing) ? fallback : truth(v);
}
// Absent or none: `fallback`.
inline bool given(const Value& v) {
  return !v.is(Kind::missing) && !v.is(Kind::none);
}

inline std::string_view need_text(const Value& v, std::string_view what) {
  if (v.is(Kind::undefined)) type_error("{} must be str, not Undefined", what);
  if (!v.is_string()) type_error("{} must be str, not {}", what, type_name(v));
  return v.text();
}

}  // namespace qw::text::jinja
