#include "io/peft/config.h"

#include <algorithm>
#include <array>
#include <cmath>
#include <optional>
#include <set>

namespace qw {
namespace {

// Keys that change the computation. Null, false, "", [] and {} mean that they are off.
constexpr std::array<std::string_view, 18> kMustBeOff{"use_dora",
                                                      "modules_to_save",
                                                      "fan_in_fan_out",
                                                      "lora_bias",
                                                      "use_qalora",
                                                      "layer_replication",
                                                      "trainable_token_indices",
                                                      "alora_invocation_tokens",
                                                      "megatron_config",
                                                      "use_bdlora",
                                                      "arrow_config",
                                                      "kasa_config",
                                                      "velora_config",
                                                      "monteclora_config",
                                                      "corda_config",
                                                      "lora_ga_config",
                                                      "eva_config",
                                                      "bdlora_config"};
// Where an adapter may not go (its tensors say that as well).
constexpr std::array<std::string_view, 2> kNarrowing{"exclude_modules", "layers_to_transform"};
constexpr std::array<std::string_view, 11> kHarmless{"task_type",      "auto_mapping",       "peft_version",
                                                     "revision",       "inference_mode",     "megatron_core",
                                                     "loftq_config",   "qalora_group_size",  "layers_pattern",
                                                     "runtime_config", "ensure_weight_tying"};
// Kinds of initialisation that leave the base model as it is. PiSSA, OLoRA, CorDA and LoftQ change it too.
constexpr std::array<std::string_view, 3> kPlainStarts{"gaussian", "orthogonal", "eva"};

template <size_t N>
bool contains(const std::array<std::string_view, N>& list, std::string_view x) {
  return std::find(list.begin(), list.end(), x) != list.end();
}

bool is_off(const Json& v) {
  if (v.is_boolean()) return !v.get<bool>();
  if (v.is_string()) return v.get_ref<const std::string&>().empty();
  return !v.is_number() && v.empty();
}

std::string shown(const Json& v) {
  std::string text = to_json_line(v);
  if (text.size() > 60) text = text.substr(0, 57) + "...";
  return text;
}

class Reader {
 public:
  Reader(const Json& json, std::string_view file) : json_(json), file_(file) {}

  // The value, unless it is absent or null.
  const Json* find(std::string_view key) {
    read_.emplace(key);
    const auto it = json_.find(std::string(key));
    return it == json_.end() || it->is_null() ? nullptr : &*it;
  }
  tl::unexpected<Error> bad(std::string_view key, std::string_view expected, const Json* found) const {
    return fail("peft.key", {{"file", file_},
                             {"key", key},
                             {"expected", expected},
                             {"found", found == nullptr ? "nothing" : shown(*found)}});
  }
  tl::unexpected<Error> unsupported(std::string_view key, const Json& found) const {
    return fail("peft.unsupported", {{"file", file_}, {"key", key}, {"found", shown(found)}});
  }
  Result<bool> flag(std::string_view key) {
    const Json* v = find(key);
    if (v != nullptr && !v->is_boolean()) return bad(key, "true, false", v);
    return v != nullptr && v->get<bool>();
  }
  // A finite number in [min, max].
  Result<double> number(std::string_view key, const Json* v, double min, double max) const {
    const bool good = v != nullptr && v->is_number() && v->get<double>() >= min && v->get<double>() <= max;
    if (!good) return bad(key, fmt::format("{}..{}", min, max), v);
    return v->get<double>();
  }
  const std::set<std::string, std::less<>>& read() const { return read_; }
  const Json& json() const { return json_; }

 private:
  const Json& json_;
  std::string_view file_;
  std::set<std::string, std::less<>> read_;
};

constexpr double kMaxRank = 1 << 16;
constexpr double kMaxAlpha = 1e9;

Result<int> read_rank(const Reader& r, std::string_view key, const Json* v) {
  if (v == nullptr || !v->is_number_integer()) return r.bad(key, "1..65536", v);
  QW_TRY(const double rank, r.number(key, v, 1, kMaxRank));
  return static_cast<int>(rank);
}

bool plain_pattern(std::string_view key) {
  if (key.starts_with('^')) key.remove_prefix(1);
  return !key.empty() && std::all_of(key.begin(), key.end(), [](unsigned char c) {
    return (c >= '0' && c <= '9') || (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || c == '_' ||
           c == '-' || c == '.';
  });
}

// rank_pattern and alpha_pattern: an object of numbers by module.
template <class T, class ReadValue>
Status read_pattern(Reader& r, std::string_view key, std::vector<std::pair<std::string, T>>& out,
                    ReadValue read) {
  const Json* v = r.find(key);
  if (v == nullptr) return {};
  if (!v->is_object()) return r.bad(key, "an object", v);
  for (const auto& [module, value] : v->items()) {
    if (!plain_pattern(module)) return r.unsupported(key, Json(module));
    QW_TRY(const T number, read(module, &value));
    out.emplace_back(module, number);
  }
  return {};
}

Status read_targets(Reader& r, PeftConfig& c) {
  // Parameters that are no modules: experts in stacks (io/peft/experts.h), routers.
  if (const Json* v = r.find("target_parameters"); v != nullptr && !is_off(*v)) {
    if (!v->is_array()) return r.bad("target_parameters", "a list of names", v);
    c.targets_by_tensors = true;
  }
  const Json* v = r.find("target_modules");
  if (v == nullptr && c.targets_by_tensors) return {};
  if (v == nullptr) return r.bad("target_modules", "a list of names", v);
  if (v->is_string()) {
    c.targets_by_tensors = c.targets_by_tensors || *v != "all-linear";
    if (!c.targets_by_tensors) c.spec.targets = {"all-linear"};
    return {};
  }
  if (!v->is_array() || (v->empty() && !c.targets_by_tensors))
    return r.bad("target_modules", "a list of names", v);
  for (const Json& name : *v) {
    if (!name.is_string()) return r.bad("target_modules", "a list of names", v);
    c.spec.targets.push_back(name.get<std::string>());
  }
  return {};
}

Status refuse(Reader& r) {
  for (const std::string_view key : kMustBeOff)
    if (const Json* v = r.find(key); v != nullptr && !is_off(*v)) return r.unsupported(key, *v);
  if (const Json* v = r.find("peft_type"); v == nullptr || *v != "LORA") return r.bad("peft_type", "LORA", v);
  if (const Json* v = r.find("bias"); v != nullptr && *v != "none") return r.unsupported("bias", *v);
  const Json* start = r.find("init_lora_weights");
  if (start == nullptr || start->is_boolean()) return {};
  if (!start->is_string() || !contains(kPlainStarts, start->get_ref<const std::string&>()))
    return r.unsupported("init_lora_weights", *start);
  return {};
}

// `pattern` at the end of `module`, on the border of a name; "." is any character, as in the expression that
// PEFT makes of it.
bool matches(std::string_view pattern, std::string_view module) {
  const bool whole = pattern.starts_with('^');
  if (whole) pattern.remove_prefix(1);
  if (pattern.size() > module.size()) return false;
  const size_t at = module.size() - pattern.size();
  if (at > 0 && (whole || module[at - 1] != '.')) return false;
  return std::equal(pattern.begin(), pattern.end(), module.begin() + static_cast<ptrdiff_t>(at),
                    [](char p, char m) { return p == '.' || p == m; });
}

template <class T>
T value_for(const std::vector<std::pair<std::string, T>>& patterns, std::string_view module, T otherwise) {
  for (const auto& [pattern, value] : patterns)
    if (matches(pattern, module)) return value;
  return otherwise;
}

}  // namespace

int lora_rank(const LoraSpec& spec, std::string_view module) {
  return value_for(spec.rank_pattern, module, spec.rank);
}

double lora_scale(const LoraSpec& spec, std::string_view module) {
  const auto rank = static_cast<double>(lora_rank(spec, module));
  return value_for(spec.alpha_pattern, module, spec.alpha) / (spec.rslora ? std::sqrt(rank) : rank);
}

bool is_target(const std::vector<std::string>& targets, std::string_view module) {
  return std::any_of(targets.begin(), targets.end(), [&](const std::string& t) {
    return module == t ||
           (module.size() > t.size() && module.ends_with(t) && module[module.size() - t.size() - 1] == '.');
  });
}

Result<PeftConfig> parse_peft_config(const Json& json, std::string_view file) {
  Reader r(json, file);
  PeftConfig c;
  QW_TRY(refuse(r));
  QW_TRY(c.spec.rank, read_rank(r, "r", r.find("r")));
  QW_TRY(c.spec.alpha, r.number("lora_alpha", r.find("lora_alpha"), 0, kMaxAlpha));
  if (const Json* v = r.find("lora_dropout"); v != nullptr) {
    QW_TRY(c.spec.dropout, r.number("lora_dropout", v, 0, 1));
  }
  QW_TRY(c.spec.rslora, r.flag("use_rslora"));
  QW_TRY(read_targets(r, c));
  QW_TRY(read_pattern(r, "rank_pattern", c.spec.rank_pattern,
                      [&](std::string_view key, const Json* v) { return read_rank(r, key, v); }));
  QW_TRY(read_pattern(r, "alpha_pattern", c.spec.alpha_pattern,
                      [&](std::string_view key, const Json* v) { return r.number(key, v, 0, kMaxAlpha); }));
  if (const Json* v = r.find("base_model_name_or_path"); v != nullptr && v->is_string())
    c.spec.base_model = v->get<std::string>();
  for (const std::string_view key : kNarrowing)
    if (const Json* v = r.find(key); v != nullptr && !is_off(*v)) c.targets_by_tensors = true;
  for (const auto& [key, value] : json.items())
    if (!r.read().contains(key) && !contains(kHarmless, key))
      c.warnings.emplace_back(Error("peft.unknown_key", {{"file", file}, {"key", key}}));
  return c;
}

Json peft_config_json(const LoraSpec& spec) {
  Json json{{"alpha_pattern", Json::object()},
            {"auto_mapping", nullptr},
            {"base_model_name_or_path", spec.base_model.empty() ? Json(nullptr) : Json(spec.base_model)},
            {"bias", "none"},
            {"fan_in_fan_out", false},
            {"inference_mode", true},
            {"init_lora_weights", true},
            {"layers_pattern", nullptr},
            {"layers_to_transform", nullptr},
            {"lora_alpha", spec.alpha},
            {"lora_dropout", spec.dropout},
            {"modules_to_save", nullptr},
            {"peft_type", "LORA"},
            {"r", spec.rank},
            {"rank_pattern", Json::object()},
            {"revision", nullptr},
            {"target_modules", spec.targets},
            {"task_type", "CAUSAL_LM"},
            {"use_dora", false},
            {"use_rslora", spec.rslora}};
  if (spec.targets == std::vector<std::string>{"all-linear"}) json["target_modules"] = "all-linear";
  const auto whole = [](double v) { return v == std::floor(v) ? Json(static_cast<int64_t>(v)) : Json(v); };
  json["lora_alpha"] = whole(spec.alpha);
  for (const auto& [module, rank] : spec.rank_pattern) json["rank_pattern"][module] = rank;
  for (const auto& [module, alpha] : spec.alpha_pattern) json["alpha_pattern"][module] = whole(alpha);
  return json;
}

}  // namespace qw
