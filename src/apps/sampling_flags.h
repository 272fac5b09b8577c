// The sampling options of run and chat, and what they mean beside the defaults that a checkpoint brings.
// Test: tests/apps/sampling_flags_test.cc
#pragma once

#include <cstdint>
#include <optional>
#include <utility>
#include <vector>

#include "apps/command_line.h"
#include "engine/sampler.h"
#include "io/generation.h"

namespace qw::apps {

struct SamplingFlags {
  bool greedy = false;
  std::optional<double> temperature, top_p, min_p;
  std::optional<double> repetition_penalty, presence_penalty, frequency_penalty;
  std::optional<int64_t> top_k, seed;
  std::vector<std::pair<int32_t, double>> logit_bias;

  void add_to(CommandLine& line);
};

// Flag, then the checkpoint's defaults (do_sample false: greedy), then temperature 0.7, top-p 0.8, top-k 20.
// Greedy (--greedy, --temperature 0, or a checkpoint that says so) takes nothing from the checkpoint: only
// penalties and biases given as flags apply. Without --seed the seed is drawn from the system.
// Errors: cli.greedy_conflict (--greedy and a --temperature above 0), random.unavailable (args reason).
Result<SamplingParams> resolve_sampling(const SamplingFlags& flags, const GenerationDefaults& defaults);

}  // namespace qw::apps
