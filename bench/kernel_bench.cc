// Kernels at the shapes of SmolLM2-135M: GFLOP/s or GB/s and percent of this machine's measured peak.
//   kernel_bench [FILTER] [THREADS] [f32|f32_packed|bf16]     QW_ISA chooses the table
// On one thread the clock is that thread's CPU time, so that a busy machine disturbs it little.
#include <fmt/format.h>

#include <algorithm>
#include <cstdio>
#include <cstdlib>
#include <ctime>
#include <functional>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "backend/cpu/cpu_features.h"
#include "backend/cpu/peak_kernels.h"
#include "backend/cpu/peaks.h"
#include "base/rng.h"
#include "core/batch.h"

namespace qw {
namespace {

double seconds(clockid_t clock) {
  timespec t{};
  clock_gettime(clock, &t);
  return static_cast<double>(t.tv_sec) + 1e-9 * static_cast<double>(t.tv_nsec);
}

class Harness {
 public:
  Harness(std::string filter, int threads, Products products)
      : filter_(std::move(filter)),
        peaks_(measure_peaks(threads)),
        backend_(*make_cpu_backend({.threads = threads, .isa = {}, .products = products})) {
    cpu::fill_peaks_generic(kernels_);
#if defined(__x86_64__)
    if (cpu::cpu_features().avx2) cpu::fill_peaks_avx2(kernels_);
    if (cpu::cpu_features().avx512) cpu::fill_peaks_avx512(kernels_, false, false);
#endif
    fmt::print(
        "{} on {} threads: read {:.1f} GB/s, f32 {:.0f} GFLOP/s, bf16 {:.0f} GFLOP/s, int8 {:.0f} GOP/s\n",
        backend_->name(), peaks_.threads, peaks_.read_gb_s, peaks_.f32_gflop_s, peaks_.bf16_gflop_s,
        peaks_.int8_gop_s);
  }
  Backend& backend() {
    return *backend_;
  }

  Tensor make(const Shape& shape, DType dtype = DType::f32) {
    const size_t bytes = static_cast<size_t>(shape.elements()) * static_cast<size_t>(traits(dtype).bytes);
    const Tensor t(*backend_->alloc(bytes), 0, shape, dtype);
    std::vector<float> values(bytes / sizeof(float) + 1);
    const Rng rng(bytes);
    for (size_t i = 0; i < values.size(); ++i)
      values[i] = i < 4099 ? static_cast<float>(rng.uniform(i)) - 0.5f : values[i - 4099];
    if (dtype != DType::f32) std::fill(values.begin(), values.end(), 0.0f);
    backend_->upload(t, values.data());
    return t;
  }
  Tensor ints(const std::vector<int32_t>& v) {
    const Tensor t = make({static_cast<int64_t>(v.size())}, DType::i32);
    backend_->upload(t, v.data());
    return t;
  }

  bool wants(const std::string& name) const {
    return name.find(filter_) != std::string::npos;
  }

  // Median (and best) of repeated runs; `flops` and `bytes` of one call, of which the larger share of its
  // peak is shown.
  void run(const std::string& name, double flops, double bytes, const std::function<void(int)>& fn) {
    if (!wants(name)) return;
    std::vector<double> times;
    const clockid_t clock = peaks_.threads == 1 ? CLOCK_THREAD_CPUTIME_ID : CLOCK_MONOTONIC;
    std::vector<double> shares;  // of the peak as it was just before: the clock of a shared machine wanders
    const double begin = seconds(CLOCK_MONOTONIC);
    for (int i = 0; i < 3 || (seconds(CLOCK_MONOTONIC) - begin < 0.4 && i < 2000); ++i) {
      const double peak = peaks_.threads == 1 ? peak_now() : peaks_.f32_gflop_s;
      const double start = seconds(clock);
      fn(i);
      times.push_back(seconds(clock) - start);
      shares.push_back(100 * flops / times.back() / 1e9 / peak);
    }
    std::sort(times.begin(), times.end());
    std::sort(shares.begin(), shares.end());
    const double t = times[times.size() / 2];
    fmt::print("{:<40} {:>9.1f} us {:>8.1f} GFLOP/s {:>5.1f}% (best {:>5.1f}%) {:>7.1f} GB/s {:>6.1f}%\n",
               name, t * 1e6, flops / t / 1e9, shares[shares.size() / 2],
               100 * flops / times.front() / 1e9 / peaks_.f32_gflop_s, bytes / t / 1e9,
               100 * bytes / t / 1e9 / peaks_.read_gb_s);
    std::fflush(stdout);
  }

 private:
  // Of one thread, within 0.2 ms.
  double peak_now() {
    constexpr int64_t kRounds = 50000;
    const double start = seconds(CLOCK_THREAD_CPUTIME_ID);
    sink_ = kernels_.f32.run(kRounds);
    return kernels_.f32.ops_a_round * kRounds / (seconds(CLOCK_THREAD_CPUTIME_ID) - start) / 1e9;
  }

  std::string filter_;
  cpu::PeakKernels kernels_;
  volatile double sink_ = 0;
  CpuPeaks peaks_;
  std::unique_ptr<Backend> backend_;
};

struct Product {
  int64_t k, n;
};
constexpr Product kProducts[] = {{576, 192}, {576, 576}, {576, 1536}, {1536, 576}, {576, 49152}};

// Copies of a weight whose sum exceeds every cache, used in turn: decode reads weights from memory.
std::vector<Weight> weights(Harness& h, QuantFormat format, Product p, size_t bytes_wanted) {
  const int64_t stored = traits(format).is_float ? p.k : row_bytes(format, p.k);
  const auto bytes = static_cast<size_t>(p.n * row_bytes(format, p.k));
  std::vector<Weight> all;
  for (size_t i = 0; i <= bytes_wanted / bytes; ++i) {
    Weight w;
    w.shape = Shape{p.n, p.k};
    w.format = format;
    w.data = h.make({p.n, stored}, storage_dtype(format));
    all.push_back(w);
  }
  return all;
}

void products(Harness& h) {
  for (const QuantFormat format : {QuantFormat::q4_1, QuantFormat::q8_0, QuantFormat::bf16, QuantFormat::f32})
    for (const int64_t m : {1, 4, 16, 256})
      for (const Product p : kProducts) {
        const std::string name = fmt::format("linear {} M={} K={} N={}", traits(format).name, m, p.k, p.n);
        if (!h.wants(name)) continue;
        const auto w = weights(h, format, p, m == 1 ? size_t{64} << 20 : 0);
        const Tensor x = h.make({m, p.k}), out = h.make({m, p.n});
        h.run(name, 2.0 * static_cast<double>(m * p.k * p.n),
              static_cast<double>(p.n * row_bytes(format, p.k)),
              [&](int i) { h.backend().linear(out, x, w[static_cast<size_t>(i) % w.size()], {}); });
      }
}

// One projection of the experts of Qwen3-30B-A3B (128, of which a token uses 8): bytes are those of the
// experts that have rows, other ones at every call.
void experts(Harness& h) {
  constexpr int kExperts = 128, kUsed = 8;
  for (const QuantFormat format : {QuantFormat::q4_0, QuantFormat::q8_0, QuantFormat::bf16})
    for (const int64_t tokens : {1, 4, 256})
      for (const Product p : {Product{2048, 768}, {768, 2048}}) {
        const std::string name =
            fmt::format("experts {} tokens={} K={} N={}", traits(format).name, tokens, p.k, p.n);
        if (!h.wants(name)) continue;
        const auto bytes = static_cast<size_t>(p.n * row_bytes(format, p.k));
        std::vector<Weight> w = weights(h, format, p, bytes * (kExperts - 1));
        const Tensor x = h.make({tokens * kUsed, p.k}), out = h.make({tokens * kUsed, p.n});
        std::vector<std::vector<int32_t>> offsets;
        double active = 0;
        for (int i = 0; i < 61; ++i) {
          std::vector<int32_t> count(kExperts + 1);
          for (int64_t t = 0; t < tokens; ++t)
            for (int64_t j = 0; j < kUsed; ++j)  // distinct experts of a token
              ++count[static_cast<size_t>((t * 37 + i * 11 + j * 16) % kExperts + 1)];
          active += static_cast<double>(kExperts - std::count(count.begin() + 1, count.end(), 0)) / 61;
          for (size_t e = 1; e < count.size(); ++e) count[e] += count[e - 1];
          offsets.push_back(count);
        }
        h.run(name, 2.0 * static_cast<double>(tokens * kUsed * p.k * p.n),
              active * static_cast<double>(bytes), [&](int i) {
                h.backend().expert_linear(out, x, w, offsets[static_cast<size_t>(i) % offsets.size()]);
              });
      }
}

void gradients(Harness& h) {
  for (const Product p : kProducts) {
    if (p.n > 10000) continue;
    const int64_t m = 512;
    const auto w = weights(h, QuantFormat::f32, p, 0);
    const Tensor x = h.make({m, p.k}), dy = h.make({m, p.n}), dx = h.make({m, p.k}), dw = h.make({p.n, p.k});
    const double flops = 2.0 * static_cast<double>(m * p.k * p.n);
    h.run(fmt::format("linear_dx f32 M={} K={} N={}", m, p.k, p.n), flops, 0,
          [&](int) { h.backend().linear_dx(dx, dy, w[0]); });
    h.run(fmt::format("linear_dw f32 M={} K={} N={}", m, p.k, p.n), flops, 0,
          [&](int) { h.backend().linear_dw(dw, dy, x); });
  }
}

// The products of a training step of 8 × 512 tokens (bench/train_bench.cc).
void training(Harness& h) {
  for (const Product p :
       {Product{384, 384}, {384, 128}, {384, 1024}, {1024, 384}, {384, 16384}, {256, 704}}) {
    const int64_t m = p.n > 4096 ? 256 : 4096;
    const auto w = weights(h, QuantFormat::f32, p, 0);
    const Tensor x = h.make({m, p.k}), dy = h.make({m, p.n}), dx = h.make({m, p.k}), dw = h.make({p.n, p.k});
    const double flops = 2.0 * static_cast<double>(m * p.k * p.n);
    h.run(fmt::format("train linear M={} K={} N={}", m, p.k, p.n), flops, 0,
          [&](int) { h.backend().linear(dy, x, w[0], {}); });
    h.run(fmt::format("train linear_dx M={} K={} N={}", m, p.k, p.n), flops, 0,
          [&](int) { h.backend().linear_dx(dx, dy, w[0]); });
    h.run(fmt::format("train linear_dw M={} K={} N={}", m, p.k, p.n), flops, 0,
          [&](int) { h.backend().linear_dw(dw, dy, x); });
  }
}

void attention(Harness& h) {
  constexpr int kHeads = 9, kKvHeads = 3, kDim = 64;
  for (const DType dtype : {DType::f32, DType::f16})
    for (const auto& [rows, keys] : {std::pair{1, 256}, {1, 4096}, {256, 256}, {256, 4096}}) {
      const int blocks = keys / kPageTokens;
      std::vector<int32_t> table(static_cast<size_t>(blocks));
      for (int i = 0; i < blocks; ++i) table[static_cast<size_t>(i)] = blocks - 1 - i;
      const PagedKv kv{h.make({blocks, kKvHeads, kDim, kPageTokens}, dtype),
                       h.make({blocks, kKvHeads, kPageTokens, kDim}, dtype), h.ints(table).view({1, blocks})};
      const std::vector<int32_t> cu{0, rows}, len{keys};
      const AttnArgs args{h.make({rows, kHeads, kDim}), h.ints(cu), cu, len, 0.125, 0};
      const Tensor out = h.make({rows, kHeads, kDim});
      const double pairs = static_cast<double>(rows) * (keys - (rows - 1) / 2.0);
      h.run(fmt::format("attention paged {} rows={} keys={}", traits(dtype).name, rows, keys),
            4.0 * pairs * kHeads * kDim, 2.0 * keys * kKvHeads * kDim * traits(dtype).bytes,
            [&](int) { h.backend().attention_paged(out, args, kv); });
    }
  for (const int rows : {256, 1024}) {
    const std::vector<int32_t> cu{0, rows}, len{rows};
    const Shape qs{rows, kHeads, kDim}, ks{rows, kKvHeads, kDim};
    const Tensor k = h.make(ks), v = h.make(ks), out = h.make(qs), lse = h.make({rows, kHeads}),
                 dout = h.make(qs);
    const AttnArgs args{h.make(qs), h.ints(cu), cu, len, 0.125, 0};
    const Backend::AttnGrads g{h.make(qs), h.make(ks), h.make(ks)};
    const double flops = 4.0 * kHeads * kDim * rows * (rows + 1) / 2.0;
    h.run(fmt::format("attention dense rows={}", rows), flops, 0,
          [&](int) { h.backend().attention_dense(out, lse, args, k, v); });
    h.run(fmt::format("attention dense backward rows={}", rows), 2.5 * flops, 0,
          [&](int) { h.backend().attention_dense_backward(g, args, k, v, out, lse, dout); });
  }
}

void rows(Harness& h) {
  for (const int64_t m : {1, 256}) {
    const Tensor x = h.make({m, 576}), w = h.make({576}), y = h.make({m, 576});
    const Tensor g = h.make({m, 1536}), u = h.make({m, 1536}), s = h.make({m, 1536});
    const Tensor q = h.make({m, 9, 64}), r = h.make({m, 9, 64}), table = h.make({m, 32, 2});
    const auto n = static_cast<double>(m);
    h.run(fmt::format("rms_norm M={} D=576", m), 4 * 576 * n, 8 * 576 * n,
          [&](int) { h.backend().rms_norm(y, x, w, 1e-5); });
    h.run(fmt::format("silu_mul M={} F=1536", m), 1536 * n, 12 * 1536 * n,
          [&](int) { h.backend().silu_mul(s, g, u); });
    h.run(fmt::format("rope M={} H=9 hd=64", m), 3 * 576 * n, 8 * 576 * n,
          [&](int) { h.backend().rope(r, q, table, false); });
    h.run(fmt::format("add M={} D=576", m), 576 * n, 12 * 576 * n, [&](int) { h.backend().add(y, x, x); });
  }
}

}  // namespace
}  // namespace qw

int main(int argc, char** argv) {
  const std::string products = argc > 3 ? argv[3] : "f32";
  qw::Harness h(argc > 1 ? argv[1] : "", argc > 2 ? std::atoi(argv[2]) : 0,
                products == "bf16"         ? qw::Products::bf16
                : products == "f32_packed" ? qw::Products::f32_packed
                                           : qw::Products::f32);
  qw::products(h);
  qw::experts(h);
  qw::gradients(h);
  qw::training(h);
  qw::attention(h);
  qw::rows(h);
}
