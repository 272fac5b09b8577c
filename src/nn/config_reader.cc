#include "nn/config_reader.h"

#include <cmath>
#include <limits>

namespace qw::nn {
namespace {

std::string shown(const Json& value) {
  std::string text = value.dump(-1, ' ', false, Json::error_handler_t::replace);
  if (text.size() > 80) text = text.substr(0, 77) + "...";
  return text;
}

}  // namespace

void ConfigReader::error(Error e) {
  if (!error_) error_ = std::move(e);
}

void ConfigReader::absorb(const ConfigReader& nested) {
  if (nested.error_) error(*nested.error_);
  for (Error& e : nested.unknown_keys()) nested_unknown_.push_back(std::move(e));
}

Status ConfigReader::status() const {
  if (error_) return tl::unexpected<Error>(*error_);
  return {};
}

const Json* ConfigReader::find(std::string_view key) {
  read_.emplace(key);
  if (!json_.is_object()) return nullptr;
  const auto it = json_.find(std::string(key));
  return it == json_.end() || it->is_null() ? nullptr : &*it;
}

template <class T>
T ConfigReader::value(std::string_view key, const std::optional<T>& reference_default,
                      bool (Json::*is)() const, std::string_view type) {
  const Json* v = find(key);
  if (v == nullptr) {
    if (!reference_default) error(Error("config.missing", {{"key", full(key)}}));
    return reference_default.value_or(T{});
  }
  if (!(v->*is)()) {
    error(Error("config.type", {{"key", full(key)}, {"expected", type}, {"found", shown(*v)}}));
    return T{};
  }
  return v->get<T>();
}

int ConfigReader::integer(std::string_view key, std::optional<int> reference_default) {
  const std::optional<int64_t> wide =
      reference_default ? std::optional<int64_t>(*reference_default) : std::nullopt;
  const auto v = value<int64_t>(key, wide, &Json::is_number_integer, "an integer");
  const bool absent = !has(key);
  if (!error_ && !absent && (v < 1 || v > std::numeric_limits<int>::max()))
    error(Error("config.range", {{"key", full(key)}, {"found", v}}));
  return error_ ? 1 : static_cast<int>(v);
}

double ConfigReader::number(std::string_view key, std::optional<double> reference_default) {
  const double v = value<double>(key, reference_default, &Json::is_number, "a number");
  if (!std::isfinite(v)) error(Error("config.range", {{"key", full(key)}, {"found", v}}));
  return v;
}

bool ConfigReader::boolean(std::string_view key, std::optional<bool> reference_default) {
  return value<bool>(key, reference_default, &Json::is_boolean, "true or false");
}

std::string ConfigReader::string(std::string_view key, std::optional<std::string> reference_default) {
  return value<std::string>(key, reference_default, &Json::is_string, "a string");
}

std::optional<int> ConfigReader::optional_integer(std::string_view key) {
  if (find(key) == nullptr) return std::nullopt;
  return integer(key);
}

std::optional<double> ConfigReader::optional_number(std::string_view key) {
  if (find(key) == nullptr) return std::nullopt;
  return number(key);
}

std::vector<double> ConfigReader::numbers(std::string_view key) {
  const auto list = value<Json>(key, std::nullopt, &Json::is_array, "a list of numbers");
  std::vector<double> out;
  for (const Json& item : list) {
    if (!item.is_number()) {
      error(Error("config.type",
                  {{"key", full(key)}, {"expected", "a list of numbers"}, {"found", shown(item)}}));
      return {};
    }
    out.push_back(item.get<double>());
  }
  return out;
}

std::vector<int> ConfigReader::integers(std::string_view key) {
  const auto list = value<Json>(key, Json::array(), &Json::is_array, "a list of integers");
  std::vector<int> out;
  for (const Json& item : list) {
    const bool fits = item.is_number_integer() && item.get<int64_t>() >= std::numeric_limits<int>::min() &&
                      item.get<int64_t>() <= std::numeric_limits<int>::max();
    if (!fits) {
      error(Error("config.type",
                  {{"key", full(key)}, {"expected", "a list of integers"}, {"found", shown(item)}}));
      return {};
    }
    out.push_back(item.get<int>());
  }
  return out;
}

std::vector<std::string> ConfigReader::strings(std::string_view key) {
  const auto list = value<Json>(key, Json::array(), &Json::is_array, "a list of strings");
  std::vector<std::string> out;
  for (const Json& item : list) {
    if (!item.is_string()) {
      error(Error("config.type",
                  {{"key", full(key)}, {"expected", "a list of strings"}, {"found", shown(item)}}));
      return {};
    }
    out.push_back(item.get<std::string>());
  }
  return out;
}

const Json* ConfigReader::object(std::string_view key) {
  const Json* v = find(key);
  if (v != nullptr && !v->is_object()) {
    error(Error("config.type", {{"key", full(key)}, {"expected", "an object"}, {"found", shown(*v)}}));
    return nullptr;
  }
  return v;
}

void ConfigReader::only(std::string_view key, std::initializer_list<Json> allowed) {
  const Json* v = find(key);
  if (v == nullptr) return;
  std::string expected;
  for (const Json& a : allowed) {
    if (*v == a) return;
    expected += (expected.empty() ? "" : ", ") + shown(a);
  }
  error(Error("config.value", {{"key", full(key)}, {"found", shown(*v)}, {"expected", expected}}));
}

void ConfigReader::at_most(std::string_view key, int value, int max) {
  if (value > max) error(Error("config.range", {{"key", full(key)}, {"found", value}}));
}

void ConfigReader::between(std::string_view key, double value, double above, double most) {
  if (!(value > above && value <= most)) error(Error("config.range", {{"key", full(key)}, {"found", value}}));
}

std::vector<Error> ConfigReader::unknown_keys() const {
  std::vector<Error> out = nested_unknown_;
  if (!json_.is_object()) return out;
  for (const auto& [key, value] : json_.items())
    if (!read_.contains(key)) out.push_back(Error("config.unknown_key", {{"key", full(key)}}));
  return out;
}

}  // namespace qw::nn
