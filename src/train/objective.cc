#include "train/objective.h"

#include <cmath>

#include "ops/head_loss.h"
#include "ops/linear.h"

namespace qw::train {
namespace {

// The last hidden states of the rows that count, with the learner's adapters on every row.
class Pass {
 public:
  Pass(Ctx& cx, const Batch& batch, const std::shared_ptr<const AdapterSet>& adapters)
      : cx_(cx), before_(cx.adapters) {
    if (adapters == nullptr) return;
    map_.push_back({0, batch.n_rows(), adapters});
    cx.adapters = &map_;
  }
  ~Pass() { cx_.adapters = before_; }
  Pass(const Pass&) = delete;
  Pass& operator=(const Pass&) = delete;

 private:
  Ctx& cx_;
  const AdapterMap* before_;
  AdapterMap map_;
};

double sum_of(const std::vector<double>& rows) {
  double sum = 0;
  for (const double r : rows) sum += r;
  return sum;
}

// An objective whose micro-batches are documents of one dataset, as they stand.
class Batched : public Objective {
 protected:
  // Answers how many targets they have.
  int64_t make_batches(const Dataset& data, const std::vector<std::vector<int64_t>>& micro_samples) {
    micros_.clear();
    tokens_ = 0;
    int64_t targets = 0;
    for (const auto& samples : micro_samples) targets += add_batch(make_micro_batch(data, samples));
    return targets;
  }
  int64_t add_batch(MicroBatch batch) {
    micros_.push_back(std::move(batch));
    return static_cast<int64_t>(micros_.back().targets.size());
  }

  std::vector<MicroBatch> micros_;
};

class Language : public Batched {
 public:
  Language(Learner learner, const Dataset& data) : learner_(std::move(learner)), data_(data) {}

  Result<int64_t> prepare(const std::vector<std::vector<int64_t>>& micro_samples, int64_t) override {
    return make_batches(data_, micro_samples);
  }

  double run(Ctx& cx, size_t micro, double weight) override {
    const MicroBatch& m = micros_[micro];
    tokens_ += m.batch.n_rows();
    cx.arena.reset();
    if (m.targets.empty()) return 0;
    const Pass pass(cx, m.batch, learner_.adapters);
    const std::vector<float> weights(m.targets.size(), static_cast<float>(weight));
    const Tensor features = learner_.model->features(cx, m.batch);
    return sum_of(
        ops::head_loss(cx, features, learner_.model->head(), ops::cross_entropy_rows(m.targets, weights)));
  }

 private:
  Learner learner_;
  const Dataset& data_;
};

double log_sigmoid(double x) {
  return x > 0 ? -std::log1p(std::exp(-x)) : x - std::log1p(std::exp(x));
}

class Dpo : public Batched {
 public:
  Dpo(Learner learner, std::shared_ptr<const Model> reference, const Dataset& data, const DpoOptions& options)
      : learner_(std::move(learner)), reference_(std::move(reference)), data_(data), options_(options) {}

  Result<int64_t> prepare(const std::vector<std::vector<int64_t>>& micro_samples, int64_t) override {
    make_batches(data_, micro_samples);
    accurate_ = margin_ = pairs_ = 0;
    int64_t pairs = 0;
    for (const auto& samples : micro_samples) pairs += static_cast<int64_t>(samples.size());
    return pairs;
  }

  double run(Ctx& cx, size_t micro, double weight) override {
    const MicroBatch& m = micros_[micro];
    tokens_ += m.batch.n_rows();
    const std::vector<double> reference = reference_log_probs(cx, m);
    cx.arena.reset();
    const Pass pass(cx, m.batch, learner_.adapters);
    const Tensor features = learner_.model->features(cx, m.batch);
    const Weight& head = learner_.model->head();
    const std::vector<double> policy = log_probs(cx, features, head, m);

    double loss = 0;
    std::vector<float> weights(m.targets.size());
    for (size_t pair = 0; pair < policy.size() / 2; ++pair) {
      const double chosen = policy[2 * pair] - reference[2 * pair];
      const double rejected = policy[2 * pair + 1] - reference[2 * pair + 1];
      const double x = options_.beta * (chosen - rejected), e = options_.label_smoothing;
      loss -= (1 - e) * log_sigmoid(x) + e * log_sigmoid(-x);
      // d loss / d x; a row's loss is −log p, so the chosen answer's rows get −dx, the rejected one's +dx
      const double dx = -(1 - e) / (1 + std::exp(x)) + e / (1 + std::exp(-x));
      spread(m, 2 * pair, -weight * options_.beta * dx, weights);
      spread(m, 2 * pair + 1, weight * options_.beta * dx, weights);
      accurate_ += x > 0 ? 1 : 0;
      margin_ += x;
      pairs_ += 1;
    }
    if (cx.tape != nullptr) ops::head_loss(cx, features, head, ops::cross_entropy_rows(m.targets, weights));
    return loss;
  }

  Metrics metrics() const override {
    if (pairs_ == 0) return {};
    return {{"accuracy", accurate_ / pairs_}, {"margin", margin_ / pairs_}};
  }

 private:
  static void spread(const MicroBatch& m, size_t document, double value, std::vector<float>& weights) {
    for (auto r = static_cast<size_t>(m.rows_of[document]); r < static_cast<size_t>(m.rows_of[document + 1]);
         ++r)
      weights[r] = static_cast<float>(value);
  }

  // Σ log p of the targets of each document.
  static std::vector<double> log_probs(const Ctx& cx, Tensor features, const Weight& head,
                                       const MicroBatch& m) {
    Ctx plain = cx;
    plain.tape = nullptr;
    features.set_tape_id(kConstant);
    const std::vector<double> rows =
        ops::head_loss(plain, features, head, ops::cross_entropy_rows(m.targets, {}));
    std::vector<double> out;
    for (size_t d = 0; d + 1 < m.rows_of.size(); ++d) {
      double sum = 0;
      for (int32_t r = m.rows_of[d]; r < m.rows_of[d + 1]; ++r) sum -= rows[static_cast<size_t>(r)];
      out.push_back(sum);
    }
    return out;
  }

  std::vector<double> reference_log_probs(Ctx& cx, const MicroBatch& m) const {
    cx.arena.reset();
    Ctx plain = cx;
    plain.tape = nullptr;
    plain.adapters = nullptr;
    return log_probs(plain, reference_->features(plain, m.batch), reference_->head(), m);
  }

  Learner learner_;
  std::shared_ptr<const Model> reference_;
  const Dataset& data_;
  DpoOptions options_;
  double accurate_ = 0, margin_ = 0, pairs_ = 0;
};

class Distill : public Batched {
 public:
  Distill(Learner learner, std::shared_ptr<const Model> teacher, const Dataset& data,
          const DistillOptions& options, Generate generate)
      : learner_(std::move(learner)),
        teacher_(std::move(teacher)),
        data_(data),
        options_(options),
        generate_(std::move(generate)) {}

  Result<int64_t> prepare(const std::vector<std::vector<int64_t>>& micro_samples, int64_t step) override {
    if (!generate_) return make_batches(data_, micro_samples);
    make_batches(data_, {});
    int64_t targets = 0, n_samples = 0;
    for (const auto& samples : micro_samples) {
      QW_TRY(const Dataset answered, answer(samples, step, n_samples));
      n_samples += std::ssize(samples);
      targets += add_batch(make_micro_batch(answered, answered.documents));
    }
    return targets;
  }

  double run(Ctx& cx, size_t micro, double weight) override {
    const MicroBatch& m = micros_[micro];
    tokens_ += m.batch.n_rows();
    cx.arena.reset();
    if (m.targets.empty()) return 0;
    Ctx plain = cx;
    plain.tape = nullptr;
    plain.adapters = nullptr;
    const Tensor taught = teacher_->features(plain, m.batch);
    const Pass pass(cx, m.batch, learner_.adapters);
    const Tensor features = learner_.model->features(cx, m.batch);
    const auto row_loss = [&](Ctx& c, const Tensor& logits, int64_t first, const Tensor& loss,
                              const Tensor& dlogits) {
      Ctx teaching = c;
      teaching.tape = nullptr;
      teaching.adapters = nullptr;
      const Tensor wanted = ops::linear(teaching, taught.slice(0, first, logits.dim(0)), teacher_->head());
      const std::vector<float> weights(static_cast<size_t>(logits.dim(0)), static_cast<float>(weight));
      c.backend.divergence(loss, dlogits, logits, wanted, c.arena.upload_real(weights),
                           {options_.beta, options_.temperature});
    };
    return sum_of(ops::head_loss(cx, features, learner_.model->head(), row_loss));
  }

 private:
  // The prompts of these samples with the student's answers, which are the targets.
  Result<Dataset> answer(const std::vector<int64_t>& samples, int64_t step, int64_t first) const {
    std::vector<std::vector<int32_t>> prompts;
    for (const int64_t s : samples) {
      const auto ids = data_.ids_of(data_.documents[static_cast<size_t>(s)]);
      prompts.emplace_back(ids.begin(), ids.end());
    }
    QW_TRY(const auto answers, generate_(prompts, step, first));
    Dataset out;
    for (size_t i = 0; i < prompts.size(); ++i) {
      const auto length = static_cast<int32_t>(prompts[i].size() + answers[i].size());
      out.documents.push_back({static_cast<int64_t>(out.ids.size()), length});
      out.ids.insert(out.ids.end(), prompts[i].begin(), prompts[i].end());
      out.target.insert(out.target.end(), prompts[i].size(), 0);
      out.ids.insert(out.ids.end(), answers[i].begin(), answers[i].end());
      out.target.insert(out.target.end(), answers[i].size(), 1);
    }
    return out;
  }

  Learner learner_;
  std::shared_ptr<const Model> teacher_;
  const Dataset& data_;
  DistillOptions options_;
  Generate generate_;
};

}  // namespace

std::unique_ptr<Objective> language_objective(const Learner& learner, const Dataset& data) {
  return std::make_unique<Language>(learner, data);
}

std::unique_ptr<Objective> dpo_objective(const Learner& learner, std::shared_ptr<const Model> reference,
                                         const Dataset& data, const DpoOptions& options) {
  return std::make_unique<Dpo>(learner, std::move(reference), data, options);
}

std::unique_ptr<Objective> distill_objective(const Learner& learner, std::shared_ptr<const Model> teacher,
                                             const Dataset& data, const DistillOptions& options,
                                             Generate generate) {
  return std::make_unique<Distill>(learner, std::move(teacher), data, options, std::move(generate));
}

}  // namespace qw::train
