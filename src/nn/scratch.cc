#include "nn/scratch.h"

namespace qw::nn {
namespace {

// A layer that was run under its own tape: what goes in, what comes out.
struct Inner {
  explicit Inner(Gradients& gradients) : tape(gradients) {}
  Tape tape;
  Tensor in, out;
};

Ctx on_tape(const Ctx& cx, Tape* tape) {
  Ctx inner = cx;
  inner.tape = tape;
  return inner;
}

void run(Ctx& cx, Inner& inner, const Tensor& x, bool want_dx, const LayerFunction& layer) {
  inner.in = x;
  inner.in.set_tape_id(kConstant);
  if (want_dx) inner.tape.watch(inner.in);
  Ctx inside = on_tape(cx, &inner.tape);
  inner.out = layer(inside, inner.in);
}

// The gradient of the layer's input, all else given back; undefined where it is not wanted.
Tensor backward(Ctx& cx, Inner& inner, const Tensor& dout, const Tensor& dx) {
  Ctx inside = on_tape(cx, nullptr);
  inner.tape.backward(inside, inner.out, dout);
  if (dx.defined()) cx.backend.copy(dx, inner.tape.grad(inner.in));
  return dx;
}

}  // namespace

Tensor record_layer(Ctx& cx, const Tensor& x, LayerFunction layer) {
  Tape* const outer = cx.tape;
  const bool want_dx = Tape::wants(x);
  std::shared_ptr<Inner> kept;
  Tensor out;
  if (cx.recompute) {
    out = cx.alloc(x.shape());
    const Arena::Mark mark = cx.arena.mark();
    Inner once(outer->weights());  // its records are thrown away, but tell whether anything in there learns
    run(cx, once, x, want_dx, layer);
    cx.backend.copy(out, once.out);
    cx.arena.rewind(mark);
    if (!Tape::wants(once.out)) return out;
  } else {
    kept = std::make_shared<Inner>(outer->weights());
    run(cx, *kept, x, want_dx, layer);
    out = kept->out;
    if (!Tape::wants(out)) return out;
  }
  outer->record(out, [x, want_dx, kept, outer, layer = std::move(layer)](Ctx& c, const Tensor& dout) {
    Tensor dx;
    if (want_dx) dx = c.alloc(x.shape());
    const Arena::Mark mark = c.arena.mark();
    if (kept) {
      backward(c, *kept, dout, dx);
    } else {
      Inner again(outer->weights());
      run(c, again, x, want_dx, layer);
      backward(c, again, dout, dx);
    }
    c.arena.rewind(mark);
    if (dx.defined()) outer->accumulate(c, x, dx);
  });
  return out;
}

}  // namespace qw::nn
