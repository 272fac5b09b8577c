#include "io/peft/peft.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <set>

#include "base/json.h"
#include "base/rng.h"
#include "io/hf/safetensors.h"
#include "io/hf/safetensors_writer.h"
#include "io/peft/config.h"
#include "io/peft/experts.h"
#include "io/staged_folder.h"
#include "io/stored_weights.h"

namespace qw {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kPrefix = "base_model.model.";
constexpr std::string_view kSuffixA = ".lora_A.weight";
constexpr std::string_view kSuffixB = ".lora_B.weight";
constexpr std::string_view kWeight = ".weight";
constexpr std::string_view kHead = "lm_head";
constexpr std::string_view kEmbedding = "model.embed_tokens";
constexpr size_t kMaxConfigBytes = size_t{16} << 20;

// The matrices of a model that an adapter may go on, by module.
class Matrices {
 public:
  explicit Matrices(const std::vector<Weight*>& weights) {
    for (const Weight* w : weights)
      if (w->shape.rank() == 2) by_module_.emplace(module_name(*w), w);
    // Where the embedding is the head too, an adapter may only go on that second use.
    if (const auto it = by_module_.find(kEmbedding); it != by_module_.end()) {
      embedding_ = it->second;
      if (!by_module_.contains(kHead)) by_module_.emplace(kHead, it->second);
      by_module_.erase(it);
    }
  }
  const Weight* find(std::string_view module) const {
    const auto it = by_module_.find(module);
    return it == by_module_.end() ? nullptr : it->second;
  }
  const std::map<std::string, const Weight*, std::less<>>& all() const { return by_module_; }
  // The experts below a module that names their stack; n = 0 and no name for another module.
  ExpertStack stack_at(std::string_view module) const {
    const auto experts = stacked_experts_module(module);
    ExpertStack out;
    if (!experts) return out;
    const auto expert = [&] { return find(fmt::format("{}.{}.gate_proj", *experts, out.n)); };
    for (const Weight* w = expert(); w != nullptr; w = expert()) {
      out.experts = *experts;
      out.ffn = w->rows();
      out.hidden = w->cols();
      ++out.n;
    }
    return out;
  }
  // PEFT adds a copy of the embedding or the head where an adapter touches it, for the case that the
  // vocabulary grew ("base_model.model.lm_head.base_layer.weight"): the weight so repeated, or null.
  const Weight* copied_by(std::string_view tensor) const {
    if (!tensor.starts_with(kPrefix) || !tensor.ends_with(kWeight)) return nullptr;
    tensor.remove_prefix(kPrefix.size());
    tensor.remove_suffix(kWeight.size());
    constexpr std::string_view kBase = ".base_layer";
    if (tensor.ends_with(kBase)) tensor.remove_suffix(kBase.size());
    return tensor == kEmbedding ? embedding_ : tensor == kHead ? find(kHead) : nullptr;
  }

 private:
  static std::string module_name(const Weight& w) {
    const std::string_view name = w.name;
    return std::string(name.ends_with(kWeight) ? name.substr(0, name.size() - kWeight.size()) : name);
  }
  std::map<std::string, const Weight*, std::less<>> by_module_;
  const Weight* embedding_ = nullptr;
};

// A new weight, real(), whose numbers are not set yet.
Result<Weight> new_weight(Backend& backend, std::string name, const Shape& shape, bool trainable) {
  const DType real = backend.real();
  QW_TRY(StoragePtr storage, backend.alloc(static_cast<size_t>(shape.elements() * traits(real).bytes)));
  return Weight{.name = std::move(name),
                .shape = shape,
                .format = real == DType::f64 ? QuantFormat::f64 : QuantFormat::f32,
                .data = Tensor(std::move(storage), 0, shape, real),
                .trainable = trainable};
}

// The numbers of a weight as f32.
Result<std::vector<float>> f32_of(const Weight& w, Backend& backend) {
  const auto n = static_cast<size_t>(w.shape.elements());
  QW_TRY(StoragePtr storage, backend.alloc(n * sizeof(float)));
  const Tensor narrow(std::move(storage), 0, w.shape, DType::f32);
  backend.copy(narrow, w.data);
  std::vector<float> out(n);
  backend.download(out.data(), narrow);
  return out;
}

struct Reading {
  const fs::path& file;
  Backend& backend;
  StoredWeights& source;
  bool trainable;

  Result<Weight> take(const std::string& module, std::string_view suffix, const Shape& shape) const {
    const std::string name = fmt::format("{}{}", module, suffix);
    QW_TRY(const WeightBytes bytes, source.take(fmt::format("{}{}", kPrefix, name), shape.dims()));
    QW_TRY(Weight w, new_weight(backend, name, shape, trainable));
    QW_TRY(StoragePtr raw, backend.import_host(bytes.bytes, bytes.holder));
    backend.copy(w.data, Tensor(std::move(raw), 0, shape, storage_dtype(bytes.format)));
    return w;
  }
  Result<Weight> make(const std::string& module, std::string_view suffix, const MatrixSize& size,
                      const std::vector<float>& values) const {
    QW_TRY(Weight w,
           new_weight(backend, fmt::format("{}{}", module, suffix), {size.rows, size.cols}, trainable));
    QW_TRY(StoragePtr storage, backend.alloc(values.size() * sizeof(float)));
    const Tensor narrow(std::move(storage), 0, w.shape, DType::f32);
    backend.upload(narrow, values.data());
    backend.copy(w.data, narrow);
    return w;
  }
  // `tensor` must be what the model has; one whose numbers are not at hand is warned of.
  Status compare(const std::string& tensor, const Weight& with, std::vector<Error>& warnings) const {
    QW_TRY(const WeightBytes bytes, source.take(tensor, with.shape.dims()));
    const auto error = [&](std::string_view code) {
      return Error(code, {{"file", file.string()}, {"tensor", tensor}});
    };
    if (!with.defined() || !traits(with.format).is_float) {
      warnings.push_back(error("peft.copy_unread"));
      return {};
    }
    QW_TRY(StoragePtr storage, backend.alloc(bytes.bytes.size()));
    const Tensor rounded(std::move(storage), 0, with.shape, storage_dtype(bytes.format));
    backend.copy(rounded, with.data);
    std::vector<std::byte> own(bytes.bytes.size());
    backend.download(own.data(), rounded);
    if (!std::equal(own.begin(), own.end(), bytes.bytes.begin()))
      return tl::unexpected(error("peft.copy_differs"));
    return {};
  }
};

Result<QuantFormat> format_of(const std::string& tensor, const SafetensorsTensor& t, const fs::path& file) {
  if (const auto format = float_format(t.dtype)) return *format;
  return fail("hf.dtype", {{"file", file.string()}, {"tensor", tensor}, {"found", t.dtype}});
}

// "base_model.model.model.layers.0.mlp.up_proj.lora_A.weight" → "model.layers.0.mlp.up_proj"; "" for a name
// of another form.
std::string module_of(std::string_view tensor) {
  if (!tensor.starts_with(kPrefix)) return {};
  tensor.remove_prefix(kPrefix.size());
  for (const std::string_view suffix : {kSuffixA, kSuffixB})
    if (tensor.ends_with(suffix)) return std::string(tensor.substr(0, tensor.size() - suffix.size()));
  return {};
}

struct PeftTensors {
  std::map<std::string, StoredTensor, std::less<>> stored;
  std::set<std::string> modules;
  std::set<std::string> stacks;  // modules whose adapter is that of a stack of experts
  std::vector<std::pair<std::string, const Weight*>> copies;  // tensors that repeat a weight of the model
};

Result<PeftTensors> open_tensors(const fs::path& file, const Matrices& matrices) {
  QW_TRY(const SafetensorsSet set, open_safetensors(file));
  PeftTensors out;
  for (const auto& [name, item] : set.tensors) {
    const std::string module = module_of(name);
    const Weight* copied = module.empty() ? matrices.copied_by(name) : nullptr;
    const bool stack = !matrices.stack_at(module).experts.empty();
    if (copied == nullptr && !stack && matrices.find(module) == nullptr)
      return fail("peft.tensor", {{"file", file.string()}, {"tensor", name}});
    QW_TRY(const QuantFormat format, format_of(name, *item.tensor, file));
    if (copied != nullptr)
      out.copies.emplace_back(name, copied);
    else
      (stack ? out.stacks : out.modules).insert(module);
    out.stored.emplace(name, StoredTensor{.format = format,
                                          .shape = item.tensor->shape,
                                          .bytes = item.tensor->bytes,
                                          .holder = item.file,
                                          .file = file.string()});
  }
  if (out.modules.empty() && out.stacks.empty()) return fail("peft.empty", {{"file", file.string()}});
  return out;
}

// An adapter of stacked experts, expert by expert.
Status add_stack(const Reading& reading, const std::string& module, ExpertStack stack,
                 const PeftTensors& tensors, LoraAdapter& out) {
  const auto size_of = [&](std::string_view suffix) {
    const auto it = tensors.stored.find(fmt::format("{}{}{}", kPrefix, module, suffix));
    if (it == tensors.stored.end() || it->second.shape.size() != 2) return MatrixSize{};
    return MatrixSize{it->second.shape[0], it->second.shape[1]};
  };
  stack.a = size_of(kSuffixA);
  stack.b = size_of(kSuffixB);
  const auto projection = stacked_projection(stack);
  const std::string parameter = fmt::format("{}.{}", stack.experts, projection.value_or("gate_up_proj"));
  const int64_t rank = lora_rank(out.spec, parameter);
  if (!projection || stack.a.rows != rank * stack.n)
    return fail("weights.shape", {{"file", reading.file.string()},
                                  {"tensor", fmt::format("{}{}{}", kPrefix, module, kSuffixA)},
                                  {"expected", fmt::format("[{}, {}]", rank * stack.n, stack.hidden)},
                                  {"found", fmt::format("[{}, {}] · [{}, {}]", stack.b.rows, stack.b.cols,
                                                        stack.a.rows, stack.a.cols)}});
  QW_TRY(const Weight a, reading.take(module, kSuffixA, {stack.a.rows, stack.a.cols}));
  QW_TRY(const Weight b, reading.take(module, kSuffixB, {stack.b.rows, stack.b.cols}));
  QW_TRY(const std::vector<float> values_a, f32_of(a, reading.backend));
  QW_TRY(const std::vector<float> values_b, f32_of(b, reading.backend));
  const double scale = lora_scale(out.spec, parameter);
  for (const ExpertFactors& f : split_stacked_adapter(stack, values_a, values_b)) {
    Lora lora;
    lora.scale = scale;
    QW_TRY(lora.a, reading.make(f.module, kSuffixA, f.a_size, f.a));
    QW_TRY(lora.b, reading.make(f.module, kSuffixB, f.b_size, f.b));
    out.set->add(fmt::format("{}{}", f.module, kWeight), std::move(lora));
    out.spec.targets.push_back(f.module);
    if (rank != lora_rank(out.spec, f.module))
      out.spec.rank_pattern.emplace_back("^" + f.module, static_cast<int>(rank));
    const auto r = static_cast<double>(rank);
    if (scale != lora_scale(out.spec, f.module))
      out.spec.alpha_pattern.emplace_back("^" + f.module, scale * (out.spec.rslora ? std::sqrt(r) : r));
  }
  return {};
}

bool all_linear(const std::vector<std::string>& targets) {
  return targets == std::vector<std::string>{"all-linear"};
}

// Nothing that learns passes through the drafting layer (mtp), and PEFT's models have none.
bool belongs(const LoraSpec& spec, const std::string& module) {
  if (module.starts_with("mtp.")) return false;
  return all_linear(spec.targets) ? module != kHead : is_target(spec.targets, module);
}

Result<PeftConfig> open_config(const fs::path& folder) {
  const fs::path file = folder / "adapter_config.json";
  std::error_code ec;
  if (!fs::exists(file, ec)) return fail("peft.no_config", {{"file", folder.string()}});
  QW_TRY(const std::string text, read_file(file, kMaxConfigBytes));
  QW_TRY(const Json json, parse_json(text, file.string()));
  if (!json.is_object()) return fail("hf.not_object", {{"file", file.string()}});
  return parse_peft_config(json, file.string());
}

Result<fs::path> weights_file(const fs::path& folder) {
  const fs::path file = folder / "adapter_model.safetensors";
  std::error_code ec;
  if (fs::exists(file, ec) || fs::is_symlink(file, ec)) return file;
  const bool pickle = fs::exists(folder / "adapter_model.bin", ec);
  return fail(pickle ? "peft.pickle" : "peft.no_weights", {{"file", folder.string()}});
}

Status check_spec(const LoraSpec& spec) {
  const auto bad = [](std::string_view key, const auto& found, std::string_view expected) {
    return fail("lora.value", {{"key", key}, {"found", found}, {"expected", expected}});
  };
  if (spec.rank < 1) return bad("rank", spec.rank, "1..");
  if (!std::isfinite(spec.alpha) || spec.alpha < 0) return bad("alpha", spec.alpha, "0..");
  if (!(spec.dropout >= 0 && spec.dropout < 1)) return bad("dropout", spec.dropout, "0..1");
  if (spec.targets.empty()) return bad("targets", "[]", "[\"q_proj\", …]");
  return {};
}

void fill_uniform(Backend& backend, const Weight& w, double bound, uint64_t seed) {
  const Rng rng(Rng(seed).bits(name_key(w.name)));
  const auto n = static_cast<size_t>(w.shape.elements());
  std::vector<float> narrow(n);
  for (size_t i = 0; i < n; ++i) narrow[i] = static_cast<float>(bound * (2.0 * rng.uniform(i) - 1.0));
  const std::vector<double> wide(narrow.begin(), narrow.end());
  const bool f64 = backend.real() == DType::f64;
  backend.upload(w.data, f64 ? static_cast<const void*>(wide.data()) : narrow.data());
}

}  // namespace

std::string lora_module(std::string_view weight_name) {
  if (weight_name.ends_with(kWeight)) weight_name.remove_suffix(kWeight.size());
  return std::string(weight_name == kEmbedding ? kHead : weight_name);
}

Result<LoraAdapter> read_peft_adapter(const fs::path& folder, const std::vector<Weight*>& weights,
                                      Backend& backend, bool trainable) {
  QW_TRY(PeftConfig config, open_config(folder));
  QW_TRY(const fs::path file, weights_file(folder));
  const Matrices matrices(weights);
  QW_TRY(PeftTensors tensors, open_tensors(file, matrices));
  LoraAdapter out{std::move(config.spec), std::make_shared<AdapterSet>(), std::move(config.warnings)};
  LoraSpec& spec = out.spec;
  if (config.targets_by_tensors) spec.targets.assign(tensors.modules.begin(), tensors.modules.end());
  StoredWeights source(file.string(), tensors.stored);
  const Reading reading{file, backend, source, trainable};
  for (const std::string& module : tensors.stacks)
    QW_TRY(add_stack(reading, module, matrices.stack_at(module), tensors, out));
  for (const std::string& module : tensors.modules) {
    if (!belongs(spec, module)) return fail("peft.not_target", {{"file", file.string()}, {"tensor", module}});
    const Weight& base = *matrices.find(module);
    const int64_t rank = lora_rank(spec, module);
    Lora lora;
    lora.scale = lora_scale(spec, module);
    QW_TRY(lora.a, reading.take(module, kSuffixA, {rank, base.cols()}));
    QW_TRY(lora.b, reading.take(module, kSuffixB, {base.rows(), rank}));
    lora.a.vocabulary = lora.b.vocabulary = base.vocabulary;
    out.set->add(base.name, std::move(lora));
  }
  for (const auto& [tensor, copied] : tensors.copies) QW_TRY(reading.compare(tensor, *copied, out.warnings));
  QW_TRY(source.finish());
  return out;
}

Result<LoraAdapter> make_lora_adapter(const LoraSpec& spec, const std::vector<Weight*>& weights,
                                      Backend& backend, uint64_t seed) {
  QW_TRY(check_spec(spec));
  const Matrices matrices(weights);
  for (const std::string& target : spec.targets) {
    const auto meets = [&](const auto& m) { return is_target({target}, m.first); };
    if (!all_linear(spec.targets) && std::none_of(matrices.all().begin(), matrices.all().end(), meets))
      return fail("lora.no_target", {{"target", target}});
  }
  LoraAdapter out{spec, std::make_shared<AdapterSet>()};
  for (const auto& [module, base] : matrices.all()) {
    if (!belongs(spec, module)) continue;
    const int64_t rank = lora_rank(spec, module);
    Lora lora;
    lora.scale = lora_scale(spec, module);
    QW_TRY(lora.a, new_weight(backend, fmt::format("{}{}", module, kSuffixA), {rank, base->cols()}, true));
    QW_TRY(lora.b, new_weight(backend, fmt::format("{}{}", module, kSuffixB), {base->rows(), rank}, true));
    lora.a.vocabulary = lora.b.vocabulary = base->vocabulary;
    fill_uniform(backend, lora.a, 1.0 / std::sqrt(static_cast<double>(base->cols())), seed);
    backend.fill(lora.b.data, 0.0);
    out.set->add(base->name, std::move(lora));
  }
  return out;
}

Status write_peft_adapter(const fs::path& folder, const LoraAdapter& adapter, Backend& backend) {
  QW_TRY(StagedFolder staged, StagedFolder::create(folder));
  std::vector<const Weight*> weights;
  for (const auto& [name, lora] : adapter.set->all()) weights.insert(weights.end(), {&lora.a, &lora.b});
  std::vector<SafetensorsPlan> plans;
  for (const Weight* w : weights)
    plans.push_back(
        {fmt::format("{}{}", kPrefix, w->name), "F32", {w->shape.dims().begin(), w->shape.dims().end()}});
  QW_TRY(SafetensorsWriter writer,
         SafetensorsWriter::create(staged.path() / "adapter_model.safetensors", plans, {{"format", "pt"}}));
  for (size_t i = 0; i < weights.size(); ++i) {
    QW_TRY(const std::vector<float> values, f32_of(*weights[i], backend));
    QW_TRY(writer.write(i, 0, std::span<const float>(values)));
  }
  QW_TRY(writer.finish());
  const std::string config =
      peft_config_json(adapter.spec).dump(2, ' ', false, Json::error_handler_t::replace);
  QW_TRY(write_file_atomic(staged.path() / "adapter_config.json", config + "\n"));
  return staged.commit("adapter_config.json");
}

}  // namespace qw
