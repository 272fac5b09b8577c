// Reading config.json by the rule "never default what the checkpoint must say": an architecture asks for each
// key by type, names the default that the reference class has where there is one, and lists the keys known to
// be harmless. A key nobody asked for is one warning; an unknown value of a key that is read is an error.
// Test: tests/nn/config_reader_test.cc
#pragma once

#include <initializer_list>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace qw::nn {

// Ten times what any released model has; a config must not size memory by itself, before the weights bear it
// out.
inline constexpr int kMaxLayers = 4096;
inline constexpr int kMaxDim = 65536;     // width of a recurrent head, heads of a layer
inline constexpr int kMaxHeadDim = 2048;  // of attention: a kernel's row of one head (kv_store)

class ConfigReader {
 public:
  // `where` prefixes the keys in errors ("rope_parameters."). `json` outlives the reader.
  explicit ConfigReader(const Json& json, std::string where = "") : json_(json), where_(std::move(where)) {}

  // Each marks its key as read. Null counts as absent. The first failure is kept and shown by status();
  // values returned after one are meaningless. Errors: config.missing (key), config.type (key, expected,
  // found), config.range (key, found).
  int integer(std::string_view key, std::optional<int> reference_default = std::nullopt);  // ≥ 1, fits int
  double number(std::string_view key, std::optional<double> reference_default = std::nullopt);
  bool boolean(std::string_view key, std::optional<bool> reference_default = std::nullopt);
  std::string string(std::string_view key, std::optional<std::string> reference_default = std::nullopt);
  std::optional<int> optional_integer(std::string_view key);
  std::optional<double> optional_number(std::string_view key);
  std::vector<double> numbers(std::string_view key);
  std::vector<int> integers(std::string_view key);         // empty where absent
  std::vector<std::string> strings(std::string_view key);  // empty where absent
  const Json* object(std::string_view key);                // null where absent

  bool has(std::string_view key) const {
    return json_.contains(std::string(key)) && !json_[std::string(key)].is_null();
  }
  // The key must be absent or one of `allowed`. Errors: config.value (key, found, expected).
  void only(std::string_view key, std::initializer_list<Json> allowed);
  // `value`, which `key` gave. Errors: config.range (key, found).
  void at_most(std::string_view key, int value, int max);
  // The same for `above` < value ≤ `most`.
  void between(std::string_view key, double value, double above, double most);
  void harmless(std::initializer_list<std::string_view> keys) { read_.insert(keys.begin(), keys.end()); }
  // Takes over the error and the unknown keys of a reader of a nested object.
  void absorb(const ConfigReader& nested);
  // Records an error of the caller's own; the first one stands.
  void error(Error e);

  Status status() const;
  // config.unknown_key (key), one for each key that was neither read nor listed.
  std::vector<Error> unknown_keys() const;

 private:
  const Json* find(std::string_view key);
  template <class T>
  T value(std::string_view key, const std::optional<T>& reference_default, bool (Json::*is)() const,
          std::string_view type);
  std::string full(std::string_view key) const { return where_ + std::string(key); }

  const Json& json_;
  std::string where_;
  std::set<std::string, std::less<>> read_;
  std::optional<Error> error_;
  std::vector<Error> nested_unknown_;
};

}  // namespace qw::nn
