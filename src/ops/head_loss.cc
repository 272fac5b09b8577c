#include "ops/head_loss.h"

#include <algorithm>

#include "ops/dims.h"
#include "ops/linear.h"

namespace qw::ops {
namespace {

// The adapters of rows [first, first + n) of a batch, as ranges of a chunk that begins there.
AdapterMap adapters_of_chunk(const AdapterMap& whole, int64_t first, int64_t n) {
  AdapterMap out;
  for (const AdapterRange& r : whole) {
    const int64_t begin = std::max(r.begin - first, int64_t{0}), end = std::min(r.end - first, n);
    if (begin < end) out.push_back({begin, end, r.set});
  }
  return out;
}

void append(Backend& backend, const Tensor& loss, std::vector<double>& to) {
  const auto n = static_cast<size_t>(loss.elements());
  if (loss.dtype() == DType::f64) {
    to.resize(to.size() + n);
    backend.download(to.data() + to.size() - n, loss);
    return;
  }
  std::vector<float> host(n);
  backend.download(host.data(), loss);
  to.insert(to.end(), host.begin(), host.end());
}

}  // namespace

int64_t head_chunk_rows(int64_t vocab) {
  constexpr int64_t kLogits = int64_t{1} << 23;
  return std::clamp<int64_t>(kLogits / std::max<int64_t>(vocab, 1), 64, 1024);
}

std::vector<double> head_loss(Ctx& cx, const Tensor& features, const Weight& head, const RowLoss& row_loss) {
  Dims d("head_loss");
  d.arg("features", features, "RD").arg(head.name, head.shape, "VD");
  Tape* const tape = cx.tape;
  const bool back = tape != nullptr && Tape::wants(features);
  Tensor dfeatures;
  if (back) dfeatures = cx.alloc(features.shape());
  std::vector<double> losses;
  const int64_t step = head_chunk_rows(d['V']);
  for (int64_t first = 0; first < d['R']; first += step) {
    const int64_t n = std::min(step, d['R'] - first);
    const Arena::Mark mark = cx.arena.mark();
    AdapterMap adapters;
    if (cx.adapters != nullptr) adapters = adapters_of_chunk(*cx.adapters, first, n);
    Ctx chunk = cx;
    chunk.adapters = cx.adapters != nullptr ? &adapters : nullptr;
    Tensor x = features.slice(0, first, n);
    x.set_tape_id(kConstant);
    const Tensor loss = cx.alloc({n});
    if (tape == nullptr) {
      row_loss(chunk, linear(chunk, x, head), first, loss, {});
    } else {
      Tape inner(tape->weights());
      chunk.tape = &inner;
      if (back) inner.watch(x);
      const Tensor logits = linear(chunk, x, head);
      const bool learns = Tape::wants(logits);
      const Tensor dlogits = learns ? cx.alloc(logits.shape()) : Tensor();
      row_loss(chunk, logits, first, loss, dlogits);
      if (learns) inner.backward(chunk, logits, dlogits);
      if (back) cx.backend.copy(dfeatures.slice(0, first, n), inner.grad(x));
    }
    append(cx.backend, loss, losses);
    cx.arena.rewind(mark);
  }
  if (back) tape->backward(cx, features, dfeatures);
  return losses;
}

RowLoss cross_entropy_rows(std::span<const int32_t> targets, std::span<const float> weights) {
  return [targets, weights](Ctx& cx, const Tensor& logits, int64_t first, const Tensor& loss,
                            const Tensor& dlogits) {
    const auto begin = static_cast<size_t>(first), n = static_cast<size_t>(logits.dim(0));
    const Tensor target = cx.arena.upload(targets.subspan(begin, n));
    cx.backend.cross_entropy(loss, logits, target);
    if (!dlogits.defined()) return;
    cx.backend.cross_entropy_backward(dlogits, logits, target,
                                      cx.arena.upload_real(weights.subspan(begin, n)));
  };
}

}  // namespace qw::ops
