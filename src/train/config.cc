#include "train/config.h"

#include <fmt/format.h>
#include <toml++/toml.h>

#include <algorithm>
#include <limits>
#include <optional>
#include <set>
#include <variant>

namespace qw::train {
namespace {

constexpr double kMax = std::numeric_limits<double>::max();
constexpr int64_t kMaxInt = std::numeric_limits<int64_t>::max();
constexpr int64_t kMaxInt32 = std::numeric_limits<int32_t>::max();
// Bounds of what is counted before a run begins: far above any use, low enough to count.
constexpr int64_t kMaxBatchTokens = int64_t{1} << 26;
constexpr int64_t kMaxAccum = 65536;
constexpr double kMaxEpochs = 100000.0;

struct Whole {
  int64_t min, max;
};
struct Number {
  double min, max;
  bool open_min = false, open_max = false;
};
struct Words {
  std::vector<std::string> allowed;  // empty: any text
};
struct Texts {};
struct Pair {};
struct Switch {};

using Bounds = std::variant<Whole, Number, Words, Texts, Pair, Switch>;
using Place = std::variant<int*, int64_t*, double*, bool*, std::string*, std::vector<std::string>*,
                           std::array<double, 2>*>;

struct Key {
  std::string name;
  Place place;
  Bounds bounds;
};

// The contract. The order is that of --print-config.
std::vector<Key> keys_of(TrainConfig& c) {
  const Whole from0{0, kMaxInt}, from1{1, kMaxInt32};
  const Number positive{0.0, kMax, true}, from0d{0.0, kMax}, fraction{0.0, 1.0, false, true}, unit{0.0, 1.0};
  return {
      {"model", &c.model, Words{}},
      {"init", &c.init, Words{{"pretrained", "random"}}},
      {"out", &c.out, Words{}},
      {"task", &c.task, Words{{"pretrain", "sft", "dpo", "distill"}}},
      {"method", &c.method, Words{{"full", "lora", "qlora"}}},
      {"adapter", &c.adapter, Words{}},
      {"teacher", &c.teacher, Words{}},
      {"data", &c.data, Texts{}},
      {"eval_data", &c.eval_data, Texts{}},
      {"date", &c.date, Words{}},
      {"seq_len", &c.seq_len, Whole{2, kMaxInt32}},
      {"batch_size", &c.batch_size, from1},
      {"grad_accum", &c.grad_accum, Whole{1, kMaxAccum}},
      {"steps", &c.steps, from0},
      {"epochs", &c.epochs, Number{0.0, kMaxEpochs, true}},
      {"packing", &c.packing, Switch{}},
      {"shuffle", &c.shuffle, Switch{}},
      {"append_eos", &c.append_eos, Switch{}},
      {"bad_lines", &c.bad_lines, Words{{"refuse", "skip"}}},
      {"lr", &c.lr, from0d},
      {"schedule", &c.schedule, Words{{"cosine", "constant", "wsd"}}},
      {"warmup_steps", &c.warmup_steps, from0},
      {"decay_steps", &c.decay_steps, from0},
      {"min_lr", &c.min_lr, from0d},
      {"optimizer", &c.optimizer, Words{{"adamw", "muon"}}},
      {"betas", &c.betas, Pair{}},
      {"eps", &c.eps, positive},
      {"weight_decay", &c.weight_decay, from0d},
      {"max_grad_norm", &c.max_grad_norm, from0d},
      {"ema", &c.ema, fraction},
      {"precision", &c.precision, Words{{"bf16", "f32"}}},
      {"recompute", &c.recompute, Switch{}},
      {"seed", &c.seed, from0},
      {"checkpoint_minutes", &c.checkpoint_minutes, from0d},
      {"keep_checkpoints", &c.keep_checkpoints, from1},
      {"eval_every", &c.eval_every, from0},
      {"early_stop", &c.early_stop, from0},
      {"threads", &c.threads, Whole{0, 4096}},
      {"save_dtype", &c.save_dtype, Words{{"model", "f32", "bf16", "f16"}}},
      {"lora.rank", &c.lora.rank, Whole{1, 65536}},
      {"lora.alpha", &c.lora.alpha, positive},
      {"lora.dropout", &c.lora.dropout, fraction},
      {"lora.targets", &c.lora.targets, Texts{}},
      {"lora.rslora", &c.lora.rslora, Switch{}},
      {"dpo.beta", &c.dpo.beta, positive},
      {"dpo.label_smoothing", &c.dpo.label_smoothing, Number{0.0, 0.5, false, true}},
      {"distill.beta", &c.distill.beta, unit},
      {"distill.temperature", &c.distill.temperature, positive},
      {"distill.on_policy", &c.distill.on_policy, Switch{}},
      {"distill.max_new_tokens", &c.distill.max_new_tokens, from1},
      {"distill.sampling_temperature", &c.distill.sampling_temperature, from0d},
  };
}

std::string expected_text(const Bounds& bounds) {
  struct Say {
    std::string operator()(const Whole& w) const {
      return fmt::format("integer, {} …{}", w.min, w.max >= kMaxInt32 ? "" : fmt::format(" {}", w.max));
    }
    std::string operator()(const Number& n) const {
      return fmt::format("number, {}{} …{}{}", n.open_min ? "above " : "", n.min,
                         n.max == kMax ? "" : fmt::format(" {}", n.max), n.open_max ? " (not itself)" : "");
    }
    std::string operator()(const Words& w) const {
      return w.allowed.empty() ? "text" : fmt::format("one of: {}", fmt::join(w.allowed, ", "));
    }
    std::string operator()(const Texts&) const { return "list of texts"; }
    std::string operator()(const Pair&) const { return "two numbers, 0 … 1 (not itself)"; }
    std::string operator()(const Switch&) const { return "true or false"; }
  };
  return std::visit(Say{}, bounds);
}

bool inside(const Number& n, double v) {
  return (n.open_min ? v > n.min : v >= n.min) && (n.open_max ? v < n.max : v <= n.max);
}

bool set_number(const Key& key, const toml::node& node, double* to) {
  const std::optional<double> v = node.value<double>();  // an integer will do
  if (node.is_boolean() || node.is_string() || !v || !inside(std::get<Number>(key.bounds), *v)) return false;
  *to = *v;
  return true;
}

bool set_texts(const toml::node& node, std::vector<std::string>* to) {
  const toml::array* list = node.as_array();
  if (list == nullptr) return false;
  to->clear();
  for (const toml::node& item : *list) {
    if (!item.is_string()) return false;
    to->push_back(**item.as_string());
  }
  return true;
}

bool set_pair(const toml::node& node, std::array<double, 2>* to) {
  const toml::array* list = node.as_array();
  if (list == nullptr || list->size() != 2) return false;
  for (size_t i = 0; i < 2; ++i) {
    const std::optional<double> v = (*list)[i].value<double>();
    if (!(*list)[i].is_number() || !v || !(*v >= 0 && *v < 1)) return false;  // nan, too
    (*to)[i] = *v;
  }
  return true;
}

bool set_word(const Key& key, const toml::node& node, std::string* to) {
  if (!node.is_string()) return false;
  const std::vector<std::string>& allowed = std::get<Words>(key.bounds).allowed;
  const std::string& v = **node.as_string();
  if (!allowed.empty() && std::find(allowed.begin(), allowed.end(), v) == allowed.end()) return false;
  *to = v;
  return true;
}

template <class Int>
bool set_whole(const Key& key, const toml::node& node, Int* to) {
  if (!node.is_integer()) return false;
  const int64_t v = **node.as_integer();
  const Whole& w = std::get<Whole>(key.bounds);
  if (v < w.min || v > w.max) return false;
  *to = static_cast<Int>(v);
  return true;
}

bool set_value(const Key& key, const toml::node& node) {
  struct Set {
    const Key& key;
    const toml::node& node;
    bool operator()(int* to) const { return set_whole(key, node, to); }
    bool operator()(int64_t* to) const { return set_whole(key, node, to); }
    bool operator()(double* to) const { return set_number(key, node, to); }
    bool operator()(bool* to) const {
      if (!node.is_boolean()) return false;
      *to = **node.as_boolean();
      return true;
    }
    bool operator()(std::string* to) const { return set_word(key, node, to); }
    bool operator()(std::vector<std::string>* to) const { return set_texts(node, to); }
    bool operator()(std::array<double, 2>* to) const { return set_pair(node, to); }
  };
  return std::visit(Set{key, node}, key.place);
}

std::string shown(const toml::node& node) {
  std::ostringstream out;
  node.visit([&out](const auto& n) { out << n; });
  return out.str();
}

size_t edit_distance(std::string_view a, std::string_view b) {
  std::vector<size_t> row(b.size() + 1);
  for (size_t j = 0; j < row.size(); ++j) row[j] = j;
  for (size_t i = 1; i <= a.size(); ++i) {
    size_t diagonal = row[0]++;
    for (size_t j = 1; j <= b.size(); ++j) {
      const size_t keep = row[j];
      row[j] = std::min({row[j] + 1, row[j - 1] + 1, diagonal + (a[i - 1] == b[j - 1] ? 0 : 1)});
      diagonal = keep;
    }
  }
  return row.back();
}

std::string nearest_key(const std::vector<Key>& keys, const std::string& name) {
  const Key& best = *std::min_element(keys.begin(), keys.end(), [&](const Key& a, const Key& b) {
    return edit_distance(a.name, name) < edit_distance(b.name, name);
  });
  return best.name;
}

Status apply(const std::vector<Key>& keys, const toml::table& table, const std::string& section,
             std::string_view file) {
  for (const auto& [word, node] : table) {
    const std::string name =
        section.empty() ? std::string(word.str()) : fmt::format("{}.{}", section, word.str());
    const auto line = node.source().begin.line;
    const bool is_section = std::any_of(
        keys.begin(), keys.end(), [&](const Key& k) { return k.name.starts_with(fmt::format("{}.", name)); });
    if (is_section && node.is_table()) {
      QW_TRY(apply(keys, *node.as_table(), name, file));
      continue;
    }
    const auto key = std::find_if(keys.begin(), keys.end(), [&](const Key& k) { return k.name == name; });
    if (key == keys.end())
      return fail("train.unknown_key",
                  {{"file", file}, {"line", line}, {"key", name}, {"nearest", nearest_key(keys, name)}});
    if (!set_value(*key, node))
      return fail("train.key", {{"file", file},
                                {"line", line},
                                {"key", name},
                                {"found", shown(node)},
                                {"expected", expected_text(key->bounds)}});
  }
  return {};
}

Json value_of(const Place& place) {
  return std::visit([](const auto* v) { return Json(*v); }, place);
}

// What one key asks of another.
Status check_together(const TrainConfig& c, std::string_view file) {
  const auto needs = [&](bool good, std::string_view key, std::string_view reason) -> Status {
    if (good) return {};
    return fail("train.needs", {{"file", file}, {"key", key}, {"reason", reason}});
  };
  QW_TRY(needs(!c.model.empty(), "model", "model = \"MODEL\""));
  QW_TRY(needs(!c.out.empty(), "out", "out = \"runs/NAME\""));
  QW_TRY(needs(!c.data.empty(), "data", "data = [\"FILE.jsonl\"]"));
  QW_TRY(needs(int64_t{c.batch_size} * c.seq_len <= kMaxBatchTokens, "batch_size",
               fmt::format("batch_size * seq_len <= {}", kMaxBatchTokens)));
  QW_TRY(needs(c.task != "dpo" || c.init == "pretrained", "init", "task = \"dpo\": init = \"pretrained\""));
  QW_TRY(needs(c.task != "distill" || !c.teacher.empty(), "teacher", "task = \"distill\""));
  QW_TRY(
      needs(c.init == "pretrained" || c.method == "full", "method", "init = \"random\": method = \"full\""));
  QW_TRY(needs(c.adapter.empty() || c.method != "full", "adapter", "method = \"lora\" | \"qlora\""));
  QW_TRY(needs(c.early_stop == 0 || c.eval_every > 0, "early_stop", "eval_every"));
  QW_TRY(needs(c.eval_every == 0 || !c.eval_data.empty(), "eval_every", "eval_data"));
  QW_TRY(needs(c.min_lr <= c.lr, "min_lr", "min_lr <= lr"));
  return {};
}

// Keys that may change between the runs of one training.
const std::set<std::string, std::less<>>& free_keys() {
  static const std::set<std::string, std::less<>> kFree = {"out", "threads", "checkpoint_minutes",
                                                           "keep_checkpoints", "eval_every", "eval_data",
                                                           "early_stop", "save_dtype", "steps", "epochs",
                                                           "date",  // what it changes is in the data
                                                           // Against a loss that is no finite number
                                                           "lr", "min_lr", "warmup_steps", "precision"};
  return kFree;
}

}  // namespace

std::vector<KeyInfo> config_keys() {
  TrainConfig defaults;
  std::vector<KeyInfo> out;
  for (const Key& k : keys_of(defaults)) out.push_back({k.name, value_of(k.place), expected_text(k.bounds)});
  return out;
}

Result<TrainConfig> parse_config(std::string_view text, std::string_view file) {
  TrainConfig config;
  try {
    const toml::table table = toml::parse(text, file);
    QW_TRY(apply(keys_of(config), table, "", file));
  } catch (const toml::parse_error& e) {
    return fail("train.toml", {{"file", file},
                               {"line", e.source().begin.line},
                               {"column", e.source().begin.column},
                               {"reason", e.description()}});
  }
  QW_TRY(check_together(config, file));
  return config;
}

std::vector<Error> unread_keys(TrainConfig c) {
  struct Read {
    std::string_view keys;  // one, or a section with its dot
    bool read;
    std::string_view where;
  };
  constexpr std::string_view kAdapts = "method = \"lora\" | \"qlora\"";
  constexpr std::string_view kNew = "adapter = \"\"";  // else the adapter says it
  const bool adapts = c.method != "full", is_new = c.adapter.empty();
  const Read reads[] = {{"lora.", adapts, kAdapts},
                        {"lora.rank", is_new, kNew},
                        {"lora.alpha", is_new, kNew},
                        {"lora.targets", is_new, kNew},
                        {"lora.rslora", is_new, kNew},
                        {"save_dtype", !adapts, "method = \"full\""},
                        {"teacher", c.task == "distill", "task = \"distill\""},
                        {"distill.", c.task == "distill", "task = \"distill\""},
                        {"dpo.", c.task == "dpo", "task = \"dpo\""}};
  std::vector<Error> unread;
  TrainConfig defaults;
  const std::vector<Key> keys = keys_of(c), usual = keys_of(defaults);
  for (size_t i = 0; i < keys.size(); ++i) {
    if (value_of(keys[i].place) == value_of(usual[i].place)) continue;
    for (const Read& r : reads)
      if (!r.read && keys[i].name.starts_with(r.keys))
        unread.push_back(Error("train.unread", {{"key", keys[i].name}, {"reason", r.where}}));
  }
  return unread;
}

Json config_json(const TrainConfig& config) {
  TrainConfig copy = config;
  Json out = Json::object();
  for (const Key& k : keys_of(copy)) {
    const size_t dot = k.name.find('.');
    if (dot == std::string::npos)
      out[k.name] = value_of(k.place);
    else
      out[k.name.substr(0, dot)][k.name.substr(dot + 1)] = value_of(k.place);
  }
  return out;
}

std::string first_difference(const Json& before, const Json& now) {
  for (const auto& [key, value] : now.items()) {
    if (free_keys().contains(key)) continue;
    const auto old = before.find(key);
    if (old == before.end() || *old != value) return key;
  }
  return {};
}

}  // namespace qw::train
