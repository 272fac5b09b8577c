// Members of CpuBackend: what only training needs, beside the losses and steps that have kernels of their
// own. Included by cpu_backend.cc.
#pragma once

#include "backend/cpu/cpu_impl.h"
#include "backend/cpu/host/memory.inl"
#include "base/rng.h"

namespace qw::cpu {

// softmax(logits / temperature) of n entries, and the logarithm of each.
template <class Real>
struct Distribution {
  const Real* p;
  const Real* logits;
  double inverse_temperature, log_total;

  double log(int64_t i) const { return static_cast<double>(logits[i]) * inverse_temperature - log_total; }
};

template <class Real>
Distribution<Real> softmax(const KernelTable<Real>& table, Real* p, const Real* logits, int64_t n,
                           double temperature) {
  table.scale(p, logits, static_cast<Real>(1.0 / temperature), n);
  const Real top = *std::max_element(p, p + n);
  for (int64_t i = 0; i < n; ++i) p[i] -= top;
  table.exp(p, p, n);
  const double total = table.sum(p, n);
  table.scale(p, p, static_cast<Real>(1.0 / total), n);
  return {p, logits, 1.0 / temperature, static_cast<double>(top) + std::log(total)};
}

// One row. With g[i] = ∂loss/∂s[i] up to a constant, softmax turns it into s[i] · (g[i] − Σ s g) /
// temperature; for m = beta t + (1 − beta) s all terms but (1 − beta) log(s / m) cancel.
template <class Real>
double divergence_row(Real* dlogits, const Distribution<Real>& s, const Distribution<Real>& t, int64_t n,
                      const DivergenceArgs& args) {
  const double beta = args.beta;
  double loss = 0.0, mean = 0.0;
  for (int64_t i = 0; i < n; ++i) {
    const double si = static_cast<double>(s.p[i]), ti = static_cast<double>(t.p[i]);
    double g = 0.0;
    if (beta == 0.0) {
      loss += ti * (t.log(i) - s.log(i));
    } else if (beta == 1.0) {
      g = s.log(i) - t.log(i);
      loss += si * g;
    } else if (const double m = beta * ti + (1.0 - beta) * si; m > 0) {
      g = (1.0 - beta) * (s.log(i) - std::log(m));
      loss += si * g + beta * ti * (t.log(i) - std::log(m));
    }
    mean += si * g;
    if (dlogits != nullptr) dlogits[i] = static_cast<Real>(g);
  }
  if (dlogits == nullptr) return loss;
  for (int64_t i = 0; i < n; ++i) {
    const double si = static_cast<double>(s.p[i]);
    const double d =
        beta == 0.0 ? si - static_cast<double>(t.p[i]) : si * (static_cast<double>(dlogits[i]) - mean);
    dlogits[i] = static_cast<Real>(d / args.temperature);
  }
  return loss;
}

template <class Real>
void CpuBackend<Real>::divergence(const Tensor& loss, const Tensor& dlogits, const Tensor& logits,
                                  const Tensor& teacher, const Tensor& weight, const DivergenceArgs& args) {
  const int64_t v = logits.dim(-1), n = std::min(v, teacher.dim(-1));
  const RowsOf<Real> student(logits), other(teacher);
  reserve_scratch(2 * n);
  pool_.parallel_for(student.n(), 1, [&](int64_t begin, int64_t end, int thread) {
    Real *s = scratch(thread), *t = s + n;
    for (int64_t i = begin; i < end; ++i) {
      const auto mine = softmax(table_, s, student[i], n, args.temperature);
      const auto taught = softmax(table_, t, other[i], n, args.temperature);
      Real* const d = dlogits.defined() ? ptr(dlogits) + i * dlogits.stride(0) : nullptr;
      ptr(loss)[i] = static_cast<Real>(divergence_row(d, mine, taught, n, args));
      if (d == nullptr) continue;
      table_.scale(d, d, ptr(weight)[i], n);
      std::fill(d + n, d + v, Real{0});
    }
  });
}

template <class Real>
void CpuBackend<Real>::dropout(const Tensor& out, const Tensor& x, double p, uint64_t key) {
  QW_CHECK(out.contiguous() && x.contiguous() && out.elements() == x.elements() && p >= 0 && p < 1,
           "dropout {} of {}", p, x.shape().str());
  const auto keep = static_cast<Real>(1.0 / (1.0 - p));
  const auto limit = static_cast<uint64_t>(p * 0x1p32);
  const std::array<uint32_t, 2> k{static_cast<uint32_t>(key), static_cast<uint32_t>(key >> 32)};
  const int64_t n = x.elements();
  split((n + 3) / 4, 60, [&](int64_t begin, int64_t end) {
    for (int64_t block = begin; block < end; ++block) {
      const auto c = static_cast<uint64_t>(block);
      const auto bits = philox4x32({static_cast<uint32_t>(c), static_cast<uint32_t>(c >> 32), 0, 0}, k);
      for (int64_t i = 4 * block; i < std::min(4 * block + 4, n); ++i)
        ptr(out)[i] = bits[static_cast<size_t>(i % 4)] < limit ? Real{0} : keep * ptr(x)[i];
    }
  });
}

}  // namespace qw::cpu
