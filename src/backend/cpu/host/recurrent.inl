// Members of CpuBackend: layers with a recurrent state. Included by cpu_backend.cc.
#pragma once

#include "backend/cpu/cpu_impl.h"
#include "backend/cpu/host/memory.inl"

namespace qw::cpu {

template <class Real>
void CpuBackend<Real>::check_recurrent(std::string_view op, const RecurrentRows& rows, int64_t n_rows,
                                       int64_t size) const {
  const AttnPlan& plan = rows.plan;
  QW_CHECK(plan.cu_q.size() == plan.kv_len.size() + 1 && plan.cu_q.back() == n_rows,
           "{}: the plan has {} rows of {} sequences, the input {}", op, plan.cu_q.back(), plan.n_seqs(),
           n_rows);
  if (!rows.state.defined()) return;
  QW_CHECK(plan.state_slots.size() == plan.kv_len.size(), "{}: {} state slots for {} sequences", op,
           plan.state_slots.size(), plan.n_seqs());
  QW_CHECK(rows.state.dtype() == real() && rows.state.rows_dense() && rows.offset + size <= rows.state.dim(1),
           "{}: a state of {} at {} of {}", op, size, rows.offset, rows.state.shape().str());
  for (const int32_t slot : plan.state_slots)
    QW_CHECK(slot >= 0 && slot < rows.state.dim(0), "{}: state slot {} of {}", op, slot, rows.state.dim(0));
  for (const AttnPlan::StateSave& s : plan.state_saves)
    QW_CHECK(s.slot >= 0 && s.slot < rows.state.dim(0) && s.row >= 0 && s.row < n_rows,
             "{}: state after row {} to slot {} of {}", op, s.row, s.slot, rows.state.dim(0));
}

template <class Real>
template <class Fn>
void CpuBackend<Real>::between_saves(const RecurrentRows& rows, size_t s, Fn fn) {
  int32_t row = rows.plan.cu_q[s];
  const int32_t end = rows.plan.cu_q[s + 1];
  if (rows.state.defined())
    for (const AttnPlan::StateSave& save : rows.plan.state_saves) {
      if (save.row < row || save.row >= end) continue;
      fn(row, save.row + 1, save.slot);
      row = save.row + 1;
    }
  if (row < end) fn(row, end, -1);
}

template <class Real>
const Real* CpuBackend<Real>::transposed(const Tensor& w) {
  const int64_t n = w.dim(0), taps = w.dim(1);
  transposed_.resize(static_cast<size_t>(w.elements()));
  split(n, taps, [&](int64_t begin, int64_t end) {
    for (int64_t j = 0; j < taps; ++j)
      for (int64_t c = begin; c < end; ++c)
        transposed_[static_cast<size_t>(j * n + c)] = ptr(w)[c * taps + j];
  });
  return transposed_.data();
}

template <class Real>
void CpuBackend<Real>::causal_conv(const Tensor& out, const Tensor& x, const Tensor& w,
                                   const RecurrentRows& rows) {
  const int64_t channels = x.dim(1), taps = w.dim(1);
  QW_CHECK(w.dim(0) == channels && w.contiguous() && x.rows_dense() && out.contiguous(),
           "causal_conv of {} with {}", x.shape().str(), w.shape().str());
  check_recurrent("causal_conv", rows, x.dim(0), (taps - 1) * channels);
  const Real* weights = transposed(w);
  const AttnPlan& plan = rows.plan;
  for (size_t s = 0; s < plan.kv_len.size(); ++s) {
    const int64_t first = plan.cu_q[s], n = plan.cu_q[s + 1] - first;
    Real* window = rows.state.defined() ? state_row(rows, plan.state_slots[s]) : nullptr;
    const ConvCall<Real> call{
        ptr(out) + first * channels, ptr(x) + first * x.stride(0), weights, window, n, channels, x.stride(0),
        static_cast<int>(taps)};
    split(channels, (2 * taps + 6) * n, [&](int64_t begin, int64_t end) {
      table_.causal_conv(call, begin, end);
      if (window == nullptr) return;
      // The window after `done` rows: its inputs move towards the front, so copying in order is safe in
      // place.
      const auto keep = [&](Real* to, int64_t done) {
        for (int64_t j = 0; j + 1 < taps; ++j) {
          const int64_t i = done - taps + 1 + j;
          const Real* from = i >= 0 ? call.x + i * call.ldx : window + (i + taps - 1) * channels;
          std::memmove(to + j * channels + begin, from + begin,
                       static_cast<size_t>(end - begin) * sizeof(Real));
        }
      };
      between_saves(rows, s, [&](int32_t, int32_t run_end, int32_t slot) {
        if (slot >= 0) keep(state_row(rows, slot), run_end - first);
      });
      keep(window, n);
    });
  }
}

// A thread owns channels and goes through the documents in order: dw has one order of summation.
template <class Real>
void CpuBackend<Real>::causal_conv_backward(const Tensor& dx, const Tensor& dw, const Tensor& x,
                                            const Tensor& w, const AttnPlan& plan, const Tensor& dout) {
  const int64_t channels = x.dim(1), taps = w.dim(1);
  QW_CHECK(dout.contiguous() && dx.contiguous() && x.rows_dense(), "causal_conv_backward of {}",
           x.shape().str());
  check_recurrent("causal_conv_backward", {plan, {}}, x.dim(0), 0);
  const Real* weights = transposed(w);
  const bool learns = dw.defined();
  if (learns) partial_.assign(static_cast<size_t>(w.elements()), Real{0});
  split(channels, 8 * taps * x.dim(0), [&](int64_t begin, int64_t end) {
    for (size_t s = 0; s < plan.kv_len.size(); ++s) {
      const int64_t first = plan.cu_q[s], n = plan.cu_q[s + 1] - first;
      const ConvCall<Real> call{nullptr,     ptr(x) + first * x.stride(0), weights, nullptr, n, channels,
                                x.stride(0), static_cast<int>(taps)};
      table_.causal_conv_backward(
          call,
          {ptr(dx) + first * channels, learns ? partial_.data() : nullptr, ptr(dout) + first * channels},
          begin, end);
    }
    for (int64_t c = begin; learns && c < end; ++c)
      for (int64_t j = 0; j < taps; ++j)
        ptr(dw)[c * taps + j] += partial_[static_cast<size_t>(j * channels + c)];
  });
}

// softplus as torch has it: the identity above 20.
template <class Real>
Real softplus(Real x) {
  return x > Real{20} ? x : std::log1p(std::exp(x));
}

template <class Real>
void CpuBackend<Real>::delta_decay(const Tensor& g, const Tensor& a, const Tensor& a_log,
                                   const Tensor& dt_bias) {
  const int64_t heads = a.dim(1);
  QW_CHECK(a.rows_dense() && g.contiguous() && a_log.elements() == heads && dt_bias.elements() == heads,
           "delta_decay of {} with {}", a.shape().str(), a_log.shape().str());
  split(a.dim(0), 60 * heads, [&](int64_t begin, int64_t end) {
    for (int64_t t = begin; t < end; ++t)
      for (int64_t h = 0; h < heads; ++h)
        ptr(g)[t * heads + h] =
            -std::exp(ptr(a_log)[h]) * softplus(ptr(a)[t * a.stride(0) + h] + ptr(dt_bias)[h]);
  });
}

template <class Real>
void CpuBackend<Real>::delta_decay_backward(const DecayGrads& grads, const Tensor& a, const Tensor& a_log,
                                            const Tensor& dt_bias, const Tensor& dg) {
  const int64_t heads = a.dim(1), n = a.dim(0);
  split(heads, 60 * n, [&](int64_t begin, int64_t end) {
    for (int64_t h = begin; h < end; ++h) {
      const Real rate = -std::exp(ptr(a_log)[h]);
      Real sum_a_log = 0, sum_bias = 0;
      for (int64_t t = 0; t < n; ++t) {
        const Real x = ptr(a)[t * a.stride(0) + h] + ptr(dt_bias)[h], d = ptr(dg)[t * heads + h];
        const Real slope = x > Real{20} ? Real{1} : Real{1} / (Real{1} + std::exp(-x));
        const Real da = d * rate * slope;
        ptr(grads.da)[t * heads + h] = da;
        sum_a_log += d * rate * softplus(x);
        sum_bias += da;
      }
      if (grads.da_log.defined()) ptr(grads.da_log)[h] += sum_a_log;
      if (grads.ddt_bias.defined()) ptr(grads.ddt_bias)[h] += sum_bias;
    }
  });
}

inline constexpr int kDeltaColumns =
    64;  // of a head that a unit has where whole heads would leave threads idle

template <class Real>
DeltaCall<Real> CpuBackend<Real>::delta_call(const DeltaArgs& a, const Tensor& out) {
  QW_CHECK(a.qkv.rows_dense() &&
               a.qkv.dim(1) == 2 * int64_t{a.k_heads} * a.k_dim + int64_t{a.v_heads} * a.v_dim &&
               a.v_heads % a.k_heads == 0 && a.g.contiguous() && a.beta.contiguous() && out.contiguous(),
           "gated_delta of {} with {} and {} heads", a.qkv.shape().str(), a.k_heads, a.v_heads);
  return {ptr(out),  ptr(a.qkv), ptr(a.g), ptr(a.beta), a.qkv.stride(0),
          a.k_heads, a.v_heads,  a.k_dim,  a.v_dim};
}

template <class Real>
void CpuBackend<Real>::gated_delta(const Tensor& out, const DeltaArgs& args, const RecurrentRows& rows) {
  const int64_t dk = args.k_dim, dv = args.v_dim, heads = args.v_heads, size = dk * dv;
  const DeltaCall<Real> call = delta_call(args, out);
  check_recurrent("gated_delta", rows, args.qkv.dim(0), heads * size);
  const AttnPlan& plan = rows.plan;
  const int64_t whole = plan.n_seqs() * heads;
  const int64_t columns = whole < 2 * pool_.threads() ? std::min<int64_t>(dv, kDeltaColumns) : dv;
  const int64_t parts = (dv + columns - 1) / columns;
  const int64_t work =
      args.chunked ? kDeltaChunk * (4 * dk + dv + 2 * int64_t{kDeltaChunk} + 3) : 2 * dk;  // then a state
  const auto kernel = args.chunked ? table_.delta_chunk : table_.delta_step;
  reserve_scratch(work + size);
  const int64_t cost = 4 * dk * columns * std::max<int64_t>(args.qkv.dim(0) / std::max(plan.n_seqs(), 1), 1);
  const auto part = [&](int64_t i, Real* mine) {
    const auto s = static_cast<size_t>(i / (heads * parts));
    const int64_t head = i / parts % heads, column = i % parts * columns,
                  width = std::min(columns, dv - column);
    DeltaUnit<Real> unit{
        mine + work, 0, 0, static_cast<int>(head), static_cast<int>(column), static_cast<int>(width)};
    if (rows.state.defined())
      unit.state = state_row(rows, plan.state_slots[s]) + head * size;
    else
      std::fill(unit.state, unit.state + size, Real{0});
    between_saves(rows, s, [&](int32_t row, int32_t run_end, int32_t slot) {
      unit.row0 = row;
      unit.rows = run_end - row;
      kernel(call, unit, mine);
      if (slot < 0) return;
      Real* saved = state_row(rows, slot) + head * size;
      for (int64_t k = 0; k < dk; ++k)
        std::memcpy(saved + k * dv + column, unit.state + k * dv + column,
                    static_cast<size_t>(width) * sizeof(Real));
    });
  };
  pool_.parallel_for(whole * parts, kInlineCost / std::max<int64_t>(cost, 1) + 1,
                     [&](int64_t begin, int64_t end, int thread) {
                       for (int64_t i = begin; i < end; ++i) part(i, scratch(thread));
                     });
}

template <class Real>
void CpuBackend<Real>::gated_delta_backward(const DeltaGrads& grads, const DeltaArgs& args,
                                            const AttnPlan& plan, const Tensor& dout) {
  QW_CHECK(grads.dqkv.contiguous() && grads.dg.contiguous() && grads.dbeta.contiguous(),
           "gated_delta_backward needs contiguous gradients");
  check_recurrent("gated_delta_backward", {plan, {}}, args.qkv.dim(0), 0);
  const DeltaCall<Real> call = delta_call(args, dout);
  const cpu::DeltaGrads<Real> out{ptr(grads.dqkv), ptr(grads.dg), ptr(grads.dbeta), ptr(dout)};
  const int64_t dk = args.k_dim, dv = args.v_dim;
  int64_t longest = 0;
  for (const int32_t n : plan.kv_len) longest = std::max<int64_t>(longest, n);
  const int64_t chunks = (longest + kDeltaChunk - 1) / kDeltaChunk;
  reserve_scratch(dk * dv * (chunks + kDeltaChunk + 2) + (kDeltaChunk + 2) * (2 * dk + 2 * dv + 2));
  pool_.parallel_for(int64_t{plan.n_seqs()} * args.k_heads, 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; ++i) {
      const auto s = static_cast<size_t>(i / args.k_heads);
      table_.delta_backward(
          call, out, {plan.cu_q[s], plan.cu_q[s + 1] - plan.cu_q[s], static_cast<int>(i % args.k_heads)},
          scratch(thread));
    }
  });
}

}  // namespace qw::cpu
