// Reads JSON as a stream of events, for files whose number of keys is in the attacker's or the checkpoint's
// hand: no tree is built, nothing recurses, and a duplicate key can be refused. Test:
// tests/io/safetensors_test.cc
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace qw {

class JsonEvents {
 public:
  virtual ~JsonEvents() = default;

  // Parses `text` through the on_… functions. Errors: the one given to stop(), or `code` (args file, offset)
  // where the text is not JSON.
  Status read(std::string_view text, std::string_view code, std::string_view file);

 protected:
  // Each answers false after stop(). depth() counts the containers around the value; path() holds the keys of
  // the objects around it, outermost first (an array adds none).
  virtual bool on_begin(bool object) = 0;
  virtual bool on_string(std::string& value) = 0;
  virtual bool on_unsigned(uint64_t value) = 0;
  virtual bool on_other() = 0;  // null, true, false, a negative or a fractional number

  size_t depth() const { return containers_.size(); }
  const std::vector<std::string>& path() const { return path_; }
  bool stop(Error error) {
    error_ = std::move(error);
    return false;
  }

 private:
  friend struct JsonEventsAdapter;
  std::vector<bool> containers_;  // true: object
  std::vector<std::string> path_;
  std::optional<Error> error_;
};

}  // namespace qw
