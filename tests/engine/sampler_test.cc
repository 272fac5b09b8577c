#include "engine/sampler.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cmath>
#include <limits>
#include <map>
#include <numeric>
#include <random>

namespace qw {
namespace {

std::vector<float> random_logits(size_t n, uint32_t seed, float spread = 2.0F) {
  std::mt19937 rng(seed);
  std::normal_distribution<float> normal(0.0F, spread);
  std::vector<float> x(n);
  for (float& v : x) v = normal(rng);
  return x;
}

int32_t sample_id(const std::vector<float>& logits, const SamplingParams& p, uint64_t position = 0,
                  const TokenHistory& history = {}) {
  Sampler sampler;
  const auto r = sampler.sample(logits, p, history, position);
  EXPECT_TRUE(r.has_value());
  return r ? r->id : -1;
}

// What the filters keep, by the plain definition: sort everything, walk down.
std::map<int32_t, double> kept(const std::vector<float>& logits, const SamplingParams& p) {
  std::vector<int32_t> order(logits.size());
  std::iota(order.begin(), order.end(), 0);
  auto logit = [&](int32_t id) { return static_cast<double>(logits[static_cast<size_t>(id)]); };
  std::stable_sort(order.begin(), order.end(), [&](int32_t a, int32_t b) { return logit(a) > logit(b); });
  if (p.top_k > 0 && static_cast<size_t>(p.top_k) < order.size()) {
    const double least = logit(order[static_cast<size_t>(p.top_k) - 1]);
    std::erase_if(order, [&](int32_t id) { return logit(id) < least; });
  }
  auto weight = [&](int32_t id) { return std::exp((logit(id) - logit(order[0])) / p.temperature); };
  double total = 0.0, sum = 0.0;
  for (const int32_t id : order) total += weight(id);
  std::map<int32_t, double> out;
  for (const int32_t id : order) {
    const bool in_nucleus = out.empty() || p.top_p >= 1.0 || sum < p.top_p * total;
    sum += weight(id);
    if (in_nucleus && weight(id) >= p.min_p) out[id] = weight(id);
  }
  double norm = 0.0;
  for (const auto& [id, w] : out) norm += w;
  for (auto& [id, w] : out) w /= norm;
  return out;
}

TEST(Sampler, GreedyTakesTheLowestIdOfATie) {
  EXPECT_EQ(sample_id({1.0F, 3.0F, -2.0F, 3.0F}, {}), 1);
  std::vector<float> x(1000, -1.0F);
  x[999] = x[640] = x[129] = 5.0F;
  EXPECT_EQ(sample_id(x, {}), 129);
  EXPECT_EQ(sample_id({-4.0F}, {}), 0);
  for (size_t n = 1; n < 300; ++n) {  // every tail length of a block
    const auto r = random_logits(n, static_cast<uint32_t>(n));
    EXPECT_EQ(sample_id(r, {}), std::max_element(r.begin(), r.end()) - r.begin());
  }
}

TEST(Sampler, RepetitionPenaltyOfPromptAndAnswer) {
  TokenHistory h;
  h.add_prompt(std::vector<int32_t>{0, 2});
  h.add_answer(3);
  const SamplingParams p{.repetition_penalty = 2.0};
  EXPECT_EQ(sample_id({4.0F, 2.5F, 3.0F, 4.5F}, p, 0, h), 1);      // 2, 2.5, 1.5, 2.25
  EXPECT_EQ(sample_id({-1.0F, -1.5F, -3.0F, -1.0F}, p, 0, h), 1);  // −2, −1.5, −6, −2
}

TEST(Sampler, PresenceAndFrequencyOfTheAnswerAlone) {
  TokenHistory h;
  h.add_prompt(std::vector<int32_t>{0, 0, 0});
  for (const int32_t id : {1, 2, 2, 2}) h.add_answer(id);
  const std::vector<float> x{1.0F, 1.6F, 2.4F, 0.0F};
  EXPECT_EQ(sample_id(x, {.presence_penalty = 0.5}, 0, h), 2);                            // 1, 1.1, 1.9
  EXPECT_EQ(sample_id(x, {.frequency_penalty = 0.5}, 0, h), 1);                           // 1, 1.1, 0.9
  EXPECT_EQ(sample_id(x, {.presence_penalty = 0.2, .frequency_penalty = 0.5}, 0, h), 0);  // 1, 0.9, 0.7
}

TEST(Sampler, LogitBiasComesAfterPenalties) {
  TokenHistory h;
  h.add_answer(0);
  const SamplingParams p{.repetition_penalty = 2.0, .logit_bias = {{0, 1.0}, {1, -0.5}, {1, -0.5}}};
  EXPECT_EQ(sample_id({2.0F, 2.7F, 1.9F}, p, 0, h),
            0);  // 2/2 + 1 = 2, 2.7 − 1, 1.9; before them: 1.5, 1.7, 1.9
}

TEST(Sampler, FiltersKeepWhatTheirDefinitionSays) {
  const SamplingParams cases[] = {
      {.temperature = 1.0, .top_k = 5},
      {.temperature = 0.7, .top_p = 0.8},
      {.temperature = 1.5, .min_p = 0.1},
      {.temperature = 0.7, .top_k = 20, .top_p = 0.8},
      {.temperature = 1.3, .top_k = 40, .top_p = 0.95, .min_p = 0.05},
      {.temperature = 2.0, .top_k = 1},
      {.temperature = 0.9, .top_p = 1e-6},
      {.temperature = 3.0, .top_p = 0.999},
  };
  for (const SamplingParams& p : cases) {
    auto x = random_logits(200, 5);
    x[3] = x[133] = x[166] = *std::max_element(x.begin(), x.end()) - 1.0F;  // ties
    const auto expected = kept(x, p);
    std::map<int32_t, int> seen;
    Sampler sampler;
    constexpr int kDraws = 20000;
    for (int i = 0; i < kDraws; ++i) ++seen[sampler.sample(x, p, {}, static_cast<uint64_t>(i))->id];
    for (const auto& [id, n] : seen) EXPECT_TRUE(expected.contains(id)) << id;
    // Chi-square over the tokens that are expected at least 5 times, the rest in one cell; the bound is
    // mean + 5 standard deviations of the statistic (for one cell: exactly zero). Seeds are fixed.
    double chi2 = 0.0, rest = 0.0, rest_seen = kDraws;
    int cells = 0;
    for (const auto& [id, prob] : expected) {
      const double e = prob * kDraws;
      if (e < 5.0) {
        rest += e;
        continue;
      }
      chi2 += (seen[id] - e) * (seen[id] - e) / e;
      rest_seen -= seen[id];
      ++cells;
    }
    if (rest >= 5.0) chi2 += (rest_seen - rest) * (rest_seen - rest) / rest, ++cells;
    EXPECT_LE(chi2, (cells - 1) + 5.0 * std::sqrt(2.0 * std::max(cells - 1, 0)) + 1e-9) << cells << " cells";
  }
}

// Large vocabularies and flat distributions, where the border of the nucleus lies anywhere: with one draw at
// the very end of the distribution the last token kept by id shows, and it is the definition's.
TEST(Sampler, TheNucleusEndsWhereItsDefinitionSays) {
  for (const double top_p : {0.05, 0.3, 0.77, 0.99, 0.9999}) {
    const auto x = random_logits(2000, static_cast<uint32_t>(top_p * 1e4), 1.0F);
    const SamplingParams p{.temperature = 1.4, .top_p = top_p};
    const auto expected = kept(x, p);
    std::map<int32_t, int> seen;
    Sampler sampler;
    for (uint64_t i = 0; i < 1500; ++i) ++seen[sampler.sample(x, p, {}, i)->id];
    for (const auto& [id, n] : seen) EXPECT_TRUE(expected.contains(id)) << id << " at " << top_p;
    double covered = 0.0;  // what was seen holds the mass it should: 1 − Σ q (1 − q)^n in expectation
    double unseen = 0.0;
    for (const auto& [id, q] : expected) {
      covered += seen.contains(id) ? q : 0.0;
      unseen += q * std::pow(1.0 - q, 1500);
    }
    EXPECT_NEAR(covered, 1.0 - unseen, 0.03) << top_p;
  }
}

TEST(Sampler, WholeDistributionWithoutFilters) {
  const std::vector<float> x{0.0F, std::log(2.0F), std::log(3.0F), std::log(4.0F), -200.0F};
  std::vector<int> seen(5);
  Sampler sampler;
  for (uint64_t i = 0; i < 100000; ++i)
    ++seen[static_cast<size_t>(sampler.sample(x, {.temperature = 1.0, .seed = 9}, {}, i)->id)];
  double chi2 = 0.0;
  for (int i = 0; i < 4; ++i) {
    const double e = 10000.0 * (i + 1);
    chi2 += (seen[static_cast<size_t>(i)] - e) * (seen[static_cast<size_t>(i)] - e) / e;
  }
  EXPECT_LT(chi2, 16.27);  // 0.1 % point of chi-square with 3 degrees of freedom
  EXPECT_EQ(seen[4], 0);
}

TEST(Sampler, TheDrawDependsOnSeedAndPositionAlone) {
  const auto x = random_logits(1000, 1);
  const SamplingParams p{.temperature = 1.0, .seed = 42};
  Sampler used;
  for (int i = 0; i < 50; ++i) (void)used.sample(random_logits(3000, 2), p, {}, 7);
  std::vector<int32_t> a, b, other;
  for (uint64_t i = 0; i < 50; ++i) {
    a.push_back(sample_id(x, p, i));
    b.push_back(used.sample(x, p, {}, i)->id);
    other.push_back(sample_id(x, {.temperature = 1.0, .seed = 43}, i));
  }
  EXPECT_EQ(a, b);
  EXPECT_NE(a, other);
}

TEST(Sampler, LogprobsAreOfTheRawLogits) {
  const auto x = random_logits(500, 3);
  double total = 0.0;
  for (const float v : x) total += std::exp(static_cast<double>(v));
  const SamplingParams p{.temperature = 0.5, .top_k = 10, .logit_bias = {{17, 100.0}}, .logprobs = 4};
  Sampler sampler;
  const auto r = sampler.sample(x, p, {}, 0);
  ASSERT_TRUE(r.has_value());
  EXPECT_EQ(r->id, 17);
  EXPECT_NEAR(r->logprob, static_cast<double>(x[17]) - std::log(total), 1e-5);
  ASSERT_EQ(r->top.size(), 4U);
  auto sorted = x;
  std::sort(sorted.begin(), sorted.end(), std::greater<>());
  for (size_t i = 0; i < 4; ++i) {
    EXPECT_EQ(x[static_cast<size_t>(r->top[i].id)], sorted[i]);
    EXPECT_NEAR(r->top[i].logprob, static_cast<double>(sorted[i]) - std::log(total), 1e-5);
  }
  EXPECT_TRUE(sampler.sample(x, {.logprobs = 0}, {}, 0)->top.empty());
  EXPECT_EQ(sampler.sample(x, {.logprobs = 500}, {}, 0)->top.size(), 500U);
}

TEST(Sampler, RefusesLogitsThatAreNoNumbers) {
  Sampler sampler;
  for (const float bad : {std::numeric_limits<float>::quiet_NaN(), std::numeric_limits<float>::infinity(),
                          -std::numeric_limits<float>::infinity()}) {
    std::vector<float> x(100, 1.0F);
    x[77] = bad;
    const auto r = sampler.sample(x, {}, {}, 12);
    ASSERT_FALSE(r.has_value());
    EXPECT_EQ(r.error().code(), "engine.non_finite");
    EXPECT_EQ(r.error().arg("position"), "12");
  }
  // Penalties that push a logit out of range end the same way.
  TokenHistory h;
  h.add_prompt(std::vector<int32_t>{0});
  EXPECT_FALSE(
      sampler.sample(std::vector<float>{-3e38F, 0.0F}, {.repetition_penalty = 100}, h, 0).has_value());
}

TEST(Sampler, ExtremeParametersStayInRange) {
  const auto x = random_logits(300, 8);
  const auto best = static_cast<int32_t>(std::max_element(x.begin(), x.end()) - x.begin());
  EXPECT_EQ(sample_id(x, {.temperature = 1e-300}), best);
  EXPECT_EQ(sample_id(x, {.temperature = 1.0, .top_k = 1}), best);
  EXPECT_EQ(sample_id(x, {.temperature = 1.0, .min_p = 1.0}), best);
  const int32_t hot = sample_id(x, {.temperature = 1e300, .top_k = 1000000, .top_p = 1.0});
  EXPECT_TRUE(hot >= 0 && hot < 300);
}

TEST(Sampler, ChecksParameters) {
  EXPECT_TRUE(check_sampling({}, 100).has_value());
  const double nan = std::numeric_limits<double>::quiet_NaN();
  const SamplingParams bad[] = {
      {.temperature = -1},
      {.temperature = nan},
      {.top_k = -1},
      {.top_p = 0},
      {.top_p = 1.1},
      {.top_p = nan},
      {.min_p = -0.1},
      {.min_p = 2},
      {.repetition_penalty = 0},
      {.logit_bias = {{100, 1.0}}},
      {.logit_bias = {{-1, 1.0}}},
      {.logit_bias = {{0, nan}}},
      {.presence_penalty = nan},
      {.logprobs = -2},
      {.logprobs = 101},
      {.frequency_penalty = 1e9},
  };
  for (const SamplingParams& p : bad) {
    const Status s = check_sampling(p, 100);
    ASSERT_FALSE(s.has_value());
    EXPECT_EQ(s.error().code(), "engine.bad_parameter");
  }
}

}  // namespace
}  // namespace qw
