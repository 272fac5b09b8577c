// The results of an evaluation: a JSON line each, written as they come and read again when a run is taken up,
// and the table that sums them up. Test: tests/e2e/eval_test.cc, tests/apps/eval_task_test.cc
#pragma once

#include <map>
#include <string>
#include <tuple>
#include <vector>

#include "apps/chat/files.h"
#include "apps/console.h"
#include "apps/eval/task.h"

namespace qw::eval {

// Results of equal kind, skill and language.
struct Group {
  int64_t items = 0;
  int64_t passed = 0;
  int64_t passed_per_byte = 0;  // choice
  double nll = 0;               // perplexity: sum, nats
  int64_t tokens = 0, bytes = 0;
};

class Summary {
 public:
  // A result line.
  void add(const Json& result);
  int64_t items() const { return items_; }
  // A row a group, then one for each kind that has several.
  std::string table(const apps::Console& console) const;
  Json json() const;

 private:
  using Key = std::tuple<std::string, std::string, std::string>;  // kind, skill, language
  std::map<Key, Group> groups_;
  int64_t items_ = 0;
};

// The file of --out: a header line that says what was evaluated, then a line an item.
class ResultFile {
 public:
  // Makes the file, or takes up one whose header names the same model and tasks; a torn last line (of the
  // header too) is cut off. Errors: eval.other_run, eval.in_use (args file), file.open, file.write.
  static Result<ResultFile> open(const std::string& file, const Json& header);
  // The day that its header names ("2026-01-02"): that on which the run began; "" where it names none.
  const std::string& date() const { return date_; }
  // The results that were there.
  const std::vector<Json>& found() const { return found_; }
  // Errors: file.write.
  Status append(const Json& result);

 private:
  ResultFile(std::string file, Descriptor fd) : file_(std::move(file)), fd_(std::move(fd)) {}

  std::string file_;
  Descriptor fd_;
  std::string date_;
  std::vector<Json> found_;
};

}  // namespace qw::eval
