#include "apps/sampling_flags.h"

#include <sys/random.h>

#include <cerrno>
#include <cstring>
#include <limits>

namespace qw::apps {
namespace {

constexpr double kTemperature = 0.7;
constexpr double kTopP = 0.8;
constexpr int kTopK = 20;
constexpr double kInf = std::numeric_limits<double>::infinity();

// "ID=V".
Result<std::pair<int32_t, double>> parse_bias(std::string_view value) {
  const size_t equals = value.find('=');
  if (equals == value.npos) return fail("cli.bad_bias", {{"value", value}});
  QW_TRY(const int64_t id, parse_integer(value.substr(0, equals), "--logit-bias",
                                         {.min = 0, .max = std::numeric_limits<int32_t>::max()}));
  QW_TRY(const double bias,
         parse_number(value.substr(equals + 1), "--logit-bias", {.min = -1e6, .max = 1e6}));
  return std::pair(static_cast<int32_t>(id), bias);
}

// 32 bits: a seed that a person can type again and that every JSON reader holds exactly.
Result<uint64_t> fresh_seed() {
  uint32_t seed = 0;
  if (::getrandom(&seed, sizeof seed, 0) != sizeof seed)
    return fail("random.unavailable", {{"reason", std::strerror(errno)}});
  return seed;
}

}  // namespace

void SamplingFlags::add_to(CommandLine& line) {
  line.heading("help.sampling");
  line.flag("--greedy", &greedy, "help.greedy");
  line.number("--temperature", &temperature, {.min = 0, .max = 100}, "help.temperature");
  line.number("--top-p", &top_p, {.min = 0, .max = 1, .open_min = true}, "help.top_p");
  line.integer("--top-k", &top_k, {.min = 0, .max = std::numeric_limits<int32_t>::max()}, "help.top_k");
  line.number("--min-p", &min_p, {.min = 0, .max = 1}, "help.min_p");
  line.number("--repetition-penalty", &repetition_penalty, {.min = 0, .max = kInf, .open_min = true},
              "help.repetition_penalty");
  line.number("--presence-penalty", &presence_penalty, {.min = -100, .max = 100}, "help.presence_penalty");
  line.number("--frequency-penalty", &frequency_penalty, {.min = -100, .max = 100}, "help.frequency_penalty");
  line.custom(
      "--logit-bias", "ID=X",
      [this](std::string_view value) -> Status {
        QW_TRY(const auto bias, parse_bias(value));
        logit_bias.push_back(bias);
        return {};
      },
      "help.logit_bias");
  line.integer("--seed", &seed, {.min = 0}, "help.seed");
}

Result<SamplingParams> resolve_sampling(const SamplingFlags& flags, const GenerationDefaults& defaults) {
  if (flags.greedy && flags.temperature.value_or(0) > 0) return fail("cli.greedy_conflict");
  SamplingParams p;
  if (flags.greedy) {
    p.temperature = 0;
  } else if (flags.temperature) {
    p.temperature = *flags.temperature;
  } else {
    p.temperature = defaults.do_sample == false ? 0 : defaults.temperature.value_or(kTemperature);
  }
  const bool greedy = p.temperature == 0;
  const GenerationDefaults d = greedy ? GenerationDefaults{} : defaults;
  if (!greedy) {
    p.top_k = static_cast<int>(flags.top_k.value_or(d.top_k.value_or(kTopK)));
    p.top_p = flags.top_p.value_or(d.top_p.value_or(kTopP));
    p.min_p = flags.min_p.value_or(d.min_p.value_or(0));
  }
  p.repetition_penalty = flags.repetition_penalty.value_or(d.repetition_penalty.value_or(1));
  p.presence_penalty = flags.presence_penalty.value_or(d.presence_penalty.value_or(0));
  p.frequency_penalty = flags.frequency_penalty.value_or(d.frequency_penalty.value_or(0));
  p.logit_bias = flags.logit_bias;
  if (flags.seed) {
    p.seed = static_cast<uint64_t>(*flags.seed);
  } else {
    QW_TRY(p.seed, fresh_seed());
  }
  return p;
}

}  // namespace qw::apps
