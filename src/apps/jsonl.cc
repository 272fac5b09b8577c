#include "apps/jsonl.h"

namespace qw::apps {

Json error_json(const Console& console, const Error& error) {
  return Json{{"error", message(console.lang, error)}, {"code", error.code()}};
}

Status answer_jsonl(Console& console, const NextLine& next,
                    const std::function<Result<Json>(const std::string& line)>& answer) {
  while (true) {
    QW_TRY(const std::optional<std::string> line, next());
    if (!line) return {};
    const Result<Json> result = answer(*line);
    QW_TRY(console.write(to_json_line(result ? *result : error_json(console, result.error())) + "\n"));
  }
}

}  // namespace qw::apps
