// A training step, forward, head and loss, backward, AdamW, of a Qwen3 with random weights: tok/s, GFLOP/s
// and percent of this machine's measured peaks, with the time of each kernel. bench/train_peer.py is its
// peer.
//   train_bench [--shape peer|nano] [--products f32|bf16|plain] [--dot] [--steps N] [--threads N] [--json]
// plain: Products::f32, as for serving. --dot: bf16 by dot instructions. --json: one line, without kernels.
#include <fmt/format.h>
#include <sys/resource.h>

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/peaks.h"
#include "base/rng.h"
#include "base/thread_pool.h"
#include "bench/timed_backend.h"
#include "models/model.h"
#include "ops/head_loss.h"
#include "train/optimizer.h"

namespace qw {
namespace {

struct Shape3 {
  int hidden, ffn, layers, heads, kv_heads, vocab;
};
constexpr int kHeadDim = 64, kRows = 8, kLength = 512;

struct Options {
  std::string shape = "peer", products = "f32";
  bool dot = false, json = false;
  int steps = 5, threads = 0;
};

// Normal numbers for matrices, ones for norms.
class RandomWeights final : public Visitor {
 public:
  explicit RandomWeights(Backend& backend) : backend_(backend) {}

 protected:
  void on_weight(Weight& w, ShardAxis) override {
    const auto n = static_cast<size_t>(w.shape.elements());
    std::vector<float> values(n, 1.0f);
    const Rng rng(++key_);
    if (w.shape.rank() > 1)
      for (size_t i = 0; i < n; ++i) values[i] = static_cast<float>(0.02 * rng.normal(i));
    w.trainable = true;
    w.data = Tensor(*backend_.alloc(n * sizeof(float)), 0, w.shape, DType::f32);
    backend_.upload(w.data, values.data());
  }

 private:
  Backend& backend_;
  uint64_t key_ = 0;
};

// Documents of 512 tokens; for the model that ships, packed ones of 50 to 500.
Batch random_batch(const std::string& shape, int vocab, std::vector<int32_t>& targets) {
  const Rng rng(7);
  std::vector<std::vector<int32_t>> documents;
  uint64_t at = 0;
  targets.clear();
  for (int r = 0; r < kRows; ++r)
    for (int left = kLength; left > 0;) {
      const int n = shape == "peer" ? left : std::min(left, 50 + static_cast<int>(rng.below(451, ++at)));
      std::vector<int32_t> ids;
      for (int i = 0; i < n; ++i)
        ids.push_back(static_cast<int32_t>(rng.below(static_cast<uint64_t>(vocab), ++at)));
      targets.insert(targets.end(), ids.begin() + 1, ids.end());
      targets.push_back(-1);
      documents.push_back(std::move(ids));
      left -= n;
    }
  return dense_batch(documents);
}

// Of one step: on the wall (the median), and of all threads together (the mean).
struct StepTime {
  double wall, cpu;
};

// `flop`: of a token.
void report(const Options& o, const TimedBackend& timed, StepTime step, double flop, double loss) {
  const double rate = kRows * kLength / step.wall, gflops = rate * flop / 1e9;
  rusage usage{};
  getrusage(RUSAGE_SELF, &usage);
  const int threads = o.threads > 0 ? o.threads : available_cores();
  if (o.json) {
    fmt::print(
        "{{\"qw\": \"{}\", \"shape\": \"{}\", \"precision\": \"{}\", \"tok_s\": {:.0f}, \"tok_s_cpu\": "
        "{:.0f}, \"gflop_s\": {:.1f}, "
        "\"loss\": {:.3f}, \"rss_mb\": {}}}\n",
        timed.name(), o.shape, o.products, rate, rate * step.wall / step.cpu * threads, gflops, loss,
        usage.ru_maxrss / 1024);
    return;
  }
  const CpuPeaks peaks = measure_peaks(1);  // of one thread: a busy machine would show too little on all
  const double f32 = peaks.f32_gflop_s * threads, bf16 = peaks.bf16_gflop_s * threads;
  fmt::print("{} {} {}, {} threads: {:.0f} tok/s, {:.1f} GFLOP/s, loss {:.4f}, {} MB\n", timed.name(),
             o.shape, o.products, threads, rate, gflops, loss, usage.ru_maxrss / 1024);
  fmt::print("{:.1f} % of the f32 peak ({:.0f} GFLOP/s), {:.1f} % of that of bf16 dot ({:.0f})\n",
             100 * gflops / f32, f32, 100 * gflops / bf16, bf16);
  const double busy = gflops * step.wall / step.cpu * threads;
  fmt::print("by processor time: {:.0f} tok/s, {:.1f} % and {:.1f} %\n",
             rate * step.wall / step.cpu * threads, 100 * busy / f32, 100 * busy / bf16);
  std::vector<std::pair<double, std::string>> lines;
  double all = 0;
  for (const auto& [name, cost] : timed.costs()) {
    const double t = cost.seconds / o.steps;
    all += t;
    lines.emplace_back(-t, fmt::format("{:<26} {:>5} calls {:>8.1f} ms {:>5.1f} %", name,
                                       cost.calls / o.steps, t / threads * 1e3, 100 * t / step.cpu));
  }
  std::sort(lines.begin(), lines.end());
  for (const auto& [t, line] : lines) fmt::print("{}\n", line);
  fmt::print("{:<26} {:>11} {:>8.1f} ms {:>5.1f} %\n", "outside kernels", "",
             (step.cpu - all) / threads * 1e3, 100 * (1 - all / step.cpu));
}

Json config_of(const Shape3& s) {
  return {{"model_type", "qwen3"},
          {"hidden_size", s.hidden},
          {"num_hidden_layers", s.layers},
          {"vocab_size", s.vocab},
          {"intermediate_size", s.ffn},
          {"num_attention_heads", s.heads},
          {"head_dim", kHeadDim},
          {"num_key_value_heads", s.kv_heads},
          {"max_position_embeddings", 2048},
          {"rms_norm_eps", 1e-6},
          {"tie_word_embeddings", true},
          {"hidden_act", "silu"},
          {"rope_theta", 1e6},
          {"attention_bias", false}};
}

double flop_a_token(const Options& o, const Shape3& s, int64_t params, const Batch& batch) {
  double context = kLength;  // a token's: of the longest document that it may stand in, as for the peer
  if (o.shape == "nano") {
    context = 0;
    for (const int n : batch.plan.kv_len) context += static_cast<double>(n) * n / (kRows * kLength);
  }
  return 6.0 * static_cast<double>(params) + 6.0 * s.layers * s.heads * kHeadDim * context;
}

int run(const Options& o) {
  const Shape3 s = o.shape == "nano" ? Shape3{256, 704, 8, 4, 2, 8192} : Shape3{384, 1024, 8, 6, 2, 16384};
  auto inner = *make_cpu_backend({.threads = o.threads,
                                  .isa = {},
                                  .products = o.products == "bf16"    ? Products::bf16
                                              : o.products == "plain" ? Products::f32
                                                                      : Products::f32_packed,
                                  .bf16_dot = o.dot ? std::optional<bool>(true) : std::nullopt});
  TimedBackend backend(*inner);
  auto made = make_model(config_of(s));
  QW_CHECK(made.has_value(), "{}", made.error().debug());
  Model& model = *made->model;
  RandomWeights fill(backend);
  model.visit(fill);
  WeightList list;
  model.visit(list);
  int64_t params = 0;
  for (const Weight* w : list.weights()) params += w->shape.elements();

  std::vector<int32_t> targets;
  const Batch batch = random_batch(o.shape, s.vocab, targets);
  const auto counted = std::count_if(targets.begin(), targets.end(), [](int32_t t) { return t >= 0; });
  const std::vector<float> weights(targets.size(), 1.0f / static_cast<float>(counted));

  Arena arena(backend);
  Gradients gradients(backend);
  auto optimizer =
      train::Optimizer::create(backend, {.weight_decay = 0.1, .max_grad_norm = 1.0}, list.weights());
  QW_CHECK(optimizer.has_value(), "{}", optimizer.error().debug());
  std::vector<double> times;
  double loss = 0, cpu_begin = 0;
  for (int step = 0; step < o.steps + 2; ++step) {
    if (step == 2) {
      backend.clear();
      cpu_begin = cpu_seconds();
    }
    const auto begin = std::chrono::steady_clock::now();
    arena.reset();
    gradients.zero();
    Tape tape(gradients);
    Ctx cx{backend, arena, &tape};
    const Tensor features = model.features(cx, batch);
    const std::vector<double> losses =
        ops::head_loss(cx, features, model.head(), ops::cross_entropy_rows(targets, weights));
    loss = 0;
    for (const double l : losses) loss += l / static_cast<double>(counted);
    const double norm = optimizer->step(gradients, arena, 1e-4);
    QW_CHECK(std::isfinite(norm) && std::isfinite(loss), "a step failed");
    times.push_back(std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count());
  }
  const double cpu = (cpu_seconds() - cpu_begin) / o.steps;
  std::sort(times.begin() + 2, times.end());
  report(o, backend, {times[2 + static_cast<size_t>(o.steps) / 2], cpu}, flop_a_token(o, s, params, batch),
         loss);
  return 0;
}

}  // namespace
}  // namespace qw

int main(int argc, char** argv) {
  qw::Options o;
  for (int i = 1; i < argc; ++i) {
    const std::string a = argv[i];
    const char* value = i + 1 < argc ? argv[i + 1] : "";
    if (a == "--dot" || a == "--json")
      (a == "--dot" ? o.dot : o.json) = true;
    else if (++i; a == "--shape")
      o.shape = value;
    else if (a == "--products")
      o.products = value;
    else if (a == "--steps")
      o.steps = std::max(1, std::atoi(value));
    else if (a == "--threads")
      o.threads = std::atoi(value);
    else
      return fmt::print(stderr, "unknown option {}\n", a), 2;
  }
  return qw::run(o);
}
