#include "apps/ids_input.h"

#include <limits>

#include "apps/console.h"

namespace qw::apps {

Result<std::vector<int32_t>> ids_from_json(const Json& json, std::string_view source) {
  if (!json.is_array()) return fail("ids.not_ids", {{"source", source}, {"found", json.type_name()}});
  std::vector<int32_t> ids;
  ids.reserve(json.size());
  for (const Json& item : json) {
    const bool fits =
        item.is_number_unsigned() && item.get<uint64_t>() <= std::numeric_limits<int32_t>::max();
    if (!fits) return fail("ids.not_ids", {{"source", source}, {"found", to_json_line(item)}});
    ids.push_back(item.get<int32_t>());
  }
  return ids;
}

Result<std::vector<int32_t>> read_ids(std::string_view value) {
  if (value.starts_with('[')) {
    const auto json = parse_json(value, "--ids");
    if (!json) return fail("cli.bad_ids", {{"found", value.substr(0, 40)}});
    const auto ids = ids_from_json(*json, "--ids");
    if (!ids) return fail("cli.bad_ids", {{"found", ids.error().arg("found")}});
    return ids;
  }
  const std::string source = value == "-" ? "stdin" : std::string(value);
  QW_TRY(const std::string text, read_input(std::string(value)));
  QW_TRY(const Json json, parse_json(text, source));
  return ids_from_json(json, source);
}

Status check_ids(const std::vector<int32_t>& ids, int vocab) {
  if (ids.empty()) return fail("ids.none");
  for (const int32_t id : ids)
    if (id >= vocab) return fail("ids.too_large", {{"id", id}, {"vocab", vocab}});
  return {};
}

}  // namespace qw::apps
