// Evaluation items: the declared format of docs/eval.md, one JSON object a line.
// Test: tests/apps/eval_task_test.cc
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/json.h"

namespace qw::eval {

enum class Kind : uint8_t { exact, choice, tool_call, refusal, perplexity };
std::string_view kind_name(Kind kind);

enum class Match : uint8_t { equal, contains, prefix };

// What the first line of a task file may set for all its items.
struct Settings {
  std::vector<std::string> refusal_phrases;
  std::string system;  // before messages that have no system turn; "": none
  std::optional<int> max_tokens;
};

struct Item {
  Kind kind = Kind::exact;
  std::string id = {}, skill = {}, language = {};
  std::string file = {};  // and line, for errors
  size_t line = 0;

  Json messages = {}, tools = {};          // null: none
  std::optional<std::string> prompt = {};  // choice: plain text instead of messages
  std::vector<std::string> answers = {};   // exact
  Match match = Match::equal;
  bool ignore_case = false;
  std::vector<std::string> choices = {};
  size_t right_choice = 0;
  Json calls = {};  // tool_call: [{"name", "arguments"}]
  bool refuse = false;
  std::vector<std::string> refusal_phrases = {};
  std::string text = {};  // perplexity
  int max_tokens = 0;     // 0: the command's

  bool generates() const { return kind != Kind::choice && kind != Kind::perplexity; }
};

struct TaskFile {
  std::string name;
  std::string sha256;
  std::vector<Item> items;
  std::vector<Error> bad_lines;  // eval.bad_line
};

// One file; `limit`: the first items alone, 0 for all. Errors: file.*, input.read.
Result<TaskFile> read_tasks(const std::string& file, size_t limit);

// Errors: eval.bad_line (args file, line, problem).
Result<Item> parse_item(const Json& line, const Settings& settings, const std::string& file, size_t number);
Result<Settings> parse_settings(const Json& line, const std::string& file, size_t number);

}  // namespace qw::eval
