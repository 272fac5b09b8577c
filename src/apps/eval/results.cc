#include "apps/eval/results.h"

#include <algorithm>
#include <cmath>

#include "apps/chat/graphemes.h"

namespace qw::eval {
namespace {

std::string member(const Json& object, const char* key) {
  return object.contains(key) && object.at(key).is_string() ? object.at(key).get<std::string>() : "";
}

bool flag(const Json& object, const char* key) {
  return object.contains(key) && object.at(key).is_boolean() && object.at(key).get<bool>();
}

int64_t whole(const Json& object, const char* key) {
  return object.contains(key) && object.at(key).is_number_integer() ? object.at(key).get<int64_t>() : 0;
}

void merge(Group& to, const Group& from) {
  to.items += from.items;
  to.passed += from.passed;
  to.passed_per_byte += from.passed_per_byte;
  to.nll += from.nll;
  to.tokens += from.tokens;
  to.bytes += from.bytes;
}

std::string percent(int64_t part, int64_t all) {
  return fmt::format("{:.1f} %",
                     100.0 * static_cast<double>(part) / static_cast<double>(std::max<int64_t>(1, all)));
}

double perplexity(const Group& g) {
  return std::exp(g.nll / static_cast<double>(std::max<int64_t>(1, g.tokens)));
}

double bits_per_byte(const Group& g) {
  return g.nll / std::log(2.0) / static_cast<double>(std::max<int64_t>(1, g.bytes));
}

// The cells of a row, from the counts on.
std::vector<std::string> cells(const apps::Console& console, const std::string& kind, const Group& g) {
  if (kind == "perplexity")
    return {fmt::to_string(g.items), "", "",
            console.text("eval.perplexity", {{"perplexity", fmt::format("{:.3f}", perplexity(g))},
                                             {"bits", fmt::format("{:.4f}", bits_per_byte(g))}})};
  const std::string more =
      kind == "choice" ? console.text("eval.per_byte", {{"percent", percent(g.passed_per_byte, g.items)}})
                       : std::string();
  return {fmt::to_string(g.items), fmt::to_string(g.passed), percent(g.passed, g.items), more};
}

std::string padded(const std::string& text, size_t width, bool right) {
  const auto shown = static_cast<size_t>(chat::text_cells(text));
  const std::string space(width > shown ? width - shown : 0, ' ');
  return right ? space + text : text + space;
}

}  // namespace

void Summary::add(const Json& result) {
  Group one{.items = 1, .passed = flag(result, "pass") ? 1 : 0};
  one.passed_per_byte = flag(result, "pass_per_byte") ? 1 : 0;
  one.tokens = whole(result, "tokens");
  one.bytes = whole(result, "bytes");
  if (result.contains("nll") && result.at("nll").is_number()) one.nll = result.at("nll").get<double>();
  merge(groups_[{member(result, "kind"), member(result, "skill"), member(result, "language")}], one);
  ++items_;
}

std::string Summary::table(const apps::Console& console) const {
  std::vector<std::vector<std::string>> rows{{console.text("eval.kind"), console.text("eval.skill"),
                                              console.text("eval.language"), console.text("eval.items"),
                                              console.text("eval.passed"), "%", ""}};
  std::map<std::string, std::pair<int, Group>> kinds;
  const auto add = [&](std::vector<std::string> names, const Group& g) {
    const std::vector<std::string> more = cells(console, names.front(), g);
    names.insert(names.end(), more.begin(), more.end());
    rows.push_back(std::move(names));
  };
  for (const auto& [key, group] : groups_) {
    const auto& [kind, skill, language] = key;
    add({kind, chat::printable(skill), chat::printable(language)}, group);
    ++kinds[kind].first;
    merge(kinds[kind].second, group);
  }
  for (const auto& [kind, all] : kinds)
    if (all.first > 1) add({kind, console.text("eval.all"), ""}, all.second);
  std::vector<size_t> widths(rows.front().size());
  for (const auto& row : rows)
    for (size_t i = 0; i < row.size(); ++i)
      widths[i] = std::max(widths[i], static_cast<size_t>(chat::text_cells(row[i])));
  std::string out;
  for (const auto& row : rows) {
    std::string line;
    for (size_t i = 0; i < row.size(); ++i)
      if (widths[i] > 0) line += padded(row[i], widths[i], i >= 3 && i <= 5) + "  ";
    line.erase(line.find_last_not_of(' ') + 1);
    out += line + "\n";
  }
  return out;
}

Json Summary::json() const {
  Json out = Json::array();
  for (const auto& [key, g] : groups_) {
    const auto& [kind, skill, language] = key;
    Json row{{"kind", kind}, {"skill", skill}, {"language", language}, {"items", g.items}};
    if (kind == "perplexity") {
      row.update({{"nll", g.nll},
                  {"tokens", g.tokens},
                  {"bytes", g.bytes},
                  {"perplexity", perplexity(g)},
                  {"bits_per_byte", bits_per_byte(g)}});
    } else {
      row["passed"] = g.passed;
      if (kind == "choice") row["passed_per_byte"] = g.passed_per_byte;
    }
    out.push_back(std::move(row));
  }
  return out;
}

Result<ResultFile> ResultFile::open(const std::string& file, const Json& header) {
  QW_TRY(Descriptor fd, chat::open_append(file));
  ResultFile out(file, std::move(fd));
  if (!chat::lock(out.fd_, false)) return fail("eval.in_use", {{"file", file}});
  QW_TRY(const std::string content, chat::read_all(out.fd_, file));
  const size_t whole = content.rfind('\n') + 1;  // 0 where there is no newline
  if (whole == 0 && !to_json_line(header).starts_with(content))
    return fail("eval.other_run", {{"file", file}});
  bool headed = false;
  for (size_t begin = 0; begin < whole;) {
    const size_t end = content.find('\n', begin);
    const Result<Json> line = parse_json(std::string_view(content).substr(begin, end - begin), file);
    begin = end + 1;
    if (headed && line && line->is_object()) out.found_.push_back(*line);
    if (headed) continue;
    for (const char* key : {"t", "model", "tasks", "options"})
      if (!line || !line->is_object() || !line->contains(key) || line->at(key) != header.at(key))
        return fail("eval.other_run", {{"file", file}});
    headed = true;
    out.date_ = member(*line, "date");
  }
  if (whole < content.size()) QW_TRY(chat::cut(out.fd_, whole, file));
  if (headed) return out;
  QW_TRY(out.append(header));
  out.date_ = member(header, "date");
  return out;
}

Status ResultFile::append(const Json& result) {
  return chat::append_line(fd_, to_json_line(result), file_);
}

}  // namespace qw::eval
