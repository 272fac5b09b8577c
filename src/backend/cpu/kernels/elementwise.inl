// Element-wise kernels, conversions and sums. Included inside an anonymous namespace.
#pragma once

#include "backend/cpu/kernels/math.inl"

template <class V>
struct Elementwise {
  using R = typename V::Real;
  using vec = typename V::vec;

  static void add(R* out, const R* a, const R* b, int64_t n) {
    for_vectors<V>(0, n, [=](auto load, auto store) { store(out, V::add(load(a), load(b))); });
  }
  static void scale(R* out, const R* a, R s, int64_t n) {
    const vec f = V::set1(s);
    for_vectors<V>(0, n, [=](auto load, auto store) { store(out, V::mul(load(a), f)); });
  }
  static void axpy(R* y, R a, const R* x, int64_t n) {
    const vec f = V::set1(a);
    for_vectors<V>(0, n, [=](auto load, auto store) { store(y, V::fma(f, load(x), load(y))); });
  }
  static void exp(R* out, const R* x, int64_t n) {
    for_vectors<V>(0, n, [=](auto load, auto store) { store(out, vexp<V>(load(x))); });
  }
  static void silu_mul(R* out, const R* gate, const R* up, int64_t n) {
    const vec one = V::set1(R{1}), zero = V::set1(R{0});
    for_vectors<V>(0, n, [=](auto load, auto store) {
      const vec g = load(gate);
      store(out, V::mul(V::div(g, V::add(one, vexp<V>(V::sub(zero, g)))), load(up)));
    });
  }
  // With s = sigmoid(g): d silu/dg = s (1 + g (1 - s)).
  static void silu_mul_backward(R* dgate, R* dup, const R* gate, const R* up, const R* dout, int64_t n) {
    const vec one = V::set1(R{1});
    for_vectors<V>(0, n, [=](auto load, auto store) {
      const vec g = load(gate), d = load(dout), u = load(up);
      const vec s = vsigmoid<V>(g);
      const vec slope = V::mul(s, V::fma(g, V::sub(one, s), one));
      store(dup, V::mul(d, V::mul(g, s)));
      store(dgate, V::mul(d, V::mul(u, slope)));
    });
  }
  static void sigmoid(R* out, const R* x, int64_t n) {
    for_vectors<V>(0, n, [=](auto load, auto store) { store(out, vsigmoid<V>(load(x))); });
  }
  static void sigmoid_backward(R* dx, const R* out, const R* dout, int64_t n) {
    const vec one = V::set1(R{1});
    for_vectors<V>(0, n, [=](auto load, auto store) {
      const vec s = load(out);
      store(dx, V::mul(load(dout), V::mul(s, V::sub(one, s))));
    });
  }
  static void sigmoid_mul(R* out, const R* gate, const R* x, int64_t n) {
    for_vectors<V>(0, n,
                   [=](auto load, auto store) { store(out, V::mul(load(x), vsigmoid<V>(load(gate)))); });
  }
  static void sigmoid_mul_backward(R* dgate, R* dx, const R* gate, const R* x, const R* dout, int64_t n) {
    const vec one = V::set1(R{1});
    for_vectors<V>(0, n, [=](auto load, auto store) {
      const vec s = vsigmoid<V>(load(gate)), d = V::mul(load(dout), s);
      store(dgate, V::mul(V::mul(d, load(x)), V::sub(one, s)));
      store(dx, d);
    });
  }

  static double sum(const R* x, int64_t n) {
    double total = 0;
    for (int64_t i = 0; i < n; ++i) total += static_cast<double>(x[i]);
    return total;
  }
  static double sum_squares(const R* x, int64_t n) {
    double total = 0;
    for (int64_t i = 0; i < n; ++i) total += static_cast<double>(x[i]) * static_cast<double>(x[i]);
    return total;
  }

  // In the order of torch.optim.AdamW (single tensor): decay, lerp of m, v, step.
  static void adamw(const AdamWCall<R>& c, R* param, const R* grad, R* m, R* v, int64_t n) {
    const vec decay = V::set1(c.decay), keep1 = V::set1(c.keep1), beta2 = V::set1(c.beta2);
    const vec keep2 = V::set1(c.keep2), step = V::set1(-c.step_size), eps = V::set1(c.eps);
    const vec bias2 = V::set1(c.sqrt_bias2), gs = V::set1(c.grad_scale);
    for_vectors<V>(0, n, [=](auto load, auto store) {
      const vec g = V::mul(load(grad), gs);
      const vec old = load(m);
      const vec mean = V::fma(keep1, V::sub(g, old), old);
      const vec square = V::fma(V::mul(keep2, g), g, V::mul(beta2, load(v)));
      const vec denominator = V::add(V::div(V::sqrt(square), bias2), eps);
      store(m, mean);
      store(v, square);
      store(param, V::fma(step, V::div(mean, denominator), V::mul(load(param), decay)));
    });
  }

  static double read_number(const void* p, Number type, int64_t i) {
    const auto* b = static_cast<const uint8_t*>(p);
    switch (type) {
      case kNumF32:
        return static_cast<double>(scalar_load<float>(b + 4 * i));
      case kNumF64:
        return scalar_load<double>(b + 8 * i);
      case kNumF16:
        return static_cast<double>(scalar_f16(b + 2 * i));
      default:
        return static_cast<double>(scalar_bf16(b + 2 * i));
    }
  }
  static void write_number(void* p, Number type, int64_t i, double x) {
    auto* b = static_cast<uint8_t*>(p);
    const auto f = static_cast<float>(x);
    switch (type) {
      case kNumF32:
        __builtin_memcpy(b + 4 * i, &f, sizeof f);
        break;
      case kNumF64:
        __builtin_memcpy(b + 8 * i, &x, sizeof x);
        break;
      case kNumF16:
        scalar_to_f16(b + 2 * i, x);
        break;
      default:
        scalar_to_bf16(b + 2 * i, x);
    }
  }
  // Every value passes through double, which holds all of them, so that narrowing rounds once.
  static void convert(void* dst, Number to, const void* src, Number from, int64_t n) {
    constexpr Number real = sizeof(R) == 4 ? kNumF32 : kNumF64;
    int64_t i = 0;
    const auto* s = static_cast<const uint8_t*>(src);
    if (to == real && (from == kNumF16 || from == kNumBf16))
      for (auto* d = static_cast<R*>(dst); i + V::kLanes <= n; i += V::kLanes)
        V::store(d + i, from == kNumF16 ? V::load_f16(s + 2 * i) : V::load_bf16(s + 2 * i));
    if (to == kNumF16 && from == real)
      for (auto* d = static_cast<uint8_t*>(dst); i + V::kLanes <= n; i += V::kLanes)
        V::store_f16(d + 2 * i, V::load(static_cast<const R*>(src) + i));
    for (; i < n; ++i) write_number(dst, to, i, read_number(src, from, i));
  }
};
