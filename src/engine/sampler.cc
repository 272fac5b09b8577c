#include "engine/sampler.h"

#include <algorithm>
#include <array>
#include <bit>
#include <cmath>
#include <functional>
#include <limits>

#include "base/check.h"
#include "base/rng.h"

namespace qw {
namespace {

constexpr size_t kBlock = 64;  // logits a block; blocks whose maximum is too small are not looked at again

// Probabilities below e^−50 of the largest cannot change a sum of 10^6 terms in double precision.
constexpr double kNegligible = -50.0;

bool all_finite(std::span<const float> x) {
  uint32_t worst = 0;  // integers, so that the loop vectorises
  for (const float v : x) worst = std::max(worst, std::bit_cast<uint32_t>(v) & 0x7FFFFFFFU);
  return worst < 0x7F800000U;
}

// Maximum of each block; answers the largest.
float block_maxima(std::span<const float> x, std::vector<float>& maxima) {
  constexpr size_t kLanes = 16;
  maxima.clear();
  size_t i = 0;
  for (; i + kBlock <= x.size(); i += kBlock) {
    float lanes[kLanes];
    std::copy_n(x.data() + i, kLanes, lanes);
    for (size_t j = kLanes; j < kBlock; j += kLanes)
      for (size_t l = 0; l < kLanes; ++l) lanes[l] = std::max(lanes[l], x[i + j + l]);
    maxima.push_back(*std::max_element(lanes, lanes + kLanes));
  }
  if (i < x.size()) maxima.push_back(*std::max_element(x.begin() + static_cast<ptrdiff_t>(i), x.end()));
  return *std::max_element(maxima.begin(), maxima.end());
}

// Calls f(id, logit) for every logit >= least, ascending.
template <class F>
void for_each_from(std::span<const float> x, std::span<const float> maxima, float least, F f) {
  for (size_t b = 0; b < maxima.size(); ++b) {
    if (maxima[b] < least) continue;
    const size_t end = std::min(x.size(), (b + 1) * kBlock);
    for (size_t i = b * kBlock; i < end; ++i)
      if (x[i] >= least) f(static_cast<int32_t>(i), x[i]);
  }
}

int32_t first_equal(std::span<const float> x, float value) {
  return static_cast<int32_t>(std::find(x.begin(), x.end(), value) - x.begin());
}

Status check_range(std::string_view name, double value, bool ok, std::string_view expected) {
  if (ok && std::isfinite(value)) return {};
  return fail("engine.bad_parameter", {{"name", name}, {"value", value}, {"expected", expected}});
}

}  // namespace

Status check_sampling(const SamplingParams& p, int vocab) {
  QW_TRY(check_range("temperature", p.temperature, p.temperature >= 0, ">= 0"));
  QW_TRY(check_range("top_k", p.top_k, p.top_k >= 0, ">= 0"));
  QW_TRY(check_range("top_p", p.top_p, p.top_p > 0 && p.top_p <= 1, "(0, 1]"));
  QW_TRY(check_range("min_p", p.min_p, p.min_p >= 0 && p.min_p <= 1, "[0, 1]"));
  QW_TRY(check_range("repetition_penalty", p.repetition_penalty,
                     p.repetition_penalty >= 0.01 && p.repetition_penalty <= 100, "[0.01, 100]"));
  QW_TRY(check_range("presence_penalty", p.presence_penalty, std::abs(p.presence_penalty) <= 100,
                     "[-100, 100]"));
  QW_TRY(check_range("frequency_penalty", p.frequency_penalty, std::abs(p.frequency_penalty) <= 100,
                     "[-100, 100]"));
  QW_TRY(check_range("logprobs", p.logprobs, p.logprobs >= -1 && p.logprobs <= vocab,
                     fmt::format("0 … {}", vocab)));
  for (const auto& [id, bias] : p.logit_bias) {
    QW_TRY(check_range("logit_bias id", id, id >= 0 && id < vocab, fmt::format("0 … {}", vocab - 1)));
    QW_TRY(check_range("logit_bias", bias, std::abs(bias) <= 1e4, "[-10000, 10000]"));
  }
  return {};
}

void TokenHistory::add_prompt(std::span<const int32_t> ids) {
  for (const int32_t id : ids) counts_.try_emplace(id, 0);
}

Result<Sampled> Sampler::sample(std::span<const float> logits, const SamplingParams& params,
                                const TokenHistory& history, uint64_t position) {
  QW_CHECK(!logits.empty());
  if (!all_finite(logits)) return fail("engine.non_finite", {{"position", position}});
  const std::span<const float> x = adjusted(logits, params, history);
  if (x.data() != logits.data() && !all_finite(x)) return fail("engine.non_finite", {{"position", position}});
  Sampled out;
  if (params.temperature == 0.0)
    out.id = first_equal(x, block_maxima(x, block_max_));
  else
    out.id = draw(x, params, Rng(params.seed).uniform(position));
  if (params.logprobs >= 0) add_logprobs(logits, params.logprobs, out);
  return out;
}

// Logits after penalties and bias; the same memory where there are none.
std::span<const float> Sampler::adjusted(std::span<const float> logits, const SamplingParams& params,
                                         const TokenHistory& history) {
  if (!params.needs_history() && params.logit_bias.empty()) return logits;
  adjusted_.assign(logits.begin(), logits.end());
  const auto repetition = static_cast<float>(params.repetition_penalty);
  if (params.needs_history()) {
    for (const auto& [id, count] : history.counts()) {
      float& x = adjusted_[static_cast<size_t>(id)];
      x = x < 0 ? x * repetition : x / repetition;
      if (count > 0) x -= static_cast<float>(params.presence_penalty + count * params.frequency_penalty);
    }
  }
  for (const auto& [id, bias] : params.logit_bias)
    adjusted_[static_cast<size_t>(id)] += static_cast<float>(bias);
  return adjusted_;
}

void Sampler::collect(std::span<const float> logits, float least) {
  candidates_.clear();
  for_each_from(logits, block_max_, least, [&](int32_t id, float logit) {
    candidates_.push_back({logit, id});
  });
}

// The k-th largest logit, by a heap of the k largest so far whose smallest rules most blocks out.
float Sampler::kth_largest(std::span<const float> logits, int k) {
  if (static_cast<size_t>(k) >= logits.size()) return std::numeric_limits<float>::lowest();
  heap_.assign(logits.begin(), logits.begin() + k);
  std::make_heap(heap_.begin(), heap_.end(), std::greater<>());
  for (size_t i = static_cast<size_t>(k); i < logits.size();) {
    const size_t end = std::min(logits.size(), (i / kBlock + 1) * kBlock);
    if (block_max_[i / kBlock] <= heap_.front()) {
      i = end;
      continue;
    }
    for (; i < end; ++i) {
      if (logits[i] <= heap_.front()) continue;
      std::pop_heap(heap_.begin(), heap_.end(), std::greater<>());
      heap_.back() = logits[i];
      std::push_heap(heap_.begin(), heap_.end(), std::greater<>());
    }
  }
  return heap_.front();
}

// The least likely of the smallest set of the likeliest candidates whose weights sum to `mass` or more.
// Weights are summed by bins of equal depth, so that only the bin of the border must be sorted.
Sampler::Candidate Sampler::last_of_nucleus(double mass) {
  constexpr int kBins = 1024;
  auto bin = [](const Candidate& c) {
    return static_cast<size_t>(std::min<double>(kBins - 1, c.depth * (kBins / -kNegligible)));
  };
  std::array<double, kBins> sums{};
  for (const Candidate& c : candidates_) sums[bin(c)] += c.weight;
  double above = 0.0;  // weight of the bins before the border
  size_t border = 0;
  while (border + 1 < kBins && above + sums[border] < mass) above += sums[border++];
  while (sums[border] == 0.0) above -= sums[--border];  // rounding led past the last that holds anything
  order_.clear();
  for (const Candidate& c : candidates_)
    if (bin(c) == border) order_.push_back(c);
  std::sort(order_.begin(), order_.end(), likelier);
  size_t last = 0;
  for (above += order_[0].weight; above < mass && last + 1 < order_.size(); above += order_[last].weight)
    ++last;
  return order_[last];
}

int32_t Sampler::draw(std::span<const float> logits, const SamplingParams& params, double u) {
  const double max = static_cast<double>(block_maxima(logits, block_max_));
  const double lowest = std::numeric_limits<float>::lowest();
  const auto least = static_cast<float>(std::max(lowest, max + kNegligible * params.temperature));
  collect(logits, params.top_k > 0 ? std::max(least, kth_largest(logits, params.top_k)) : least);
  double total = 0.0;
  for (Candidate& c : candidates_) {
    c.depth = (max - static_cast<double>(c.logit)) / params.temperature;
    c.weight = std::exp(-c.depth);
    total += c.weight;
  }
  if (params.top_p < 1.0) {
    const Candidate last = last_of_nucleus(params.top_p * total);
    std::erase_if(candidates_, [&](const Candidate& c) { return likelier(last, c); });
  }
  if (params.min_p > 0.0)
    std::erase_if(candidates_, [&](const Candidate& c) { return c.weight < params.min_p; });
  total = 0.0;
  for (const Candidate& c : candidates_) total += c.weight;
  double left = u * total;
  for (const Candidate& c : candidates_) {
    left -= c.weight;
    if (left < 0.0) return c.id;
  }
  return candidates_.back().id;  // rounding ate the last of the sum
}

void Sampler::add_logprobs(std::span<const float> logits, int n, Sampled& out) {
  const double max = static_cast<double>(block_maxima(logits, block_max_));
  double total = 0.0;
  for_each_from(logits, block_max_,
                static_cast<float>(std::max<double>(std::numeric_limits<float>::lowest(), max + kNegligible)),
                [&](int32_t, float x) { total += std::exp(static_cast<double>(x) - max); });
  const double log_total = max + std::log(total);
  auto logprob = [&](float x) { return static_cast<float>(static_cast<double>(x) - log_total); };
  out.logprob = logprob(logits[static_cast<size_t>(out.id)]);
  if (n == 0) return;
  collect(logits, kth_largest(logits, n));
  const size_t keep = std::min(candidates_.size(), static_cast<size_t>(n));
  std::partial_sort(candidates_.begin(), candidates_.begin() + static_cast<ptrdiff_t>(keep),
                    candidates_.end(), likelier);
  for (size_t i = 0; i < keep; ++i) out.top.push_back({candidates_[i].id, logprob(candidates_[i].logit)});
}

}  // namespace qw
