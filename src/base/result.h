// Result<T>: a value, or an Error for causes outside our code (file, config, request, environment).
// An Error is a code and named arguments; the sentence a person reads is made in apps/ from the message
// catalogue (src/apps/messages/*.inc), so nothing below apps/ holds English or Chinese prose. Test:
// tests/base/result_test.cc
#pragma once

#include <fmt/format.h>

#include <initializer_list>
#include <string>
#include <string_view>
#include <tl/expected.hpp>
#include <utility>
#include <vector>

namespace qw {

// One named argument of an error, already as text: {"file", path}, {"expected", "[576, 192]"}.
struct ErrorArg {
  std::string name;
  std::string value;

  ErrorArg(std::string_view arg_name, std::string_view text) : name(arg_name), value(text) {}
  ErrorArg(std::string_view arg_name, const char* text) : name(arg_name), value(text) {}
  template <class T>
  requires requires(const T& v) { fmt::to_string(v); }
  ErrorArg(std::string_view arg_name, const T& v) : name(arg_name), value(fmt::to_string(v)) {}
};

// A failure whose cause lies outside our code. `code` is "room.what" in lower_snake ("gguf.truncated"); it is
// stable, never translated, and has one row in the catalogue whose placeholders are the names of `args`.
class Error {
 public:
  explicit Error(std::string_view code, std::initializer_list<ErrorArg> args = {})
      : code_(code), args_(args) {}

  const std::string& code() const { return code_; }
  const std::vector<ErrorArg>& args() const { return args_; }

  // The value of argument `name`, "" where there is none.
  std::string_view arg(std::string_view name) const {
    for (const ErrorArg& a : args_)
      if (a.name == name) return a.value;
    return {};
  }
  // Adds an argument on the way up (a caller that knows the file where the callee knew only the key).
  Error& with(std::string_view name, std::string_view value) {
    if (arg(name).empty()) args_.emplace_back(name, value);
    return *this;
  }
  // "code name=value name=value": for logs and tests, not for people.
  std::string debug() const;

 private:
  std::string code_;
  std::vector<ErrorArg> args_;
};

template <class T>
using Result = tl::expected<T, Error>;
using Status = tl::expected<void, Error>;

// fail("gguf.truncated", {{"file", path}}) converts to any Result<T>.
inline tl::unexpected<Error> fail(std::string_view code, std::initializer_list<ErrorArg> args = {}) {
  return tl::unexpected<Error>(Error(code, args));
}

}  // namespace qw

// QW_TRY(expr): returns the error of a Status or Result from this function.
// QW_TRY(auto x, expr): the same, else binds the value to x.
#define QW_TRY_CAT2(a, b) a##b
#define QW_TRY_CAT(a, b) QW_TRY_CAT2(a, b)
#define QW_TRY_1(expr)                                                                                      \
  do {                                                                                                      \
    if (auto qw_try_r = (expr); !qw_try_r) return tl::unexpected<::qw::Error>(std::move(qw_try_r).error()); \
  } while (false)
#define QW_TRY_2(decl, expr)                                                              \
  auto QW_TRY_CAT(qw_try_, __LINE__) = (expr);                                            \
  if (!QW_TRY_CAT(qw_try_, __LINE__))                                                     \
    return tl::unexpected<::qw::Error>(std::move(QW_TRY_CAT(qw_try_, __LINE__)).error()); \
  decl = *std::move(QW_TRY_CAT(qw_try_, __LINE__))
#define QW_TRY_PICK(_1, _2, name, ...) name
#define QW_TRY(...) QW_TRY_PICK(__VA_ARGS__, QW_TRY_2, QW_TRY_1)(__VA_ARGS__)
