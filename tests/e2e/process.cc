#include "tests/e2e/process.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <pty.h>
#include <sys/wait.h>
#include <unistd.h>

#include <array>
#include <chrono>
#include <csignal>
#include <cstdlib>
#include <fstream>
#include <optional>
#include <sstream>

#include "base/env.h"

namespace qw::e2e {
namespace {

namespace fs = std::filesystem;
using Clock = std::chrono::steady_clock;

struct Pipe {
  int read_end = -1, write_end = -1;
  Pipe() {
    std::array<int, 2> ends;
    EXPECT_EQ(::pipe2(ends.data(), O_CLOEXEC), 0);
    read_end = ends[0];
    write_end = ends[1];
  }
};

void close_end(int& fd) {
  if (fd >= 0) ::close(fd);
  fd = -1;
}

std::vector<std::string> environment(const Input& input, const fs::path& home) {
  std::map<std::string, std::string> env{
      {"PATH", "/usr/bin:/bin"}, {"LANG", "C.UTF-8"}, {"HOME", home.string()}};
  if (const auto isa = qw::env("QW_ISA")) env["QW_ISA"] = *isa;
  for (const auto& [name, value] : input.env) env[name] = value;
  return assignments(env);
}

// The streams of a running child, moved until it has closed its ends.
void pump(const Input& input, pid_t child, Pipe& in, Pipe& out, Pipe& err, Ran& ran) {
  std::string_view rest = input.in;
  std::optional<Clock::time_point> interrupt_at;
  bool interrupted = false;
  if (rest.empty()) close_end(in.write_end);
  while (out.read_end >= 0 || err.read_end >= 0) {
    std::array<pollfd, 3> fds{
        {{in.write_end, POLLOUT, 0}, {out.read_end, POLLIN, 0}, {err.read_end, POLLIN, 0}}};
    ::poll(fds.data(), fds.size(), 20);
    if (!interrupted && input.interrupt_when && input.interrupt_when()) {
      ::kill(child, SIGINT);
      interrupted = true;
    }
    if (interrupt_at && Clock::now() >= *interrupt_at) {
      ::kill(child, SIGINT);
      interrupt_at.reset();
    }
    if (fds[0].revents != 0) {
      const ssize_t n = ::write(in.write_end, rest.data(), std::min<size_t>(rest.size(), 4096));
      rest.remove_prefix(n > 0 ? static_cast<size_t>(n) : rest.size());
      if (rest.empty()) close_end(in.write_end);
    }
    for (const auto& [fd, text] : {std::pair(&out.read_end, &ran.out), std::pair(&err.read_end, &ran.err)}) {
      if (*fd < 0 || fds[fd == &out.read_end ? 1 : 2].revents == 0) continue;
      std::array<char, 65536> chunk;
      const ssize_t n = ::read(*fd, chunk.data(), chunk.size());
      if (n <= 0) close_end(*fd);
      if (n > 0) text->append(chunk.data(), static_cast<size_t>(n));
      if (n > 0 && text == &ran.out && input.interrupt_after_output > 0 &&
          ran.out.size() == static_cast<size_t>(n))
        interrupt_at = Clock::now() +
                       std::chrono::microseconds(static_cast<int64_t>(input.interrupt_after_output * 1e6));
    }
  }
}

}  // namespace

std::vector<char*> pointers(std::vector<std::string>& strings) {
  std::vector<char*> out;
  for (std::string& s : strings) out.push_back(s.data());
  out.push_back(nullptr);
  return out;
}

std::vector<std::string> assignments(const std::map<std::string, std::string>& env) {
  std::vector<std::string> out;
  for (const auto& [name, value] : env) out.push_back(name + "=" + value);
  return out;
}

Json Ran::json() const {
  const auto value = parse_json(out, "stdout");
  EXPECT_TRUE(value.has_value()) << "stdout: " << out << "\nstderr: " << err;
  return value ? *value : Json();
}

std::vector<Json> Ran::jsonl() const {
  std::vector<Json> values;
  std::istringstream lines(out);
  for (std::string line; std::getline(lines, line);) {
    const auto value = parse_json(line, "stdout");
    EXPECT_TRUE(value.has_value()) << line;
    values.push_back(value ? *value : Json());
  }
  return values;
}

Ran qw(const std::vector<std::string>& args, const Input& input) {
  const TempFolder home;
  std::vector<std::string> words{input.program};
  words.insert(words.end(), args.begin(), args.end());
  std::vector<std::string> variables = environment(input, home.path());
  const std::vector<char*> argv = pointers(words), envp = pointers(variables);
  Pipe in, out, err;
  int stdin_fd = in.read_end, stdout_fd = out.write_end;
  int master = -1, slave = -1;
  if (input.terminal_stdin) {
    EXPECT_EQ(::openpty(&master, &slave, nullptr, nullptr, nullptr), 0);
    stdin_fd = slave;
  }
  if (input.terminal_stderr) {
    close_end(err.read_end);
    close_end(err.write_end);
    EXPECT_EQ(::openpty(&err.read_end, &err.write_end, nullptr, nullptr, nullptr), 0);
    EXPECT_EQ(::fcntl(err.read_end, F_SETFD, FD_CLOEXEC), 0);
  }
  if (!input.out_path.empty()) stdout_fd = ::open(input.out_path.c_str(), O_WRONLY | O_CLOEXEC);
  if (input.close_stdout) close_end(out.read_end);
  ::signal(SIGPIPE, SIG_IGN);
  const pid_t child = ::fork();
  if (child == 0) {
    ::dup2(stdin_fd, 0);
    ::dup2(stdout_fd, 1);
    ::dup2(err.write_end, 2);
    ::signal(SIGPIPE, SIG_DFL);
    ::execve(input.program.c_str(), argv.data(), envp.data());
    ::_exit(127);
  }
  close_end(in.read_end);
  close_end(out.write_end);
  close_end(err.write_end);
  Ran ran;
  pump(input, child, in, out, err, ran);
  close_end(in.write_end);
  int status = 0;
  ::waitpid(child, &status, 0);
  for (int fd : {master, slave, input.out_path.empty() ? -1 : stdout_fd}) close_end(fd);
  ran.status = WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  return ran;
}

fs::path shared(const std::string& name) {
  const fs::path root =
      env("QW_SHARED") ? fs::path(*env("QW_SHARED")) : fs::path(QW_SOURCE_DIR) / "../shared";
  return fs::exists(root / name) ? root / name : fs::path();
}

fs::path smollm2() {
  return shared("models/SmolLM2-135M-Instruct.Q4_1.gguf");
}

TempFolder::TempFolder() {
  std::string pattern = (fs::temp_directory_path() / "qw-e2e-XXXXXX").string();
  path_ = ::mkdtemp(pattern.data());
}

TempFolder::~TempFolder() {
  std::error_code ignored;
  fs::remove_all(path_, ignored);
}

std::string TempFolder::file(const std::string& name, const std::string& content) const {
  fs::create_directories((path_ / name).parent_path());
  std::ofstream(path_ / name, std::ios::binary) << content;
  return (path_ / name).string();
}

std::string install_program(const fs::path& root, const std::string& model) {
  fs::create_directories(root / "bin");
  fs::copy_file(QW_PROGRAM, root / "bin/qw");
  if (!model.empty()) {
    fs::create_directories(root / "share/qw/models/nano");
    fs::copy_file(model, root / "share/qw/models/nano/nano.gguf");
  }
  return (root / "bin/qw").string();
}

bool have_terminals() {
  int master = -1;
  int slave = -1;
  if (::openpty(&master, &slave, nullptr, nullptr, nullptr) != 0) return false;
  ::close(master);
  ::close(slave);
  return true;
}

}  // namespace qw::e2e
