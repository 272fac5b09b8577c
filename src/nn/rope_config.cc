#include "nn/rope_config.h"

#include <algorithm>
#include <cmath>
#include <numbers>

namespace qw::nn {
namespace {

// Of what frequencies are divided by: far beyond any model, and finite as f32 in either direction.
constexpr double kLeastFactor = 1e-6, kMostFactor = 1e9;

// YaRN: frequencies that turn often in the original context stay, slow ones are interpolated, a linear ramp
// lies between.
void apply_yarn(ConfigReader& r, double theta, int max_positions, RopeConfig& out) {
  const int dim = 2 * static_cast<int>(out.spec.inv_freq.size());
  const int original = r.integer("original_max_position_embeddings");
  const double factor = r.optional_number("factor").value_or(static_cast<double>(max_positions) / original);
  const double beta_fast = r.number("beta_fast", 32.0);
  const double beta_slow = r.number("beta_slow", 1.0);
  const bool truncate = r.boolean("truncate", true);
  const double mscale = r.number("mscale", 0.0);
  const double mscale_all = r.number("mscale_all_dim", 0.0);
  const auto get_mscale = [&](double m) { return factor <= 1 ? 1.0 : 0.1 * m * std::log(factor) + 1.0; };
  const double inferred =
      mscale != 0 && mscale_all != 0 ? get_mscale(mscale) / get_mscale(mscale_all) : get_mscale(1.0);
  out.spec.scale = r.optional_number("attention_factor").value_or(inferred);
  r.between("factor", factor, kLeastFactor, kMostFactor);
  r.between("beta_fast", beta_fast, 0, kMostFactor);
  r.between("beta_slow", beta_slow, 0, kMostFactor);
  r.between("attention_factor", out.spec.scale, 0, kMostFactor);
  if (!r.status()) return;

  const auto turns_dim = [&](double turns) {
    return dim * std::log(original / (turns * 2 * std::numbers::pi)) / (2 * std::log(theta));
  };
  double low = turns_dim(beta_fast);
  double high = turns_dim(beta_slow);
  if (truncate) {
    low = std::floor(low);
    high = std::ceil(high);
  }
  low = std::max(low, 0.0);
  high = std::min(high, static_cast<double>(dim - 1));
  if (low == high) high += 0.001;
  for (size_t i = 0; i < out.spec.inv_freq.size(); ++i) {
    const auto ramp = static_cast<float>(std::clamp((static_cast<double>(i) - low) / (high - low), 0.0, 1.0));
    const float extrapolated = out.spec.inv_freq[i];
    const float interpolated = static_cast<float>(static_cast<double>(extrapolated) / factor);
    const float keep = 1.0F - ramp;
    out.spec.inv_freq[i] = interpolated * (1.0F - keep) + extrapolated * keep;
  }
  out.max_positions = std::max(max_positions, static_cast<int>(std::min(original * factor, 2e9)));
}

void apply_llama3(ConfigReader& r, RopeConfig& out) {
  const double factor = r.number("factor");
  const double low = r.number("low_freq_factor");
  const double high = r.number("high_freq_factor");
  const double original = r.integer("original_max_position_embeddings");
  r.between("factor", factor, kLeastFactor, kMostFactor);
  r.between("low_freq_factor", low, 0, kMostFactor);
  r.between("high_freq_factor", high, low, kMostFactor);
  if (!r.status()) return;
  for (float& f : out.spec.inv_freq) {
    const double wavelength = 2 * std::numbers::pi / static_cast<double>(f);
    if (wavelength > original / low) {
      f = static_cast<float>(static_cast<double>(f) / factor);
    } else if (wavelength >= original / high) {
      const double smooth = (original / wavelength - low) / (high - low);
      f = static_cast<float>((1 - smooth) * static_cast<double>(f) / factor +
                             smooth * static_cast<double>(f));
    }
  }
}

void apply_linear(ConfigReader& r, RopeConfig& out) {
  const double factor = r.number("factor");
  r.between("factor", factor, kLeastFactor, kMostFactor);
  if (!r.status()) return;
  for (float& f : out.spec.inv_freq) f /= static_cast<float>(factor);
}

// Per-pair divisors, as a GGUF file carries them in rope_freqs.weight (io/gguf_config makes this rope_type).
void apply_explicit(ConfigReader& r, RopeConfig& out) {
  const std::vector<double> factors = r.numbers("factors");
  if (r.status() && factors.size() != out.spec.inv_freq.size())
    r.error(Error("config.length", {{"key", "rope_parameters.factors"},
                                    {"expected", out.spec.inv_freq.size()},
                                    {"found", factors.size()}}));
  for (const double factor : factors) r.between("factors", factor, kLeastFactor, kMostFactor);
  if (!r.status()) return;
  for (size_t i = 0; i < factors.size(); ++i) out.spec.inv_freq[i] /= static_cast<float>(factors[i]);
}

}  // namespace

std::vector<float> rope_frequencies(double theta, int dim) {
  std::vector<float> f;
  for (int i = 0; i < dim; i += 2) {
    const float exponent = static_cast<float>(i) / static_cast<float>(dim);
    f.push_back(1.0F / static_cast<float>(std::pow(theta, static_cast<double>(exponent))));
  }
  return f;
}

RopeConfig read_rope(ConfigReader& c, int rotary_dim, int max_positions, double default_theta) {
  static const Json none = Json::object();
  const bool hub_spelling = !c.has("rope_parameters");
  const std::string key = hub_spelling ? "rope_scaling" : "rope_parameters";
  const Json* params = c.object(key);
  ConfigReader r(params != nullptr ? *params : none, key + ".");
  const double theta =
      hub_spelling ? c.number("rope_theta", default_theta) : r.number("rope_theta", default_theta);
  // The oldest configs say "type", later ones "rope_type", some both.
  const std::string old_type = r.string("type", "default");
  const std::string type = r.string("rope_type", old_type);
  if (theta <= 1) r.error(Error("config.range", {{"key", "rope_theta"}, {"found", theta}}));
  RopeConfig out{{rope_frequencies(theta, rotary_dim), 1.0}, max_positions};
  if (type == "yarn") {
    apply_yarn(r, theta, max_positions, out);
  } else if (type == "llama3") {
    apply_llama3(r, out);
  } else if (type == "linear") {
    apply_linear(r, out);
  } else if (type == "explicit_factors") {
    apply_explicit(r, out);
  } else if (type != "default" && type != "mrope") {  // mrope: three rows of positions, equal for text
    r.error(Error("rope.unknown_type", {{"key", key + ".rope_type"}, {"found", type}}));
  }
  // Read by the architectures that have them.
  r.harmless({"partial_rotary_factor", "mrope_section", "mrope_interleaved"});
  c.absorb(r);
  return out;
}

}  // namespace qw::nn
