// Runs LLVMFuzzerTestOneInput where libFuzzer is not at hand (gcc): every file of the corpus, then mutations
// of them for some seconds. The input of an iteration is a pure function of (corpus, seed, iteration), so a
// failure repeats with --only. An input that fails (sanitizer report, abort, more than 10 s) is saved and
// named.
//   fuzz_NAME CORPUS_DIR [--seconds S] [--seed N] [--only ITERATION] [--save DIR]        fuzz_NAME FILE… runs
//   these inputs
#include <fcntl.h>
#include <sanitizer/common_interface_defs.h>
#include <signal.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <iterator>
#include <string>
#include <string_view>
#include <vector>

#include "fuzz/mutate.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size);

// A hostile count must not allocate: beyond 512 MB malloc is a failure. QW_CHECK's abort is reported like any
// other.
extern "C" const char* __asan_default_options() {
  return "max_allocation_size_mb=512:handle_abort=1:detect_leaks=1:allocator_may_return_null=0";
}
extern "C" const char* __ubsan_default_options() {
  return "print_stacktrace=1";
}

namespace {

namespace fs = std::filesystem;
constexpr unsigned kSecondsPerInput = 10;

// What the death callback needs: it takes no argument.
struct Current {
  std::string input;
  std::string save_as;
  std::string how;
};
Current& current() {
  static Current c;
  return c;
}

void say(std::string_view text) {
  [[maybe_unused]] const ssize_t n = ::write(STDERR_FILENO, text.data(), text.size());
}

void save_current() {
  const Current& c = current();
  const int fd = ::open(c.save_as.c_str(), O_WRONLY | O_CREAT | O_TRUNC, 0644);
  if (fd >= 0) {
    [[maybe_unused]] const ssize_t n = ::write(fd, c.input.data(), c.input.size());
    ::close(fd);
  }
  say("fuzz: failed at " + c.how + "; the input is saved as " + c.save_as + "\n");
}

void on_alarm(int) {
  say("fuzz: an input takes too long\n");
  save_current();
  ::_exit(1);
}

void run(std::string input, std::string how) {
  current().input = std::move(input);
  current().how = std::move(how);
  ::alarm(kSecondsPerInput);
  // A copy of exactly this size on the heap, so that a read one past the end is seen.
  const std::vector<uint8_t> data(current().input.begin(), current().input.end());
  LLVMFuzzerTestOneInput(data.data(), data.size());
  ::alarm(0);
}

std::string read_all(const fs::path& path) {
  std::ifstream in(path, std::ios::binary);
  return {std::istreambuf_iterator<char>(in), {}};
}

struct Options {
  std::vector<std::string> paths;
  double seconds = 30;
  uint64_t seed = 1;
  int64_t only = -1;
  std::string save = ".";
};

Options parse(int argc, char** argv) {
  Options o;
  if (const char* seconds = std::getenv("QW_FUZZ_SECONDS")) o.seconds = std::atof(seconds);
  for (int i = 1; i < argc; ++i) {
    const std::string_view a = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (a == "--seconds") {
      o.seconds = std::atof(value);
    } else if (a == "--seed") {
      o.seed = std::strtoull(value, nullptr, 10);
    } else if (a == "--only") {
      o.only = std::atoll(value);
    } else if (a == "--save") {
      o.save = value;
    } else {
      o.paths.emplace_back(a);
      continue;
    }
    ++i;
  }
  return o;
}

std::vector<std::string> run_corpus(const Options& o) {
  std::vector<fs::path> files;
  for (const std::string& p : o.paths) {
    if (!fs::is_directory(p))
      files.emplace_back(p);
    else
      for (const auto& e : fs::directory_iterator(p)) files.push_back(e.path());
  }
  std::sort(files.begin(), files.end());
  std::vector<std::string> corpus;
  for (const fs::path& f : files) {
    corpus.push_back(read_all(f));
    run(corpus.back(), f.string());
  }
  return corpus;
}

}  // namespace

int main(int argc, char** argv) {
  const Options o = parse(argc, argv);
  const std::string name = fs::path(argv[0]).filename().string();
  current().save_as = o.save + "/" + name + ".crash";
  __sanitizer_set_death_callback(save_current);
  ::signal(SIGALRM, on_alarm);
  if (o.paths.empty()) {
    std::fprintf(stderr, "usage: %s CORPUS_DIR [--seconds S] [--seed N] [--only ITERATION] [--save DIR]\n",
                 argv[0]);
    return 2;
  }
  const std::vector<std::string> corpus = run_corpus(o);
  if (corpus.empty()) {
    std::fprintf(stderr, "fuzz: the corpus is empty\n");
    return 2;
  }
  const bool files_only = !fs::is_directory(o.paths.front());
  const auto start = std::chrono::steady_clock::now();
  int64_t iteration = std::max<int64_t>(o.only, 0);
  const int64_t first = iteration;
  while (!files_only) {
    const std::chrono::duration<double> elapsed = std::chrono::steady_clock::now() - start;
    if (o.only < 0 && elapsed.count() >= o.seconds) break;
    run(qw::fuzz::mutant(corpus, o.seed, static_cast<uint64_t>(iteration)),
        "--seed " + std::to_string(o.seed) + " --only " + std::to_string(iteration));
    ++iteration;
    if (o.only >= 0) break;
  }
  std::printf("%s: %zu corpus files, %lld mutations, seed %llu\n", name.c_str(), corpus.size(),
              static_cast<long long>(iteration - first), static_cast<unsigned long long>(o.seed));
  return 0;
}
