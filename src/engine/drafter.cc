#include "engine/drafter.h"

namespace qw {

std::optional<int32_t> DraftSampler::draw(const DraftTask& task, std::span<const float> logits) {
  SamplingParams params = *task.sampling;
  params.logprobs = -1;
  std::erase_if(params.logit_bias,
                [&](const auto& bias) { return static_cast<size_t>(bias.first) >= logits.size(); });
  const auto position = static_cast<uint64_t>(task.seq->n_tokens()) + task.out.size();
  Result<Sampled> token = fail("engine.non_finite");
  if (params.needs_history()) {
    TokenHistory history = *task.history;
    for (const int32_t id : task.out) history.add_answer(id);
    token = sampler_.sample(logits, params, history, position);
  } else {
    token = sampler_.sample(logits, params, *task.history, position);
  }
  return token ? std::optional(token->id) : std::nullopt;
}

}  // namespace qw
