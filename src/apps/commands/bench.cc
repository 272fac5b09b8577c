// qw bench: how fast the model computes here, beside what the machine can do at best. Token ids are fixed, so
// the hash of the last logits tells whether two builds or two thread counts computed the same.
// Test: tests/e2e/bench_test.cc, tests/apps/bench_plan_test.cc

#include <xxhash.h>

#include <algorithm>
#include <array>
#include <chrono>

#include "apps/bench_plan.h"
#include "apps/commands/commands.h"
#include "apps/forward_runner.h"
#include "apps/model_files.h"
#include "apps/progress.h"
#include "backend/cpu/peaks.h"

namespace qw::apps {
namespace {

constexpr int kChunkRows = 512;  // of one step, all streams together
constexpr int kRepeats = 3;      // after one warm-up; the median counts
constexpr int kMaxCount = 1 << 20;

struct Measured {
  double seconds = 0;
  StepWork work;
  uint64_t hash = 0;
};

struct Bench {
  Program& program;
  OpenModel& open;
  ModelSizes sizes;
  DType kv;
  CpuPeaks peaks;
};

// Token `i` of stream `s`: spread over the vocabulary, the same in every run.
int32_t fixed_id(int i, int s, int vocab) {
  return static_cast<int32_t>((int64_t{i} * 7919 + int64_t{s} * 104729 + 17) % vocab);
}

// Appends tokens [length, length + n) to every stream.
Tensor advance(ForwardRunner& runner, int n, int streams, int vocab, bool logits) {
  std::vector<int32_t> ids;
  for (int s = 0; s < streams; ++s)
    for (int i = 0; i < n; ++i) ids.push_back(fixed_id(runner.length() + i, s, vocab));
  return runner.step(ids, logits ? ForwardRunner::Rows::last : ForwardRunner::Rows::none);
}

void fill_to(ForwardRunner& runner, int length, int streams, int vocab) {
  while (runner.length() < length)
    advance(runner, std::min(std::max(1, kChunkRows / streams), length - runner.length()), streams, vocab,
            false);
}

uint64_t logits_hash(Backend& backend, const Tensor& logits) {
  const Tensor first = logits.slice(0, 0, 1);  // of the first stream
  std::vector<float> host(static_cast<size_t>(first.elements()));
  backend.download(host.data(), first);
  return XXH64(host.data(), host.size() * sizeof(float), 0);
}

// The part that is timed, behind `depth` tokens.
Measured measure_once(const Bench& b, ForwardRunner& runner, const BenchTest& test) {
  const int vocab = b.open.model->info().vocab;
  const auto cache = b.open.model->cache_spec();
  Measured m;
  Tensor logits;
  const auto start = std::chrono::steady_clock::now();
  const int end = test.depth + test.prompt + test.generate;
  while (runner.length() < end) {
    const int n = test.prompt > 0 ? std::min(kChunkRows, end - runner.length()) : 1;
    const StepWork work = step_work(b.sizes, cache, test, n, runner.length(), b.kv);
    m.work.bytes += work.bytes;
    m.work.ops += work.ops;
    logits = advance(runner, n, test.streams, vocab, true);
  }
  m.hash = logits_hash(*b.open.backend, logits);
  m.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return m;
}

Result<Measured> measure(const Bench& b, const BenchTest& test) {
  const int vocab = b.open.model->info().vocab;
  QW_TRY(const auto runner,
         ForwardRunner::create(
             *b.open.model, *b.open.backend,
             {.streams = test.streams, .max_tokens = test.depth + test.prompt + test.generate, .kv = b.kv}));
  std::vector<Measured> runs;
  for (int i = 0; i <= kRepeats; ++i) {
    runner->rewind(runner->recurrent() ? 0 : std::min(test.depth, runner->length()));
    fill_to(*runner, test.depth, test.streams, vocab);
    runs.push_back(measure_once(b, *runner, test));
  }
  std::sort(runs.begin() + 1, runs.end(),
            [](const Measured& x, const Measured& y) { return x.seconds < y.seconds; });
  return runs[1 + kRepeats / 2];
}

// One row of the result. `bound` names the peak that the work comes nearest to.
Json row_of(const Bench& b, const BenchTest& test, const Measured& m) {
  const double gb_s = m.work.bytes / m.seconds / 1e9, gop_s = m.work.ops / m.seconds / 1e9;
  const double of_bandwidth = 100 * gb_s / b.peaks.read_gb_s, of_f32 = 100 * gop_s / b.peaks.f32_gflop_s;
  const bool by_bandwidth = of_bandwidth >= of_f32;
  return Json{{"test", test.name()},
              {"tok_s", test.tokens() / m.seconds},
              {"gb_s", gb_s},
              {"gop_s", gop_s},
              {"percent_of_peak", by_bandwidth ? of_bandwidth : of_f32},
              {"bound", by_bandwidth ? "bandwidth" : "f32"},
              {"logits_hash", fmt::format("{:016x}", m.hash)}};
}

std::string table_line(const Json& row) {
  return fmt::format("{:<16}{:>10.2f}{:>10.2f}{:>10.1f}{:>8.1f} % {:<10}  {}\n",
                     row["test"].get<std::string>(), row["tok_s"].get<double>(), row["gb_s"].get<double>(),
                     row["gop_s"].get<double>(), row["percent_of_peak"].get<double>(),
                     row["bound"].get<std::string>(), row["logits_hash"].get<std::string>());
}

Status run_tests(const Bench& b, const std::vector<BenchTest>& tests) {
  Console& console = b.program.console();
  Json rows = Json::array();
  if (!b.program.json()) {
    QW_TRY(console.write(fmt::format("{:<16}{:>10}{:>10}{:>10}{:>10} {:<10}  {}\n", "test", "tok/s", "GB/s",
                                     "GOP/s", "peak", "bound", "logits")));
  }
  for (const BenchTest& test : tests) {
    Measured m;
    {
      const Progress progress(console, test.name());
      QW_TRY(m, measure(b, test));
    }
    rows.push_back(row_of(b, test, m));
    if (!b.program.json()) {
      QW_TRY(console.write(table_line(rows.back())));
    }
  }
  if (b.program.json()) return console.write(to_json_line(rows) + "\n");
  return {};
}

// Adds a comma list to the options.
void counts(CommandLine& line, const char* name, int min, std::vector<int>* to, const char* help) {
  line.custom(
      name, "N,…",
      [to, name, min](std::string_view value) -> Status {
        QW_TRY(*to, parse_counts(value, name, min, kMaxCount));
        return {};
      },
      help);
}

}  // namespace

Result<int> bench_command(Program& program, Args args) {
  std::string model_name;
  ModelFlags flags;
  BenchOptions options;
  CommandLine line("bench");
  line.argument("MODEL", &model_name, true);
  counts(line, "-p", 0, &options.prompts, "help.bench.p");
  counts(line, "-n", 0, &options.generates, "help.bench.n");
  counts(line, "-d", 0, &options.depths, "help.bench.d");
  counts(line, "-b", 1, &options.streams, "help.bench.b");
  flags.add_compute_options(line);
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  const std::vector<BenchTest> tests = bench_tests(options);
  if (tests.empty()) return fail("cli.no_test");
  QW_TRY(const DType kv, flags.kv_dtype(DType::f16));
  QW_TRY(OpenModel open, open_model(program, model_name, flags, {.tokenizer = false}));
  const int limit = open.model->info().max_positions;
  for (const BenchTest& t : tests)
    if (const int n = t.depth + t.prompt + t.generate; n > limit)
      return fail("model.too_long", {{"tokens", n}, {"limit", limit}});
  CpuPeaks peaks;
  {
    const Progress progress(program.console(), program.console().text("ui.peaks_progress"));
    peaks = measure_peaks(program.threads());
  }
  const Bench bench{program, open, model_sizes(*open.model), kv, peaks};
  QW_TRY(run_tests(bench, tests));
  return kExitOk;
}

}  // namespace qw::apps
