#include "io/gguf/adapter.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "core/arena.h"
#include "io/encode.h"
#include "io/gguf/export.h"
#include "io/gguf/hybrid.h"
#include "io/gguf/keys.h"
#include "io/gguf/names.h"
#include "io/gguf/writer.h"

namespace qw {
namespace {

namespace fs = std::filesystem;

constexpr std::string_view kA = ".lora_a";
constexpr std::string_view kB = ".lora_b";
constexpr std::string_view kEmbedding = "model.embed_tokens.weight";

// The rows of B in the order of the file (or, `back`, of the file's in their own): a row is r numbers.
std::vector<float> reordered(const std::vector<float>& b, int64_t rank, int64_t head_rows, bool back) {
  if (head_rows == 0) return b;
  std::vector<float> out(b.size());
  for (int64_t row = 0; row * rank < static_cast<int64_t>(b.size()); ++row) {
    const int64_t source = rotary_source_row(row, head_rows);
    const int64_t from = back ? row : source, to = back ? source : row;
    std::copy_n(b.begin() + from * rank, rank, out.begin() + to * rank);
  }
  return out;
}

// The numbers of a matrix of any format.
std::vector<float> f32_of(const Weight& w, Backend& backend) {
  Arena arena(backend);
  const Tensor rows = arena.alloc(w.shape, DType::f32);
  std::vector<int32_t> ids(static_cast<size_t>(w.rows()));
  std::iota(ids.begin(), ids.end(), 0);
  backend.embedding(rows, arena.upload(ids), w);
  std::vector<float> out(static_cast<size_t>(w.shape.elements()));
  backend.download(out.data(), rows);
  return out;
}

class AdapterReader {
 public:
  AdapterReader(const GgufFile& file, const Json& config, Backend& backend, bool trainable)
      : file_(file), config_(config), backend_(backend), trainable_(trainable), keys_(file) {}

  Result<LoraAdapter> read(const std::vector<Weight*>& weights) {
    QW_TRY(must_be("general.type", "adapter"));
    QW_TRY(must_be("adapter.type", "lora"));
    QW_TRY(must_be("general.architecture", gguf_architecture(config_.value("model_type", ""))));
    QW_TRY(const auto alpha, keys_.number("adapter.lora.alpha"));
    if (!alpha) return keys_.missing("adapter.lora.alpha");
    if (!std::isfinite(*alpha))
      return keys_.bad_value("adapter.lora.alpha", {"expected", ">= 0"}, {"found", *alpha});
    // The weights of each tensor of a file: one, or the experts of a layer.
    std::map<std::string, std::vector<const Weight*>, std::less<>> by_name;
    for (const Weight* w : weights)
      if (const auto place = gguf_place(w->name); place && w->shape.rank() == 2 && w->name != kEmbedding)
        by_name[place->tensor].push_back(w);
    LoraAdapter out{LoraSpec{.alpha = *alpha}, std::make_shared<AdapterSet>()};
    for (const auto& [name, tensor] : file_.tensors()) {
      if (!name.ends_with(kA) && !name.ends_with(kB)) return unknown(name);
      const std::string_view stem = name.substr(0, name.size() - kA.size());
      const auto base = by_name.find(stem);
      if (base == by_name.end()) return unknown(name);
      if (name.ends_with(kA)) {
        QW_TRY(add(out, base->second, stem, *alpha));
      } else if (!file_.tensors().contains(fmt::format("{}{}", stem, kA))) {
        return fail("weights.missing", {{"file", keys_.name()}, {"tensor", fmt::format("{}{}", stem, kA)}});
      }
    }
    if (out.set->all().empty()) return fail("peft.empty", {{"file", keys_.name()}});
    return out;
  }

 private:
  Status must_be(std::string_view key, std::string_view expected) const {
    QW_TRY(const auto found, keys_.text(key));
    if (!found) return keys_.missing(key);
    if (*found != expected) return keys_.bad_value(key, {"expected", expected}, {"found", *found});
    return {};
  }
  tl::unexpected<Error> unknown(std::string_view tensor) const {
    return fail("peft.tensor", {{"file", keys_.name()}, {"tensor", tensor}});
  }

  // `bases` are the one weight of a tensor, or the experts of a stack in order.
  Status add(LoraAdapter& out, const std::vector<const Weight*>& bases, std::string_view gguf_name,
             double alpha) {
    const std::string name_a = fmt::format("{}{}", gguf_name, kA),
                      name_b = fmt::format("{}{}", gguf_name, kB);
    const std::vector<int64_t>& stored = file_.tensors().at(name_a).shape;
    const int64_t rank = stored.size() < 2 ? 0 : stored.end()[-2];
    const auto n = static_cast<int64_t>(bases.size());
    const Weight& base = *bases.front();
    const bool stack = gguf_place(base.name)->expert >= 0;
    QW_TRY(const std::vector<float> all_a, values(name_a, stack ? n : 0, {rank, base.cols()}));
    QW_TRY(const std::vector<float> all_b, values(name_b, stack ? n : 0, {base.rows(), rank}));
    for (size_t e = 0; e < bases.size(); ++e) {
      const auto part = [&](const std::vector<float>& all) {
        const size_t size = all.size() / bases.size();
        return std::vector<float>(all.begin() + static_cast<ptrdiff_t>(e * size),
                                  all.begin() + static_cast<ptrdiff_t>((e + 1) * size));
      };
      QW_TRY(add_one(out, *bases[e], rank, part(all_a), part(all_b), alpha));
    }
    return {};
  }

  Status add_one(LoraAdapter& out, const Weight& base, int64_t rank, const std::vector<float>& a,
                 const std::vector<float>& stored_b, double alpha) {
    const std::string module = lora_module(base.name);
    Lora lora;
    QW_TRY(lora.a, weight(module + ".lora_A.weight", {rank, base.cols()}, a));
    const int64_t head_rows = rotary_head_rows(config_, base.name);
    QW_TRY(lora.b, weight(module + ".lora_B.weight", {base.rows(), rank},
                          reordered(stored_b, rank, head_rows, true)));
    // llama.cpp: an alpha of 0 means that the factors are used as they are.
    lora.scale = alpha == 0 ? 1.0 : alpha / static_cast<double>(rank);
    if (out.set->all().empty()) out.spec.rank = static_cast<int>(rank);
    if (out.spec.rank != rank) out.spec.rank_pattern.emplace_back("^" + module, static_cast<int>(rank));
    if (alpha == 0) out.spec.alpha_pattern.emplace_back("^" + module, static_cast<double>(rank));
    out.spec.targets.push_back(module);
    out.set->add(base.name, std::move(lora));
    return {};
  }

  // A matrix, or (n > 0) a stack of n.
  Result<std::vector<float>> values(const std::string& name, int64_t n, Shape shape) const {
    const auto it = file_.tensors().find(name);
    if (it == file_.tensors().end())
      return fail("weights.missing", {{"file", keys_.name()}, {"tensor", name}});
    const GgufTensor& t = it->second;
    std::vector<int64_t> expected(shape.dims().begin(), shape.dims().end());
    if (n > 0) expected.insert(expected.begin(), n);
    if (t.shape != expected || shape[0] < 1 || shape[1] < 1)
      return fail("weights.shape", {{"file", keys_.name()},
                                    {"tensor", name},
                                    {"expected", fmt::format("[{}]", fmt::join(expected, ", "))},
                                    {"found", fmt::format("[{}]", fmt::join(t.shape, ", "))}});
    if (n > 0) shape[0] *= n;
    if (!t.type->format)
      return fail("gguf.tensor_unsupported",
                  {{"file", keys_.name()}, {"tensor", name}, {"found", t.type->name}});
    Weight w;
    w.name = name;
    w.shape = shape;
    w.format = *t.type->format;
    // A copy: the file need not be aligned as the numbers want, and is let go.
    auto bytes = std::make_shared<std::vector<std::byte>>(t.bytes.begin(), t.bytes.end());
    QW_TRY(StoragePtr storage, backend_.import_host(*bytes, bytes));
    const DType dtype = storage_dtype(w.format);
    const Shape stored = dtype == DType::u8 ? Shape{shape[0], row_bytes(w.format, shape[1])} : shape;
    w.data = Tensor(std::move(storage), 0, stored, dtype);
    return f32_of(w, backend_);
  }

  Result<Weight> weight(const std::string& name, const Shape& shape,
                        const std::vector<float>& numbers) const {
    Weight w;
    w.name = name;
    w.shape = shape;
    w.trainable = trainable_;
    QW_TRY(StoragePtr storage, backend_.alloc(numbers.size() * sizeof(float)));
    w.data = Tensor(std::move(storage), 0, shape, DType::f32);
    backend_.upload(w.data, numbers.data());
    return w;
  }

  const GgufFile& file_;
  const Json& config_;
  Backend& backend_;
  bool trainable_;
  GgufKeys keys_;
};

// The alpha of the file: the one that all modules have, where they do.
double common_alpha(const LoraAdapter& adapter) {
  double alpha = adapter.spec.alpha;
  bool first = true, same = true;
  for (const auto& [name, lora] : adapter.set->all()) {
    const double own = lora.scale * static_cast<double>(lora.a.rows());
    same = same && (first || own == alpha);
    alpha = own;
    first = false;
  }
  if (same && alpha != 0) return alpha;
  return adapter.spec.alpha != 0 ? adapter.spec.alpha : 1.0;
}

// One tensor pair of the file: one weight's factors, or those of the experts of a layer; an expert without an
// adapter has zeros.
struct Stack {
  std::vector<const Lora*> loras;
  std::string name;  // of the first weight, Hugging Face's
  const Lora* any = nullptr;
  int64_t rank = 0;  // the largest: smaller ones are filled with zeros
  bool experts = false;
};

Result<std::map<std::string, Stack, std::less<>>> stacks_of(const LoraAdapter& adapter, const Json& config) {
  std::map<std::string, Stack, std::less<>> out;
  for (const auto& [name, lora] : adapter.set->all()) {
    const auto place = gguf_place(name);
    if (!place || name == kEmbedding)
      return fail("gguf.cannot_hold", {{"key", lora_module(name)}, {"found", "tie_word_embeddings"}});
    Stack& stack = out[place->tensor];
    stack.experts = place->expert >= 0;
    if (stack.loras.empty()) {
      stack.name = name;
      stack.any = &lora;
      const int n = config.value("num_experts", config.value("num_local_experts", 0));
      stack.loras.resize(stack.experts ? static_cast<size_t>(std::max(n, 1)) : 1);
    }
    const auto at = static_cast<size_t>(std::max(place->expert, 0));
    QW_CHECK(at < stack.loras.size(), "an adapter of another model: {}", name);
    stack.loras[at] = &lora;
    stack.rank = std::max(stack.rank, lora.a.rows());
  }
  return out;
}

// A of a stack [n · rank, in] and B [n · out, rank]; llama.cpp multiplies by alpha / rank.
std::pair<std::vector<float>, std::vector<float>> factors_of(const Stack& stack, double alpha,
                                                             const Json& config, Backend& backend) {
  const auto rank = static_cast<size_t>(stack.rank), in = static_cast<size_t>(stack.any->a.cols()),
             rows = static_cast<size_t>(stack.any->b.rows());
  std::vector<float> a(stack.loras.size() * rank * in), b(stack.loras.size() * rows * rank);
  for (size_t e = 0; e < stack.loras.size(); ++e) {
    if (stack.loras[e] == nullptr) continue;
    const Lora& lora = *stack.loras[e];
    const std::vector<float> own_a = f32_of(lora.a, backend);
    const std::vector<float> own_b =
        reordered(f32_of(lora.b, backend), lora.a.rows(), rotary_head_rows(config, stack.name), false);
    std::copy(own_a.begin(), own_a.end(), a.begin() + static_cast<ptrdiff_t>(e * rank * in));
    const double rest = lora.scale * static_cast<double>(stack.rank) / alpha;
    const auto own_rank = static_cast<size_t>(lora.a.rows());
    for (size_t row = 0; row < rows; ++row)
      for (size_t i = 0; i < own_rank; ++i)
        b[(e * rows + row) * rank + i] =
            static_cast<float>(static_cast<double>(own_b[row * own_rank + i]) * rest);
  }
  return {std::move(a), std::move(b)};
}

QuantFormat stored_format(QuantFormat format, int64_t columns) {
  return columns % traits(format).block == 0 ? format : QuantFormat::f16;
}

}  // namespace

Result<LoraAdapter> read_adapter(const fs::path& path, const Json& config,
                                 const std::vector<Weight*>& weights, Backend& backend, bool trainable) {
  QW_TRY(check_hub_layout(config));
  std::error_code ec;
  if (!fs::is_regular_file(path, ec)) return read_peft_adapter(path, weights, backend, trainable);
  QW_TRY(const auto file, GgufFile::open(path));
  return AdapterReader(*file, config, backend, trainable).read(weights);
}

Status write_gguf_adapter(const fs::path& file, const LoraAdapter& adapter, const Json& config,
                          Backend& backend, QuantFormat format) {
  const double alpha = common_alpha(adapter);
  GgufMetadata metadata;
  metadata.text("general.architecture", gguf_architecture(config.value("model_type", "")));
  metadata.text("general.type", "adapter");
  metadata.text("general.name", file.stem().string());
  metadata.text("adapter.type", "lora");
  metadata.f32("adapter.lora.alpha", alpha);
  QW_TRY(const auto stacks, stacks_of(adapter, config));
  std::vector<GgufTensorPlan> plans;
  for (const auto& [name, stack] : stacks) {
    std::vector<int64_t> a{stack.rank, stack.any->a.cols()}, b{stack.any->b.rows(), stack.rank};
    if (stack.experts)
      for (std::vector<int64_t>* shape : {&a, &b})
        shape->insert(shape->begin(), static_cast<int64_t>(stack.loras.size()));
    plans.push_back({fmt::format("{}{}", name, kA), stored_format(format, a.back()), a});
    plans.push_back({fmt::format("{}{}", name, kB), stored_format(format, b.back()), b});
  }
  QW_TRY(GgufWriter writer, GgufWriter::create(file, metadata, plans));
  size_t i = 0;
  const auto put = [&](const std::vector<float>& values) -> Status {
    const GgufTensorPlan& plan = plans[i];
    std::vector<std::byte> bytes;
    if (!encode(plan.format, values, bytes))
      return fail("save.overflow", {{"tensor", plan.name}, {"format", traits(plan.format).name}});
    return writer.write(i++, 0, bytes);
  };
  for (const auto& [name, stack] : stacks) {
    const auto [a, b] = factors_of(stack, alpha, config, backend);
    QW_TRY(put(a));
    QW_TRY(put(b));
  }
  return writer.finish();
}

}  // namespace qw
