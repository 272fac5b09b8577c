// A workbench for tests of ops: a backend, an arena, host arrays in and out, and the gradient check in double
// precision.
#pragma once

#include <gtest/gtest.h>

#include <cmath>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "backend/cpu/cpu_backend.h"
#include "base/rng.h"
#include "core/tape.h"

namespace qw::test {

class OpBench {
 public:
  explicit OpBench(std::unique_ptr<Backend> b) : backend(std::move(b)), arena(*backend) {}
  static OpBench f64() { return OpBench(make_cpu_backend_f64().value()); }

  Tensor make(const Shape& shape, const std::vector<double>& values) {
    const Tensor t = arena.alloc(shape, backend->real());
    if (backend->real() == DType::f64) {
      backend->upload(t, values.data());
    } else {
      const std::vector<float> narrow(values.begin(), values.end());
      backend->upload(t, narrow.data());
    }
    return t;
  }
  std::vector<double> read(const Tensor& t) {
    const auto n = static_cast<size_t>(t.elements());
    std::vector<double> out(n);
    if (t.dtype() == DType::f64) {
      backend->download(out.data(), t);
    } else {
      std::vector<float> narrow(n);
      backend->download(narrow.data(), t);
      out.assign(narrow.begin(), narrow.end());
    }
    return out;
  }
  // A trainable float weight, owned outside the arena.
  Weight weight(const std::string& name, const Shape& shape, const std::vector<double>& values) {
    Weight w;
    w.name = name;
    w.shape = shape;
    w.trainable = true;
    const DType real = backend->real();
    w.format = real == DType::f64 ? QuantFormat::f64 : QuantFormat::f32;
    const auto bytes = values.size() * static_cast<size_t>(traits(real).bytes);
    w.data = Tensor(backend->alloc(bytes).value(), 0, shape, real);
    set(w.data, values);
    return w;
  }
  void set(const Tensor& t, const std::vector<double>& values) { backend->copy(t, make(t.shape(), values)); }

  std::unique_ptr<Backend> backend;
  Arena arena;
};

inline std::vector<double> random_values(int64_t n, uint64_t seed, double scale = 1.0) {
  std::vector<double> v(static_cast<size_t>(n));
  for (size_t i = 0; i < v.size(); ++i) v[i] = scale * Rng(seed).normal(i);
  return v;
}

// An op under test: activations in, one tensor out. Weights are captured by the caller and listed for their
// gradients.
using OpUnderTest = std::function<Tensor(Ctx&, const std::vector<Tensor>&)>;

// Checks d(Σ r·out)/d(every element of every input and weight) against central differences, r random. Steps
// of 1e-5 in f64 leave an error of about 1e-10 · |f'''|; 1e-6 relative to the largest gradient separates
// right from wrong by far.
inline void check_gradients(OpBench& bench, const std::vector<Shape>& shapes, std::vector<Weight*> weights,
                            const OpUnderTest& op, double input_scale = 1.0) {
  std::vector<std::vector<double>> values;
  for (size_t i = 0; i < shapes.size(); ++i)
    values.push_back(random_values(shapes[i].elements(), 100 + i, input_scale));

  const auto inputs = [&] {
    std::vector<Tensor> t;
    for (size_t i = 0; i < shapes.size(); ++i) t.push_back(bench.make(shapes[i], values[i]));
    return t;
  };
  Gradients gradients(*bench.backend);
  Tape tape(gradients);
  Ctx cx{*bench.backend, bench.arena, &tape};
  std::vector<Tensor> leaves = inputs();
  for (Tensor& t : leaves) tape.watch(t);
  const Tensor out = op(cx, leaves);
  const std::vector<double> r = random_values(out.elements(), 7);
  tape.backward(cx, out, bench.make(out.shape(), r));

  const auto objective = [&] {
    Ctx plain{*bench.backend, bench.arena};
    const std::vector<double> y = bench.read(op(plain, inputs()));
    double sum = 0;
    for (size_t i = 0; i < y.size(); ++i) sum += r[i] * y[i];
    return sum;
  };
  const auto compare = [&](const std::string& what, const Tensor& analytic, std::vector<double>& x,
                           auto apply) {
    ASSERT_TRUE(analytic.defined()) << what << " received no gradient";
    const std::vector<double> got = bench.read(analytic);
    double largest = 1e-3;
    for (const double g : got) largest = std::max(largest, std::abs(g));
    for (size_t i = 0; i < x.size(); ++i) {
      const double keep = x[i];
      const double h = 1e-5;
      x[i] = keep + h;
      apply();
      const double up = objective();
      x[i] = keep - h;
      apply();
      const double down = objective();
      x[i] = keep;
      apply();
      ASSERT_NEAR(got[i], (up - down) / (2 * h), 1e-6 * largest) << what << " element " << i;
    }
  };
  for (size_t i = 0; i < shapes.size(); ++i)
    compare("input " + std::to_string(i), tape.grad(leaves[i]), values[i], [] {});
  for (Weight* w : weights) {
    std::vector<double> x = bench.read(w->data);
    compare(w->name, gradients.of(*w), x, [&] { bench.set(w->data, x); });
  }
}

}  // namespace qw::test
