// Runs the real qw binary: stdin given, stdout, stderr and exit status caught. The child sees an environment
// of its own (no QW_*, no locale), an empty home, and no terminal.
#pragma once

#include <filesystem>
#include <functional>
#include <map>
#include <string>
#include <vector>

#include "base/json.h"

namespace qw::e2e {

struct Ran {
  std::string out, err;
  int status = -1;  // the exit status; 128 + n where signal n ended it

  // stdout as JSON; a test failure and null where it is none.
  Json json() const;
  // stdout as one JSON value a line.
  std::vector<Json> jsonl() const;
};

struct Input {
  std::string in = {};
  std::string program = QW_PROGRAM;  // the qw that is run
  std::map<std::string, std::string> env = {};
  std::string out_path = {};                  // stdout goes to this file instead ("/dev/full")
  bool close_stdout = false;                  // stdout is a pipe whose reader is gone
  bool terminal_stdin = false;                // stdin is a terminal (nothing is typed)
  bool terminal_stderr = false;               // stderr is a terminal
  double interrupt_after_output = 0;          // seconds after the first byte of stdout: SIGINT
  std::function<bool()> interrupt_when = {};  // SIGINT once this is true; asked every 20 ms
};

Ran qw(const std::vector<std::string>& args, const Input& input = {});

// For execve: pointers to the strings, which must outlive them, and a null.
std::vector<char*> pointers(std::vector<std::string>& strings);
// "NAME=value" of each.
std::vector<std::string> assignments(const std::map<std::string, std::string>& env);

// Where data of the workshop lies: $QW_SHARED or <source>/../shared. Empty path where `name` is absent.
std::filesystem::path shared(const std::string& name);
// The small real model of ../shared/models, or an empty path.
std::filesystem::path smollm2();
// A folder that lives as long as the object.
class TempFolder {
 public:
  TempFolder();
  ~TempFolder();
  TempFolder(const TempFolder&) = delete;
  TempFolder& operator=(const TempFolder&) = delete;
  std::filesystem::path operator/(const std::string& name) const { return path_ / name; }
  const std::filesystem::path& path() const { return path_; }
  // Writes a file and answers its path.
  std::string file(const std::string& name, const std::string& content) const;

 private:
  std::filesystem::path path_;
};

// A copy of the program below `root`, as an installation has it, with this GGUF file as the model that comes
// with it; "": without one, whatever the source tree has. Answers its path.
std::string install_program(const std::filesystem::path& root, const std::string& model);

// False where no pseudo-terminal can be had (a chroot without /dev/pts): tests that need one then skip.
bool have_terminals();

}  // namespace qw::e2e
