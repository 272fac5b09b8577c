#include "io/generation.h"

#include <algorithm>
#include <cmath>
#include <limits>

namespace qw {
namespace {

tl::unexpected<Error> bad_value(std::string_view file, std::string_view key, const Json& found) {
  std::string text = to_json_line(found);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return fail("generation.value", {{"file", file}, {"key", key}, {"found", text}});
}

std::optional<int32_t> as_id(const Json& v) {
  if (!v.is_number_integer()) return std::nullopt;
  if (v.is_number_unsigned() && v.get<uint64_t>() > std::numeric_limits<int32_t>::max()) return std::nullopt;
  const auto id = v.get<int64_t>();
  if (id < 0) return std::nullopt;
  return static_cast<int32_t>(id);
}

// Numbers that the sampler can use: finite, `min` or more.
Status read_number(const Json& j, std::string_view file, const char* key, double min,
                   std::optional<double>& out) {
  const auto it = j.find(key);
  if (it == j.end() || it->is_null()) return {};
  if (!it->is_number() || !std::isfinite(it->get<double>()) || it->get<double>() < min)
    return bad_value(file, key, *it);
  out = it->get<double>();
  return {};
}

}  // namespace

void normalize_stop_ids(GenerationDefaults& g) {
  std::sort(g.stop_ids.begin(), g.stop_ids.end());
  g.stop_ids.erase(std::unique(g.stop_ids.begin(), g.stop_ids.end()), g.stop_ids.end());
}

Status add_stop_ids(const Json& config, std::string_view file, GenerationDefaults& to) {
  if (!config.is_object()) return {};
  const auto it = config.find("eos_token_id");
  if (!to.stop_ids.empty() || it == config.end() || it->is_null()) return {};
  const Json list = it->is_array() ? *it : Json::array({*it});
  for (const Json& item : list) {
    const std::optional<int32_t> id = as_id(item);
    if (!id) return bad_value(file, "eos_token_id", *it);
    to.stop_ids.push_back(*id);
  }
  normalize_stop_ids(to);
  return {};
}

Result<GenerationDefaults> parse_generation_config(const Json& j, std::string_view file) {
  if (!j.is_object()) return bad_value(file, "{}", j);
  GenerationDefaults g;
  QW_TRY(add_stop_ids(j, file, g));
  // The original Qwen: its chat code stops at <|im_end|> and <|im_start|>, whose ids are fixed there, and its
  // generation_config.json names <|endoftext|> alone.
  if (const auto it = j.find("chat_format"); it != j.end() && *it == "chatml") {
    g.stop_ids.insert(g.stop_ids.end(), {151644, 151645});
    normalize_stop_ids(g);
  }
  constexpr double kAny = -std::numeric_limits<double>::max();
  QW_TRY(read_number(j, file, "temperature", 0.0, g.temperature));
  QW_TRY(read_number(j, file, "top_p", 0.0, g.top_p));
  QW_TRY(read_number(j, file, "min_p", 0.0, g.min_p));
  QW_TRY(
      read_number(j, file, "repetition_penalty", std::numeric_limits<double>::min(), g.repetition_penalty));
  QW_TRY(read_number(j, file, "presence_penalty", kAny, g.presence_penalty));
  QW_TRY(read_number(j, file, "frequency_penalty", kAny, g.frequency_penalty));
  if (const auto it = j.find("top_k"); it != j.end() && !it->is_null()) {
    g.top_k = as_id(*it);
    if (!g.top_k) return bad_value(file, "top_k", *it);
  }
  if (const auto it = j.find("do_sample"); it != j.end() && !it->is_null()) {
    if (!it->is_boolean()) return bad_value(file, "do_sample", *it);
    g.do_sample = it->get<bool>();
  }
  return g;
}

}  // namespace qw
