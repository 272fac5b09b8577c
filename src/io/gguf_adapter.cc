#include "io/gguf_adapter.h"

#include <algorithm>
#include <cmath>
#include <map>
#include <numeric>

#include "core/arena.h"
#include "io/gguf_export.h"
#include "io/gguf_keys.h"
#include "io/gguf_names.h"
#include "io/gguf_writer.h"

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
    QW_TRY(must_be("general.architecture", config_.value("model_type", "")));
    QW_TRY(const auto alpha, keys_.number("adapter.lora.alpha"));
    if (!alpha) return keys_.missing("adapter.lora.alpha");
    if (!std::isfinite(*alpha))
      return keys_.bad_value("adapter.lora.alpha", {"expected", ">= 0"}, {"found", *alpha});
    std::map<std::string, const Weight*, std::less<>> by_name;
    for (const Weight* w : weights)
      if (w->shape.rank() == 2 && w->name != kEmbedding) by_name.emplace(w->name, w);
    LoraAdapter out{LoraSpec{.alpha = *alpha}, std::make_shared<AdapterSet>()};
    for (const auto& [name, tensor] : file_.tensors()) {
      if (!name.ends_with(kA) && !name.ends_with(kB)) return unknown(name);
      const std::string_view stem = name.substr(0, name.size() - kA.size());
      const auto hf = hf_tensor_name(stem);
      const auto base = hf ? by_name.find(*hf) : by_name.end();
      if (base == by_name.end()) return unknown(name);
      if (name.ends_with(kA)) {
        QW_TRY(add(out, *base->second, stem, *alpha));
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

  Status add(LoraAdapter& out, const Weight& base, std::string_view gguf_name, double alpha) {
    const std::string name_a = fmt::format("{}{}", gguf_name, kA),
                      name_b = fmt::format("{}{}", gguf_name, kB);
    const GgufTensor& a = file_.tensors().at(name_a);
    const int64_t rank = a.shape.front();
    const std::string module = lora_module(base.name);
    Lora lora;
    QW_TRY(std::vector<float> values_a, values(name_a, {rank, base.cols()}));
    QW_TRY(lora.a, weight(module + ".lora_A.weight", {rank, base.cols()}, values_a));
    QW_TRY(const std::vector<float> stored_b, values(name_b, {base.rows(), rank}));
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

  Result<std::vector<float>> values(const std::string& name, const Shape& shape) const {
    const auto it = file_.tensors().find(name);
    if (it == file_.tensors().end())
      return fail("weights.missing", {{"file", keys_.name()}, {"tensor", name}});
    const GgufTensor& t = it->second;
    if (t.shape.size() != 2 || t.shape[0] != shape[0] || t.shape[1] != shape[1] || shape[0] < 1)
      return fail("weights.shape", {{"file", keys_.name()},
                                    {"tensor", name},
                                    {"expected", shape.str()},
                                    {"found", fmt::format("[{}]", fmt::join(t.shape, ", "))}});
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

}  // namespace

Result<LoraAdapter> read_adapter(const fs::path& path, const Json& config,
                                 const std::vector<Weight*>& weights, Backend& backend, bool trainable) {
  std::error_code ec;
  if (!fs::is_regular_file(path, ec)) return read_peft_adapter(path, weights, backend, trainable);
  QW_TRY(const auto file, GgufFile::open(path));
  return AdapterReader(*file, config, backend, trainable).read(weights);
}

Status write_gguf_adapter(const fs::path& file, const LoraAdapter& adapter, const Json& config,
                          Backend& backend) {
  const double alpha = common_alpha(adapter);
  GgufMetadata metadata;
  metadata.text("general.architecture", config.value("model_type", ""));
  metadata.text("general.type", "adapter");
  metadata.text("general.name", file.stem().string());
  metadata.text("adapter.type", "lora");
  metadata.f32("adapter.lora.alpha", alpha);
  std::vector<GgufTensorPlan> plans;
  for (const auto& [name, lora] : adapter.set->all()) {
    const auto gguf = gguf_tensor_name(name);
    if (!gguf || name == kEmbedding)
      return fail("gguf.cannot_hold", {{"key", lora_module(name)}, {"found", "tie_word_embeddings"}});
    plans.push_back({fmt::format("{}{}", *gguf, kA), QuantFormat::f32, {lora.a.rows(), lora.a.cols()}});
    plans.push_back({fmt::format("{}{}", *gguf, kB), QuantFormat::f32, {lora.b.rows(), lora.b.cols()}});
  }
  QW_TRY(GgufWriter writer, GgufWriter::create(file, metadata, plans));
  size_t i = 0;
  for (const auto& [name, lora] : adapter.set->all()) {
    const int64_t rank = lora.a.rows();
    const std::vector<float> a = f32_of(lora.a, backend);
    std::vector<float> b = reordered(f32_of(lora.b, backend), rank, rotary_head_rows(config, name), false);
    const double rest = lora.scale * static_cast<double>(rank) / alpha;
    if (rest != 1.0)
      for (float& v : b) v = static_cast<float>(static_cast<double>(v) * rest);
    QW_TRY(writer.write(i++, 0, std::as_bytes(std::span(a))));
    QW_TRY(writer.write(i++, 0, std::as_bytes(std::span(b))));
  }
  return writer.finish();
}

}  // namespace qw
