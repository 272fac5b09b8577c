// Sampler: logits of one position → token. What is applied, in this order: repetition penalty (prompt and
// answer), presence and frequency penalty (answer), logit bias, temperature, top-k, top-p, min-p. Semantics
// as the LogitsProcessors of transformers and, for presence and frequency, OpenAI's API. The draw depends on
// (seed, position) alone, never on the slot in a batch. Test: tests/engine/sampler_test.cc
#pragma once

#include <cstdint>
#include <span>
#include <unordered_map>
#include <utility>
#include <vector>

#include "base/result.h"

namespace qw {

struct SamplingParams {
  double temperature = 0.0;         // 0: the largest logit, lowest id on a tie
  int top_k = 0;                    // 0: off; the k largest, and all that equal the k-th
  double top_p = 1.0;               // (0, 1]; the smallest set of the likeliest with sum >= top_p
  double min_p = 0.0;               // [0, 1]; at least min_p times the largest probability
  double repetition_penalty = 1.0;  // [0.01, 100]; positive logits are divided by it, negative multiplied
  double presence_penalty = 0.0;    // subtracted once from tokens of the answer
  double frequency_penalty = 0.0;   // subtracted for each time in the answer
  std::vector<std::pair<int32_t, double>> logit_bias = {};
  uint64_t seed = 0;
  int logprobs = -1;  // −1: none; else the token's log probability and that of the n likeliest

  bool needs_history() const {
    return repetition_penalty != 1.0 || presence_penalty != 0.0 || frequency_penalty != 0.0;
  }
};

// Errors: engine.bad_parameter (args name, value, expected).
Status check_sampling(const SamplingParams& params, int vocab);

// Which tokens a sequence has seen, for the penalties.
class TokenHistory {
 public:
  void add_prompt(std::span<const int32_t> ids);
  void add_answer(int32_t id) { ++counts_[id]; }
  // id → times in the answer (0: in the prompt alone).
  const std::unordered_map<int32_t, int>& counts() const { return counts_; }

 private:
  std::unordered_map<int32_t, int> counts_;
};

struct TokenLogprob {
  int32_t id = 0;
  float logprob = 0.0F;
};

struct Sampled {
  int32_t id = 0;
  float logprob = 0.0F;           // log-softmax of the logits as the model gave them; only with logprobs >= 0
  std::vector<TokenLogprob> top;  // the n likeliest by it, likeliest first
};

// Holds scratch memory only; one for each thread that samples.
class Sampler {
 public:
  // The token at `position` of its sequence. Errors: engine.non_finite (args position) for a NaN or infinite
  // logit.
  Result<Sampled> sample(std::span<const float> logits, const SamplingParams& params,
                         const TokenHistory& history, uint64_t position);

 private:
  struct Candidate {
    float logit;
    int32_t id;
    double depth = 0.0;   // logarithm of the likeliest's probability over this one's
    double weight = 0.0;  // e^−depth
  };
  static bool likelier(const Candidate& a, const Candidate& b) {
    return a.logit != b.logit ? a.logit > b.logit : a.id < b.id;
  }
  std::span<const float> adjusted(std::span<const float> logits, const SamplingParams& params,
                                  const TokenHistory& history);
  int32_t draw(std::span<const float> logits, const SamplingParams& params, double u);
  void collect(std::span<const float> logits, float least);
  float kth_largest(std::span<const float> logits, int k);
  Candidate last_of_nucleus(double mass);
  void add_logprobs(std::span<const float> logits, int n, Sampled& out);

  std::vector<float> adjusted_, block_max_, heap_;
  std::vector<Candidate> candidates_;  // by ascending id
  std::vector<Candidate> order_;
};

}  // namespace qw
