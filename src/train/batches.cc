#include "train/batches.h"

#include <algorithm>
#include <cmath>
#include <numeric>

#include "base/rng.h"

namespace qw::train {

SampleOrder::SampleOrder(const Dataset& data, const TrainConfig& config)
    : data_(data),
      shuffle_(config.shuffle),
      by_tokens_(config.packing && config.task != "dpo" && !config.on_policy()),
      batch_(config.batch_size),
      budget_(int64_t{config.batch_size} * config.seq_len),
      grad_accum_(config.grad_accum),
      seed_(static_cast<uint64_t>(config.seed)),
      order_(static_cast<size_t>(data.n_samples())) {
  std::iota(order_.begin(), order_.end(), int64_t{0});
}

int64_t SampleOrder::peek() {
  if (place_.index == data_.n_samples()) place_ = {place_.epoch + 1, 0};
  if (shuffle_ && shuffled_epoch_ != place_.epoch) {
    // Fisher-Yates, each epoch from the same start, so that an epoch is known without those before it.
    std::iota(order_.begin(), order_.end(), int64_t{0});
    const Rng rng(seed_ * 0x9e3779b97f4a7c15u + static_cast<uint64_t>(place_.epoch));
    for (size_t i = order_.size(); i > 1; --i) std::swap(order_[i - 1], order_[rng.below(i, i)]);
    shuffled_epoch_ = place_.epoch;
  }
  return order_[static_cast<size_t>(place_.index)];
}

bool SampleOrder::fits(const std::vector<int64_t>& taken, int64_t tokens) const {
  if (taken.empty()) return true;
  return by_tokens_ ? tokens <= budget_ : static_cast<int64_t>(taken.size()) < batch_;
}

std::vector<int64_t> SampleOrder::next() {
  std::vector<int64_t> out;
  int64_t tokens = 0;
  while (true) {
    const int64_t sample = peek();
    tokens += data_.tokens_in_sample(sample);
    if (!fits(out, tokens)) return out;
    out.push_back(sample);
    ++place_.index;
  }
}

std::vector<int64_t> SampleOrder::largest() const {
  std::vector<int64_t> longest(order_.size());
  std::iota(longest.begin(), longest.end(), int64_t{0});
  std::stable_sort(longest.begin(), longest.end(), [this](int64_t a, int64_t b) {
    return data_.tokens_in_sample(a) > data_.tokens_in_sample(b);
  });
  std::vector<int64_t> out;
  int64_t tokens = 0;
  for (size_t before = 1; out.size() != before;) {
    before = out.size();
    for (const int64_t sample : longest) {
      const int64_t with = tokens + data_.tokens_in_sample(sample);
      if (!fits(out, with)) continue;
      out.push_back(sample);
      tokens = with;
    }
  }
  return out;
}

void SampleOrder::go_to(const DataPlace& place) {
  place_ = place;
}

int64_t SampleOrder::steps_in(double epochs) {
  const DataPlace start = place_;
  place_ = {};
  const double end = epochs * static_cast<double>(data_.n_samples());
  const auto done = [&] {
    return static_cast<double>(place_.epoch) * static_cast<double>(data_.n_samples()) +
           static_cast<double>(place_.index);
  };
  int64_t steps = 0;
  for (; done() < end; ++steps)
    for (int i = 0; i < grad_accum_; ++i) next();
  place_ = start;
  return steps;
}

MicroBatch make_micro_batch(const Dataset& data, const std::vector<Document>& documents) {
  MicroBatch out;
  Batch& b = out.batch;
  b.plan.cu_q.push_back(0);
  out.rows_of.push_back(0);
  for (const Document& d : documents) {
    const auto ids = data.ids_of(d);
    const auto marks = data.targets_of(d);
    const auto row0 = b.n_rows();
    b.ids.insert(b.ids.end(), ids.begin(), ids.end());
    for (int32_t i = 0; i < d.length; ++i) {
      b.positions.push_back(i);
      const auto next = static_cast<size_t>(i) + 1;
      if (next == ids.size() || marks[next] == 0) continue;
      b.logit_rows.push_back(row0 + i);
      out.targets.push_back(ids[next]);
    }
    b.plan.cu_q.push_back(b.n_rows());
    b.plan.kv_len.push_back(d.length);
    out.rows_of.push_back(static_cast<int32_t>(out.targets.size()));
  }
  return out;
}

MicroBatch make_micro_batch(const Dataset& data, const std::vector<int64_t>& samples) {
  std::vector<Document> documents;
  for (const int64_t s : samples) {
    const auto sample = data.sample(s);
    documents.insert(documents.end(), sample.begin(), sample.end());
  }
  return make_micro_batch(data, documents);
}

}  // namespace qw::train
