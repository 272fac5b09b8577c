// qw pull as a program: what a person sees, kill -9 at random moments, two at once, a disk that is full,
// ctrl-C.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <unistd.h>

#include <chrono>
#include <csignal>
#include <thread>

#include "base/mmap.h"
#include "base/rng.h"
#include "tests/e2e/process.h"
#include "tests/e2e/pty.h"
#include "tests/hub/fake_hub.h"

namespace qw::e2e {
namespace {

namespace fs = std::filesystem;
using test::random_bytes;
using test::Reply;
using test::Request;

constexpr size_t kBig = 24'000'000;  // several ranges

// The program, started and left alone; stderr goes to a file.
class Child {
 public:
  Child(const std::vector<std::string>& args, const std::map<std::string, std::string>& env,
        const fs::path& err, rlim_t file_limit = RLIM_INFINITY) {
    std::vector<std::string> words{QW_PROGRAM}, variables = assignments(env);
    words.insert(words.end(), args.begin(), args.end());
    const std::vector<char*> argv = pointers(words), envp = pointers(variables);
    const std::string file = err.string();
    pid_ = ::fork();
    if (pid_ != 0) return;
    std::FILE* out = std::freopen(file.c_str(), "w", stderr);
    if (out == nullptr || std::freopen("/dev/null", "w", stdout) == nullptr) ::_exit(126);
    if (file_limit != RLIM_INFINITY) {
      const rlimit limit{file_limit, file_limit};
      ::signal(SIGXFSZ, SIG_IGN);
      if (::setrlimit(RLIMIT_FSIZE, &limit) != 0) ::_exit(125);
    }
    ::execve(QW_PROGRAM, argv.data(), envp.data());
    ::_exit(127);
  }
  ~Child() {
    if (pid_ > 0) kill(SIGKILL), wait();
  }
  void kill(int signal) const { ::kill(pid_, signal); }
  // 128 + n after signal n.
  int wait() {
    int status = 0;
    ::waitpid(std::exchange(pid_, -1), &status, 0);
    return WIFEXITED(status) ? WEXITSTATUS(status) : 128 + WTERMSIG(status);
  }

 private:
  pid_t pid_ = -1;
};

class PullProgram : public testing::Test {
 protected:
  void SetUp() override {
    hub_.add("Qwen/Tiny", {{"config.json", "{\"model_type\":\"qwen3\"}"},
                           {"tokenizer.json", random_bytes(5'000, 1)},
                           {"model.safetensors", big_}});
    env_ = hub_.environment();
    env_["PATH"] = "/usr/bin:/bin";
    env_["LANG"] = "C.UTF-8";
    env_["HOME"] = env_["QW_HOME"] = home_.path().string();
  }
  void slow(int64_t bytes_per_s) {
    hub_.set_fault([bytes_per_s](const Request& r, int, const Reply& good) -> std::optional<Reply> {
      if (!r.target.starts_with("/blob/")) return std::nullopt;
      Reply reply = good;
      reply.bytes_per_s = bytes_per_s;
      return reply;
    });
  }
  fs::path folder() const { return home_.path() / "models/huggingface/Qwen/Tiny/main"; }
  std::string said() const { return read_file(home_.path() / "err").value_or(""); }
  Ran run(std::vector<std::string> args) const { return qw(args, {.env = env_}); }
  void expect_whole() const {
    EXPECT_EQ(read_file(folder() / "model.safetensors").value_or(""), big_);
    EXPECT_TRUE(fs::is_empty(home_.path() / "models/.partial"));
  }

  const std::string big_ = random_bytes(kBig, 2);
  const TempFolder home_;
  test::FakeHub hub_;
  std::map<std::string, std::string> env_;
};

TEST_F(PullProgram, ListsFetchesAndNamesThePlace) {
  const Ran ran = run({"pull", "Qwen/Tiny"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_NE(ran.err.find("apache-2.0"), ran.err.npos) << ran.err;
  EXPECT_NE(ran.err.find("model.safetensors"), ran.err.npos) << ran.err;
  EXPECT_NE(ran.err.find("24.0 MB"), ran.err.npos) << ran.err;
  EXPECT_NE(ran.out.find(folder().string()), ran.out.npos) << ran.out;
  expect_whole();
  const Ran again = run({"pull", "qwen/tiny", "--json"});
  EXPECT_EQ(again.status, 0) << again.err;
  EXPECT_EQ(again.json().at("name"), "Qwen/Tiny");
  EXPECT_EQ(again.json().at("fresh"), false);
  // The name means the folder wherever MODEL stands.
  const Ran info = run({"tokenize", "tiny"});
  EXPECT_NE(info.err.find(folder().string()), info.err.npos) << info.err;
}

TEST_F(PullProgram, ErrorsAreOneLineInBothLanguages) {
  for (const char* name : {"Qwen/None", "ollama:none:1b", "a/b/c", "Qwen/Tiny@v3", "./none"})
    for (const char* lang : {"en", "zh"}) {
      const Ran ran = run({"pull", name, "--lang", lang});
      EXPECT_EQ(ran.status, 1) << name;
      EXPECT_EQ(std::count(ran.err.begin(), ran.err.end(), '\n'), 1) << ran.err;
      EXPECT_EQ(ran.err.find("hub."), ran.err.npos) << ran.err;
      EXPECT_EQ(ran.out, "");
    }
  env_["HF_ENDPOINT"] = "http://127.0.0.1:1";
  const Ran nobody = run({"pull", "Qwen/Tiny"});
  EXPECT_EQ(nobody.status, 1);
  EXPECT_EQ(std::count(nobody.err.begin(), nobody.err.end(), '\n'), 1) << nobody.err;
  EXPECT_NE(nobody.err.find("127.0.0.1"), nobody.err.npos) << nobody.err;
  const Ran unknown = run({"run", "Qwen/Unknown", "hi"});
  EXPECT_NE(unknown.err.find("qw pull Qwen/Unknown"), unknown.err.npos) << unknown.err;
}

TEST_F(PullProgram, KilledAtAnyMomentItGoesOn) {
  slow(1'500'000);
  const Rng rng(name_key("kill"));
  int n_killed = 0;
  int64_t before = 0;
  for (uint64_t round = 0; round < 6; ++round) {
    Child child({"pull", "Qwen/Tiny", "--connections", "4"}, env_, home_.path() / "err");
    std::this_thread::sleep_for(std::chrono::milliseconds(50 + rng.below(1800, round)));
    child.kill(SIGKILL);
    n_killed += child.wait() == 128 + SIGKILL;
    EXPECT_FALSE(fs::exists(folder())) << "nothing half done may be seen";
    before = hub_.cdn_bytes();
  }
  EXPECT_GE(n_killed, 4);
  EXPECT_GT(before, 0);
  hub_.set_fault({});
  const Ran ran = run({"pull", "Qwen/Tiny"});
  EXPECT_EQ(ran.status, 0) << ran.err;
  EXPECT_NE(ran.err.find("here already"), ran.err.npos) << ran.err;
  EXPECT_LT(hub_.cdn_bytes() - before, static_cast<int64_t>(kBig))
      << "what was journalled is not fetched again";
  expect_whole();
}

TEST_F(PullProgram, TwoAtOnceAndTheFirstDies) {
  slow(1'500'000);
  Child first({"pull", "Qwen/Tiny"}, env_, home_.path() / "first");
  while (hub_.cdn().requests().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  Child second({"pull", "Qwen/Tiny"}, env_, home_.path() / "err");
  while (said().find("Another qw") == std::string::npos)
    std::this_thread::sleep_for(std::chrono::milliseconds(10));
  std::this_thread::sleep_for(std::chrono::milliseconds(1300));
  first.kill(SIGKILL);
  EXPECT_EQ(first.wait(), 128 + SIGKILL);
  hub_.set_fault({});
  EXPECT_EQ(second.wait(), 0) << said();
  EXPECT_NE(said().find("here already"), std::string::npos) << said();
  expect_whole();
}

TEST_F(PullProgram, CtrlCKeepsWhatIsThereAndSaysHowToGoOn) {
  slow(1'500'000);
  Child child({"pull", "Qwen/Tiny"}, env_, home_.path() / "err");
  while (hub_.cdn().requests().empty()) std::this_thread::sleep_for(std::chrono::milliseconds(10));
  std::this_thread::sleep_for(std::chrono::milliseconds(700));
  child.kill(SIGINT);
  EXPECT_EQ(child.wait(), 130);
  EXPECT_NE(said().find("qw pull Qwen/Tiny"), std::string::npos) << said();
  hub_.set_fault({});
  EXPECT_NE(run({"pull", "Qwen/Tiny"}).err.find("here already"), std::string::npos);
  expect_whole();
}

TEST_F(PullProgram, AFullDiskIsSaidAndWhatCameIsKept) {
  Child child({"pull", "Qwen/Tiny"}, env_, home_.path() / "err", 10'000'000);
  EXPECT_EQ(child.wait(), 1);
  EXPECT_NE(said().find("disk is full"), std::string::npos) << said();
  EXPECT_FALSE(fs::exists(folder()));
  EXPECT_EQ(run({"pull", "Qwen/Tiny"}).status, 0);
  expect_whole();
}

TEST_F(PullProgram, ATerminalShowsTheProgress) {
  if (!have_terminals()) GTEST_SKIP() << "no pseudo-terminals here";
  slow(1'500'000);
  PtyProgram program({"pull", "Qwen/Tiny"}, env_);
  EXPECT_TRUE(program.expect("of 24.0 MB")) << program.shown();
  EXPECT_TRUE(program.expect("MB/s")) << program.shown();
  EXPECT_TRUE(program.expect("left")) << program.shown();
  hub_.set_fault({});
  EXPECT_TRUE(program.expect("qw chat Qwen/Tiny")) << program.shown();
  EXPECT_EQ(program.wait(), 0);
}

}  // namespace
}  // namespace qw::e2e
