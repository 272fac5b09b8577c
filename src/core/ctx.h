// Ctx: the first argument of every op. What varies between inference, training and tracing is here, so that a
// model file is written once.
#pragma once

#include <functional>
#include <string_view>

#include "core/adapter.h"
#include "core/arena.h"
#include "core/backend.h"

namespace qw {

class Tape;

// Receives named values of a forward pass ("embed", "layers.3", "layers.3.self_attn.q_proj", "norm").
using Trace = std::function<void(std::string_view name, const Tensor& value)>;

// Receives what every matrix is multiplied with, [T, K]: of an expert its own rows, also where there are
// none.
using InputTrace = std::function<void(const Weight& w, const Tensor& x)>;

struct Ctx {
  Backend& backend;
  Arena& arena;
  Tape* tape = nullptr;                  // null: inference, nothing is recorded
  const Trace* trace = nullptr;          // null: no taps
  const InputTrace* inputs = nullptr;    // null: nobody asks
  const AdapterMap* adapters = nullptr;  // null: the base model alone
  // Under a tape: dropout before the adapters, as PEFT has it. One key a step and micro-batch.
  struct {
    double p = 0.0;
    uint64_t key = 0;
  } adapter_dropout = {};
  bool recompute = false;  // under a tape: layers keep their input alone and run again (nn/scratch.h)

  Tensor alloc(const Shape& shape) const { return arena.alloc(shape, backend.real()); }
  void tap(std::string_view name, const Tensor& value) const {
    if (trace != nullptr) (*trace)(name, value);
  }
};

}  // namespace qw
