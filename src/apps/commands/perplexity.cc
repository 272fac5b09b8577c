// qw perplexity: how well the model predicts a text, as llama-perplexity measures it: windows of N tokens
// without overlap, of each the predictions of its second half (N/2 − 1, as the last token predicts nothing
// inside). Test: tests/e2e/perplexity_test.cc
#include <algorithm>
#include <cmath>

#include "apps/commands/commands.h"
#include "apps/forward_runner.h"
#include "apps/ids_input.h"
#include "apps/model_files.h"
#include "apps/progress.h"

namespace qw::apps {
namespace {

constexpr int kDefaultWindow = 512;
constexpr int kChunkRows = 256;  // of one step; bounds the memory for logits [256, V]

struct Score {
  int64_t n = 0;
  double nll = 0;               // sum, nats
  std::vector<float> distance;  // KL(other ‖ model) of each row, where there is another model
  int64_t same = 0;             // rows whose likeliest tokens agree
};

int64_t count_same(Backend& backend, const Tensor& a, const Tensor& b) {
  Arena arena(backend);
  Ctx cx{backend, arena};
  const std::vector<float> x = to_host(cx, a), y = to_host(cx, b);
  const auto width = static_cast<ptrdiff_t>(a.dim(1)), other = static_cast<ptrdiff_t>(b.dim(1));
  int64_t same = 0;
  for (ptrdiff_t r = 0; r < a.dim(0); ++r) {
    const auto best = [r](const std::vector<float>& v, ptrdiff_t n) {
      return std::max_element(v.begin() + r * n, v.begin() + (r + 1) * n) - (v.begin() + r * n);
    };
    same += best(x, width) == best(y, other) ? 1 : 0;
  }
  return same;
}

// The window's sum of −log p of tokens n/2+1 … n−1, each given all before it; `other` (null: none) reads the
// same.
Score score_window(ForwardRunner& runner, ForwardRunner* other, Backend& backend,
                   std::span<const int32_t> ids) {
  const int n = static_cast<int>(ids.size()), first = n / 2;  // row `first` predicts token first + 1
  Arena arena(backend);
  Score score;
  runner.reset();
  if (other != nullptr) other->reset();
  for (int begin = 0; begin < n - 1;) {
    // A step ends where scoring begins, so that every step has logits of all of its rows or of one.
    const int end = std::min(begin + kChunkRows, begin < first ? first : n - 1);
    const auto chunk = ids.subspan(static_cast<size_t>(begin), static_cast<size_t>(end - begin));
    const bool scored = begin >= first;
    const auto rows = scored ? ForwardRunner::Rows::all : ForwardRunner::Rows::none;
    const Tensor logits = runner.step(chunk, rows);
    const Tensor theirs = other != nullptr ? other->step(chunk, rows) : Tensor();
    if (scored) {
      arena.reset();
      const Tensor targets = arena.upload(ids.subspan(static_cast<size_t>(begin) + 1, chunk.size()));
      const Tensor loss = arena.alloc({end - begin}, backend.real());
      backend.cross_entropy(loss, logits, targets);
      std::vector<float> host(chunk.size());
      backend.download(host.data(), loss);
      for (const float l : host) score.nll += l;
      score.n += end - begin;
      if (theirs.defined()) {
        backend.divergence(loss, Tensor(), logits, theirs, Tensor(), {});
        backend.download(host.data(), loss);
        score.distance.insert(score.distance.end(), host.begin(), host.end());
        score.same += count_same(backend, logits, theirs);
      }
    }
    begin = end;
  }
  return score;
}

struct Distance {
  double mean = 0, p99 = 0, same = 0;
};
Distance distance_of(Score& score) {
  const auto n = static_cast<double>(score.distance.size());
  Distance d;
  for (const float v : score.distance) d.mean += static_cast<double>(v) / n;
  std::sort(score.distance.begin(), score.distance.end());
  d.p99 = static_cast<double>(score.distance[static_cast<size_t>(0.99 * (n - 1))]);
  d.same = static_cast<double>(score.same) / n;
  return d;
}

Status report(Program& program, int64_t n_tokens, int64_t window, Score& score) {
  const double nll = score.nll / static_cast<double>(score.n);
  const bool compared = !score.distance.empty();
  const Distance distance = compared ? distance_of(score) : Distance{};
  if (program.json()) {
    Json out{{"tokens", n_tokens},           {"scored", score.n}, {"nll", nll}, {"perplexity", std::exp(nll)},
             {"windows", n_tokens / window}, {"context", window}};
    if (compared)
      out["divergence"] = Json{{"mean", distance.mean}, {"p99", distance.p99}, {"same_best", distance.same}};
    return program.console().write(to_json_line(out) + "\n");
  }
  std::string text =
      program.console().text("ui.perplexity", {{"perplexity", fmt::format("{:.4f}", std::exp(nll))},
                                               {"nll", fmt::format("{:.5f}", nll)},
                                               {"scored", score.n},
                                               {"tokens", n_tokens},
                                               {"windows", n_tokens / window},
                                               {"context", window}});
  if (compared)
    text += fmt::format("\n{}", program.console().text(
                                    "ui.divergence", {{"mean", fmt::format("{:.5f}", distance.mean)},
                                                      {"most", fmt::format("{:.4f}", distance.p99)},
                                                      {"same", fmt::format("{:.2f}", 100 * distance.same)}}));
  return program.console().write(fmt::format("{}\n", text));
}

// The model of --against, on the same text with the same window.
struct Other {
  OpenModel open;
  std::unique_ptr<ForwardRunner> runner;
};
Result<std::optional<Other>> open_other(Program& program, const std::optional<std::string>& name,
                                        ModelFlags flags, const OpenModel& model, int window, DType kv) {
  if (!name) return std::optional<Other>();
  Other other;
  flags.adapter.reset();
  QW_TRY(other.open, open_model(program, *name, flags, {.tokenizer = false}));
  const int found = model.model->info().vocab, expected = other.open.model->info().vocab;
  if (found != expected)
    return fail("perplexity.other_vocabulary", {{"model", model.checkpoint.path.string()},
                                                {"other", *name},
                                                {"found", found},
                                                {"expected", expected}});
  QW_TRY(other.runner, ForwardRunner::create(*other.open.model, *model.backend,
                                             {.streams = 1, .max_tokens = window, .kv = kv}));
  return std::optional(std::move(other));
}

}  // namespace

Result<int> perplexity_command(Program& program, Args args) {
  std::string model_name, file;
  ModelFlags flags;
  std::optional<int64_t> context;
  std::optional<std::string> against;
  CommandLine line("perplexity");
  line.argument("MODEL", &model_name, true);
  line.argument("FILE", &file, true);
  line.integer("--context", &context, {.min = 4, .max = std::numeric_limits<int32_t>::max() - 1},
               "help.perplexity.context");
  line.text("--against", "MODEL", &against, "help.perplexity.against");
  flags.add_compute_options(line);
  flags.add_adapter_option(line);
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  const int n = static_cast<int>(context.value_or(kDefaultWindow));
  if (n % 2 != 0) return fail("cli.odd_context", {{"value", n}});
  QW_TRY(const DType kv, flags.kv_dtype(DType::f32));
  QW_TRY(const std::string bytes, read_input(file));
  QW_TRY(OpenModel open, open_model(program, model_name, flags));
  const int limit = open.model->info().max_positions;
  if (n > limit) return fail("model.too_long", {{"tokens", n}, {"limit", limit}});
  std::vector<int32_t> ids = open.tokenizer->encode(bytes, {.parse_special = false});
  QW_TRY(check_ids(ids, open.model->info().vocab));
  const int64_t windows = static_cast<int64_t>(ids.size()) / n;
  if (windows == 0)
    return fail("perplexity.too_short", {{"file", file}, {"tokens", ids.size()}, {"context", n}});
  QW_TRY(
      const auto runner,
      ForwardRunner::create(
          *open.model, *open.backend,
          {.streams = 1, .max_tokens = n, .kv = kv, .adapter = open.adapter ? open.adapter->set : nullptr}));
  QW_TRY(const std::optional<Other> other, open_other(program, against, flags, open, n, kv));
  Progress progress(program.console(), program.console().text("ui.perplexity_progress"));
  Score total;
  for (int64_t w = 0; w < windows; ++w) {
    progress.set(w, windows);
    const std::span window(ids.data() + w * n, static_cast<size_t>(n));
    if (open.tokenizer->adds_bos()) window[0] = *open.tokenizer->bos_id();
    const Score score = score_window(*runner, other ? other->runner.get() : nullptr, *open.backend, window);
    total.n += score.n;
    total.nll += score.nll;
    total.distance.insert(total.distance.end(), score.distance.begin(), score.distance.end());
    total.same += score.same;
  }
  QW_TRY(report(program, static_cast<int64_t>(ids.size()), n, total));
  return kExitOk;
}

}  // namespace qw::apps
