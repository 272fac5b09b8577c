// Members of CpuBackend: the KV store and attention. Included by cpu_backend.cc.
#pragma once

#include "backend/cpu/cpu_impl.h"
#include "backend/cpu/host/memory.inl"

namespace qw::cpu {

inline constexpr int kAttnRows =
    16;  // query rows of a unit: enough to share a key block, few enough to spread

template <class Real>
void CpuBackend<Real>::kv_store(const PagedKv& kv, const Tensor& k, const Tensor& v, const Tensor& slots) {
  const int64_t heads = k.dim(1), hd = k.dim(2);
  QW_CHECK(
      kv.k.dim(1) == heads && kv.k.dim(2) == hd && kv.k.dim(3) == kPage && k.rows_dense() && v.rows_dense(),
      "kv_store of {} in {}", k.shape().str(), kv.k.shape().str());
  const int64_t size = traits(kv.k.dtype()).bytes;
  const auto number = static_cast<Number>(kv.k.dtype());
  constexpr auto real_number = sizeof(Real) == 4 ? kNumF32 : kNumF64;
  split(k.dim(0), 8 * heads * hd, [&](int64_t begin, int64_t end) {
    std::byte row[2048 * sizeof(double)];  // one head of k, already in the type of the page
    QW_CHECK(hd <= 2048, "head_dim {}", hd);
    for (int64_t t = begin; t < end; ++t) {
      const int64_t page = ints(slots)[t] / kPage, offset = ints(slots)[t] % kPage;
      for (int64_t h = 0; h < heads; ++h) {
        const int64_t base = (page * heads + h) * hd * kPage;
        auto* to_k = static_cast<std::byte*>(kv.k.device_ptr()) + (base + offset) * size;
        auto* to_v = static_cast<std::byte*>(kv.v.device_ptr()) + (base + offset * hd) * size;
        table_.convert(row, number, ptr(k) + t * k.stride(0) + h * k.stride(1), real_number, hd);
        for (int64_t d = 0; d < hd; ++d)
          std::memcpy(to_k + d * kPage * size, row + d * size, static_cast<size_t>(size));
        table_.convert(to_v, number, ptr(v) + t * v.stride(0) + h * v.stride(1), real_number, hd);
      }
    }
  });
}

template <class Real>
void CpuBackend<Real>::plan_queries(const AttnArgs& args, int kv_heads, const int32_t* tables,
                                    int64_t max_blocks) {
  units_.clear();
  const auto heads = static_cast<int>(args.q.dim(1));
  const int group = heads / kv_heads;
  const int64_t rows = args.q.dim(0);
  // The heads of a group share the pages they read. Only where threads would idle do they work one by one.
  const bool spread = rows * kv_heads < pool_.threads();
  const int heads_a_unit = spread ? 1 : std::min(group, kAttnQueries);
  const int rows_a_unit = std::max(1, std::min(kAttnRows, kAttnQueries / heads_a_unit));
  for (size_t s = 0; s < args.host_kv_len.size(); ++s) {
    const int first = args.host_cu_q[s], end = args.host_cu_q[s + 1], length = args.host_kv_len[s];
    QW_CHECK(end >= first && end - first <= length, "sequence {}: {} rows of {} keys", s, end - first,
             length);
    for (int r = first; r < end; r += rows_a_unit)
      for (int kv_head = 0; kv_head < kv_heads; ++kv_head)
        for (int h = 0; h < group; h += heads_a_unit)
          units_.push_back({r, std::min(rows_a_unit, end - r), length - end + r, kv_head * group + h,
                            std::min(heads_a_unit, group - h), first,
                            tables != nullptr ? tables + static_cast<int64_t>(s) * max_blocks : nullptr});
  }
}

template <class Real>
AttnCall<Real> CpuBackend<Real>::attn_call(const AttnArgs& args, int kv_heads, const Tensor& out) const {
  const auto heads = static_cast<int>(args.q.dim(1)), hd = static_cast<int>(args.q.dim(2));
  QW_CHECK(args.q.rows_dense() && heads % kv_heads == 0 && out.contiguous(),
           "attention of {} with {} KV heads", args.q.shape().str(), kv_heads);
  AttnCall<Real> c{};
  c.q = ptr(args.q);
  c.out = ptr(out);
  c.q_row = args.q.stride(0);
  c.q_head = args.q.stride(1);
  c.heads = heads;
  c.kv_heads = kv_heads;
  c.hd = hd;
  c.window = args.window;
  c.scale = static_cast<Real>(args.scale);
  return c;
}

template <class Real>
AttnCall<Real> CpuBackend<Real>::dense_call(const AttnArgs& args, const Tensor& out, const Tensor& k,
                                            const Tensor& v) const {
  QW_CHECK(k.rows_dense() && v.rows_dense() && k.shape() == v.shape(), "attention with keys {} and values {}",
           k.shape().str(), v.shape().str());
  for (size_t s = 0; s < args.host_kv_len.size(); ++s)
    QW_CHECK(args.host_cu_q[s + 1] - args.host_cu_q[s] == args.host_kv_len[s],
             "dense attention: sequence {} has keys outside the batch", s);
  AttnCall<Real> call = attn_call(args, static_cast<int>(k.dim(1)), out);
  call.kind = kKvDense;
  call.k = ptr(k);
  call.v = ptr(v);
  call.k_row = k.stride(0);
  call.k_head = k.stride(1);
  call.v_row = v.stride(0);
  call.v_head = v.stride(1);
  return call;
}

template <class Real>
template <class Fn>
void CpuBackend<Real>::run_units(int64_t n, int64_t hd, Fn fn) {
  reserve_scratch(kAttnScratchPerDim * hd + kAttnScratchFixed);
  pool_.parallel_for(n, 1, [&](int64_t begin, int64_t end, int thread) {
    for (int64_t i = begin; i < end; ++i) fn(static_cast<size_t>(i), scratch(thread));
  });
}

template <class Real>
void CpuBackend<Real>::attention_paged(const Tensor& out, const AttnArgs& args, const PagedKv& kv) {
  const auto kv_heads = static_cast<int>(kv.k.dim(1));
  AttnCall<Real> call = attn_call(args, kv_heads, out);
  QW_CHECK(kv.k.dtype() == real() || kv.k.dtype() == DType::f16, "KV pages of {}", traits(kv.k.dtype()).name);
  call.k = kv.k.device_ptr();
  call.v = kv.v.device_ptr();
  call.kind = kv.k.dtype() == DType::f16 ? kKvPagedF16 : kKvPagedReal;
  plan_queries(args, kv_heads, ints(kv.block_table), kv.block_table.dim(1));
  run_units(static_cast<int64_t>(units_.size()), call.hd,
            [&](size_t i, Real* s) { table_.attention(call, units_[i], s); });
}

template <class Real>
void CpuBackend<Real>::attention_dense(const Tensor& out, const Tensor& lse, const AttnArgs& args,
                                       const Tensor& k, const Tensor& v) {
  AttnCall<Real> call = dense_call(args, out, k, v);
  call.lse = lse.defined() ? ptr(lse) : nullptr;
  plan_queries(args, call.kv_heads, nullptr, 0);
  run_units(static_cast<int64_t>(units_.size()), call.hd,
            [&](size_t i, Real* s) { table_.attention(call, units_[i], s); });
}

template <class Real>
void CpuBackend<Real>::attention_dense_backward(const AttnGrads& grads, const AttnArgs& args, const Tensor& k,
                                                const Tensor& v, const Tensor& out, const Tensor& lse,
                                                const Tensor& dout) {
  QW_CHECK(grads.dq.contiguous() && grads.dk.contiguous() && grads.dv.contiguous() && dout.rows_dense(),
           "attention_dense_backward needs contiguous gradients");
  deltas_.resize(static_cast<size_t>(lse.elements()));
  AttnBackwardCall<Real> call{dense_call(args, out, k, v),
                              ptr(dout),
                              deltas_.data(),
                              ptr(grads.dq),
                              ptr(grads.dk),
                              ptr(grads.dv),
                              dout.stride(0),
                              dout.stride(1)};
  call.fwd.lse = ptr(lse);
  backward_units_.clear();
  for (size_t s = 0; s < args.host_kv_len.size(); ++s)
    for (int h = 0; h < call.fwd.kv_heads; ++h)
      backward_units_.push_back({args.host_cu_q[s], args.host_kv_len[s], h});
  // The longest first: the threads then end together.
  std::stable_sort(backward_units_.begin(), backward_units_.end(),
                   [](const auto& a, const auto& b) { return a.length > b.length; });
  run_units(static_cast<int64_t>(backward_units_.size()), call.fwd.hd,
            [&](size_t i, Real* s) { table_.attention_backward(call, backward_units_[i], s); });
}

}  // namespace qw::cpu
