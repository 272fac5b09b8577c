// What a run leaves to read: log.jsonl, one object a line, and report.html made from it. Test:
// tests/train/trainer_test.cc
#pragma once

#include <filesystem>
#include <string>
#include <vector>

#include "base/descriptor.h"
#include "base/json.h"

namespace qw::train {

// A step: {"step","loss","lr","grad_norm","tokens","tok_s", further figures of the objective}. An evaluation:
// {"step","eval_loss", …}. Each line is on its way to the disk when append() returns.
class RunLog {
 public:
  // Opens (makes) the file and drops what was logged behind step `done`, torn last lines included. Errors:
  // file.write, file.open.
  static Result<RunLog> open(const std::filesystem::path& file, int64_t done);

  Status append(const Json& line);
  const std::vector<Json>& lines() const { return lines_; }

 private:
  RunLog(std::filesystem::path file, Descriptor fd, std::vector<Json> lines)
      : file_(std::move(file)), fd_(std::move(fd)), lines_(std::move(lines)) {}

  std::filesystem::path file_;
  Descriptor fd_;
  std::vector<Json> lines_;
};

// A page that needs nothing but itself: curves of loss (with evaluations), learning rate, gradient norm and
// speed, and the configuration. `title` and `config` are escaped.
std::string report_html(const std::string& title, const std::vector<Json>& lines, const Json& config);

}  // namespace qw::train
