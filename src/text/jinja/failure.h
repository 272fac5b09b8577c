// How the interpreter gives up: a Failure is thrown inside jinja/ and caught by ChatTemplate, which turns it
// into a Result; it never crosses the API. The Python class of an error matters where jinja2 itself catches
// some classes only.
#pragma once

#include <fmt/format.h>

#include <cstddef>
#include <string>
#include <utility>

namespace qw::text::jinja {

// One error code each: template.syntax, template.runtime, template.raised (raise_exception), template.limit.
enum class Fault { syntax, runtime, raised, limit };

enum class PyClass { other, type, value, lookup, overflow, undefined };

inline constexpr size_t kNoOffset = ~size_t{0};

struct Failure {
  Fault fault;
  PyClass py;
  std::string message;
  size_t offset =
      kNoOffset;  // byte in the normalised source; the interpreter fills it in where it is unknown
};

template <class... A>
[[noreturn]] void fail_syntax(size_t offset, fmt::format_string<A...> text, A&&... args) {
  throw Failure{Fault::syntax, PyClass::other, fmt::format(text, std::forward<A>(args)...), offset};
}

template <class... A>
[[noreturn]] void fail_runtime(PyClass py, fmt::format_string<A...> text, A&&... args) {
  throw Failure{Fault::runtime, py, fmt::format(text, std::forward<A>(args)...)};
}

template <class... A>
[[noreturn]] void type_error(fmt::format_string<A...> text, A&&... args) {
  fail_runtime(PyClass::type, text, std::forward<A>(args)...);
}

template <class... A>
[[noreturn]] void value_error(fmt::format_string<A...> text, A&&... args) {
  fail_runtime(PyClass::value, text, std::forward<A>(args)...);
}

[[noreturn]] inline void fail_limit(const char* what) {
  throw Failure{Fault::limit, PyClass::other, what};
}

}  // namespace qw::text::jinja
