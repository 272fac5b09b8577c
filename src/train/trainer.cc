#include "train/trainer.h"

#include <algorithm>
#include <cmath>

#include "engine/dry_backend.h"

namespace qw::train {
namespace {

OptimizerOptions optimizer_options(const TrainConfig& c) {
  return {.muon = c.optimizer == "muon",
          .beta1 = c.betas[0],
          .beta2 = c.betas[1],
          .eps = c.eps,
          .weight_decay = c.weight_decay,
          .max_grad_norm = c.max_grad_norm};
}

double dropout_of(const TrainConfig& c) {
  return c.method != "full" ? c.lora.dropout : 0.0;
}

constexpr DType kPlanned = DType::f32;

size_t bytes_of(const Weight& w) {
  return static_cast<size_t>(w.shape.elements() * traits(kPlanned).bytes);
}

size_t bytes_of(const Dataset& data) {
  return data.ids.size() * sizeof(int32_t) + data.target.size() + data.documents.size() * sizeof(Document);
}

// Bytes of activations; the arena of `cx` is reset first.
size_t peak_of_largest(Ctx& cx, Objective& objective, const Dataset& data, const TrainConfig& config) {
  if (objective.prepare({SampleOrder(data, config).largest()}, 0)) objective.run(cx, 0, 1.0);
  return cx.arena.peak_bytes();
}

}  // namespace

Trainer::Trainer(TrainerParts parts, const TrainConfig& config, Optimizer optimizer)
    : config_(config),
      parts_(std::move(parts)),
      order_(parts_.data, config_),
      gradients_(parts_.backend),
      arena_(parts_.backend),
      optimizer_(std::move(optimizer)) {
  schedule_ = {.kind = config.schedule,
               .lr = config.lr,
               .min_lr = config.min_lr,
               .steps = config.steps > 0 ? config.steps : order_.steps_in(config.epochs),
               .warmup_steps = config.warmup_steps,
               .decay_steps = config.decay_steps};
}

Result<std::unique_ptr<Trainer>> Trainer::create(TrainerParts parts, const TrainConfig& config) {
  QW_TRY(Optimizer optimizer, Optimizer::create(parts.backend, optimizer_options(config), parts.weights));
  std::vector<Tensor> average;
  if (config.ema > 0) {
    for (const Weight* w : parts.weights) {
      QW_TRY(StoragePtr storage, parts.backend.alloc(w->data.bytes()));
      average.emplace_back(std::move(storage), 0, w->shape, parts.backend.real());
      parts.backend.copy(average.back(), w->data);
    }
  }
  std::unique_ptr<Trainer> out(new Trainer(std::move(parts), config, std::move(optimizer)));
  out->average_ = std::move(average);
  return out;
}

Ctx Trainer::context(Tape* tape, uint64_t micro) {
  Ctx cx{parts_.backend, arena_, tape};
  cx.recompute = config_.recompute;
  cx.adapter_dropout.p = dropout_of(config_);
  cx.adapter_dropout.key =
      (static_cast<uint64_t>(config_.seed) << 40) ^
      (static_cast<uint64_t>(done()) * static_cast<uint64_t>(config_.grad_accum) + micro);
  return cx;
}

Result<StepResult> Trainer::step() {
  std::vector<std::vector<int64_t>> micros;
  const DataPlace before = order_.place();
  for (int i = 0; i < config_.grad_accum; ++i) micros.push_back(order_.next());
  StepResult out;
  out.step = done() + 1;
  out.lr = learning_rate(schedule_, out.step);
  QW_TRY(const int64_t terms, parts_.objective->prepare(micros, out.step));
  const double weight = 1.0 / static_cast<double>(std::max<int64_t>(terms, 1));
  gradients_.zero();
  double sum = 0;
  for (size_t i = 0; i < micros.size(); ++i) {
    Tape tape(gradients_);
    Ctx cx = context(&tape, i);
    sum += parts_.objective->run(cx, i, weight);
  }
  out.loss = sum * weight;
  out.tokens = parts_.objective->tokens();
  out.metrics = parts_.objective->metrics();
  const auto refuse = [&](const char* what) {
    order_.go_to(before);
    return fail("train.non_finite", {{"step", out.step}, {"what", what}});
  };
  if (!std::isfinite(out.loss)) return refuse("loss");
  arena_.reset();
  out.grad_norm = optimizer_.step(gradients_, arena_, out.lr);
  if (!std::isfinite(out.grad_norm)) return refuse("grad_norm");
  for (size_t i = 0; i < average_.size(); ++i) {
    parts_.backend.scale(average_[i], average_[i], config_.ema);
    parts_.backend.axpy(average_[i], 1.0 - config_.ema, parts_.weights[i]->data);
  }
  return out;
}

Result<EvalResult> Trainer::evaluate() {
  QW_CHECK(parts_.eval_objective != nullptr && parts_.eval_data != nullptr);
  const Averaged averaged(*this);
  TrainConfig once = config_;
  once.shuffle = false;
  SampleOrder order(*parts_.eval_data, once);
  std::vector<std::vector<int64_t>> micros;
  for (int64_t left = parts_.eval_data->n_samples(); left > 0;
       left -= static_cast<int64_t>(micros.back().size())) {
    micros.push_back(order.next());
    if (static_cast<int64_t>(micros.back().size()) > left) micros.back().resize(static_cast<size_t>(left));
  }
  QW_TRY(const int64_t terms, parts_.eval_objective->prepare(micros, done()));
  EvalResult out;
  for (size_t i = 0; i < micros.size(); ++i) {
    Ctx cx{parts_.backend, arena_};
    out.loss += parts_.eval_objective->run(cx, i, 0.0);
  }
  out.loss /= static_cast<double>(std::max<int64_t>(terms, 1));
  out.metrics = parts_.eval_objective->metrics();
  return out;
}

void Trainer::swap_average() {
  for (size_t i = 0; i < average_.size(); ++i) std::swap(parts_.weights[i]->data, average_[i]);
}

std::vector<std::pair<std::string, Tensor>> Trainer::tensors() const {
  std::vector<std::pair<std::string, Tensor>> out = optimizer_.state();
  for (const Weight* w : parts_.weights) out.emplace_back("weight." + w->name, w->data);
  for (size_t i = 0; i < average_.size(); ++i)
    out.emplace_back("ema." + parts_.weights[i]->name, average_[i]);
  return out;
}

Json Trainer::state() const {
  return {{"step", done()},
          {"steps", steps()},
          {"epoch", order_.place().epoch},
          {"index", order_.place().index},
          {"data", fmt::format("{:016x}", parts_.data.digest())},
          {"eval_data", parts_.eval_data ? fmt::format("{:016x}", parts_.eval_data->digest()) : ""},
          {"frozen", parts_.frozen_digest},
          {"other", parts_.other_digest}};
}

Status Trainer::restore(const Json& state,
                        const std::function<Status(const std::string&, const Tensor&)>& load) {
  for (const char* key : {"step", "epoch", "index"})
    if (!state.contains(key) || !state[key].is_number_integer() || state[key].get<int64_t>() < 0)
      return fail("train.checkpoint_state", {{"key", key}});
  if (!state.contains("data") || state["data"] != fmt::format("{:016x}", parts_.data.digest()))
    return fail("train.data_changed");
  if (state.value("frozen", Json("")) != parts_.frozen_digest) return fail("train.model_changed");
  if (state.value("other", Json(parts_.other_digest)) != parts_.other_digest)
    return fail("train.other_changed");
  const DataPlace place{state["epoch"].get<int64_t>(), state["index"].get<int64_t>()};
  if (place.index > parts_.data.n_samples()) return fail("train.checkpoint_state", {{"key", "index"}});
  for (const auto& [name, tensor] : tensors()) QW_TRY(load(name, tensor));
  optimizer_.set_steps(state["step"].get<int64_t>());
  order_.go_to(place);
  return {};
}

TrainMemory Trainer::plan(const TrainerParts& parts, const std::vector<Weight*>& all,
                          const TrainConfig& config) {
  TrainMemory out;
  for (const Weight* w : all) out.weights += w->data.bytes();
  for (const Weight* w : parts.weights) out.gradients += bytes_of(*w);
  out.optimizer = Optimizer::state_bytes(optimizer_options(config), parts.weights, kPlanned);
  if (config.ema > 0) out.optimizer += out.gradients;
  out.data = bytes_of(parts.data);

  DryBackend dry(kPlanned);
  Arena arena(dry);
  Gradients gradients(dry);
  Tape tape(gradients);
  Ctx cx{dry, arena, &tape};
  cx.recompute = config.recompute;
  cx.adapter_dropout.p = dropout_of(config);
  out.activations = peak_of_largest(cx, *parts.objective, parts.data, config);
  if (parts.eval_objective == nullptr) return out;
  out.data += bytes_of(*parts.eval_data);
  Ctx reading{dry, arena};
  out.activations =
      std::max(out.activations, peak_of_largest(reading, *parts.eval_objective, *parts.eval_data, config));
  return out;
}

}  // namespace qw::train
