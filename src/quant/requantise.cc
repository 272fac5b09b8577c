#include "quant/requantise.h"

#include <algorithm>
#include <atomic>
#include <cstring>

#include "base/atomic_file.h"
#include "base/thread_pool.h"
#include "io/gguf/writer.h"
#include "quant/quantise.h"

namespace qw::quant {
namespace {

constexpr std::string_view kFileType = "general.file_type";
constexpr std::string_view kVersion = "general.quantization_version";
constexpr std::string_view kArchitecture = "general.architecture";

// One tensor of the new file.
struct Output {
  GgufTensorPlan plan;
  const GgufTensor* source = nullptr;
  bool copied = false;        // byte for byte
  std::vector<float> scales;  // of nvfp4, one for each matrix of a stack; empty: none
};

int64_t count(const GgufFile& file, std::string_view key) {
  const GgufValue* arch = file.find(kArchitecture);
  const GgufValue* v =
      arch && arch->as_string() ? file.find(fmt::format("{}.{}", *arch->as_string(), key)) : nullptr;
  if (v == nullptr) return 0;
  if (const auto n = v->as_int()) return *n;
  int64_t most = 0;  // one for each layer
  if (const auto all = v->as_ints())
    for (const int64_t n : *all) most = std::max(most, n);
  return most;
}

ModelFacts facts_of(const GgufFile& file, bool importance) {
  ModelFacts facts;
  for (const auto& [name, tensor] : file.tensors()) facts.tensors.emplace_back(name);
  facts.heads = count(file, "attention.head_count");
  facts.kv_heads = count(file, "attention.head_count_kv");
  facts.experts = count(file, "expert_count");
  facts.importance = importance;
  return facts;
}

// The metadata of the source but for what is said of its parts and of the number format.
GgufMetadata metadata_of(const GgufFile& file, const Recipe& recipe) {
  GgufMetadata out;
  if (const GgufValue* arch = file.find(kArchitecture)) out.value(kArchitecture, *arch);
  for (const auto& [key, value] : file.metadata()) {
    if (key == kArchitecture || key == kFileType || key == kVersion || key == "general.alignment" ||
        key.starts_with("split."))
      continue;
    out.value(key, value);
  }
  out.u32(kFileType, recipe.file_type);
  out.u32(kVersion, 2);
  return out;
}

// "blk.0.attn_q.weight" and "scale" -> "blk.0.attn_q.scale".
std::string beside(std::string_view tensor, std::string_view kind) {
  return fmt::format("{}.{}", tensor.substr(0, tensor.rfind('.')), kind);
}
bool is_nvfp4(const GgufFile& file, std::string_view tensor) {
  const auto it = file.tensors().find(tensor);
  return it != file.tensors().end() && it->second.type->format == QuantFormat::nvfp4;
}

std::vector<float> nvfp4_scales(const GgufFile& file, std::string_view tensor) {
  const auto it = file.tensors().find(beside(tensor, "scale"));
  if (it == file.tensors().end() || it->second.type->format != QuantFormat::f32) return {};
  std::vector<float> out(it->second.bytes.size() / sizeof(float));
  std::memcpy(out.data(), it->second.bytes.data(), out.size() * sizeof(float));
  return out;
}

// In the order of the file, so that it is read once from front to back.
std::vector<Output> plan_outputs(const GgufFile& file, const FormatChooser& chooser,
                                 RequantiseReport& report) {
  std::vector<Output> out;
  std::vector<std::string> folded;  // scales that are part of the numbers by now
  for (const auto& [name, tensor] : file.tensors()) {
    Output o{{std::string(name), QuantFormat::f32, tensor.shape, tensor.type}, &tensor, true, {}};
    if (tensor.type->format && !FormatChooser::keeps(name, tensor.shape)) {
      const QuantFormat format = chooser.choose(name, tensor.shape.back());
      o.copied = format == *tensor.type->format;
      if (!o.copied) {
        o.plan.type = nullptr;
        o.plan.format = format;
        if (is_nvfp4(file, name)) {
          o.scales = nvfp4_scales(file, name);
          for (const char* kind : {"scale", "input_scale"}) folded.push_back(beside(name, kind));
        }
      }
      if (format != chooser.wanted(name)) ++report.substitutes;
    }
    out.push_back(std::move(o));
  }
  std::erase_if(out, [&](const Output& o) {
    return std::find(folded.begin(), folded.end(), o.plan.name) != folded.end();
  });
  std::sort(out.begin(), out.end(),
            [](const Output& a, const Output& b) { return a.source->bytes.data() < b.source->bytes.data(); });
  return out;
}

class Writing {
 public:
  Writing(GgufWriter& writer, Backend& backend, const RequantisePlan& plan, const WriteProgress& progress,
          std::string file, int64_t total)
      : writer_(writer),
        backend_(backend),
        plan_(plan),
        progress_(progress),
        file_(std::move(file)),
        pool_(plan.threads),
        total_(total) {}

  Status write(size_t at, const Output& o, const std::shared_ptr<const GgufFile>& in,
               RequantiseReport& report) {
    if (o.copied) {
      ++report.passed;
      return copy(at, o.source->bytes);
    }
    Weight w;
    w.name = o.plan.name;
    const int64_t columns = o.source->shape.back();
    int64_t rows = 1;
    for (const int64_t d : o.source->shape) rows *= d;
    rows /= columns;
    w.shape = Shape{rows, columns};
    w.format = *o.source->type->format;
    QW_TRY(StoragePtr storage, backend_.import_host(o.source->bytes, in));
    const DType dtype = storage_dtype(w.format);
    w.data = Tensor(std::move(storage), 0,
                    dtype == DType::u8 ? Shape{rows, row_bytes(w.format, columns)} : w.shape, dtype);
    const int64_t matrices =
        o.source->shape.size() > 2 ? rows / o.source->shape[o.source->shape.size() - 2] : 1;
    QW_TRY(const std::vector<std::vector<float>> importance, weights_of(o, columns, matrices, report));
    std::vector<Weight*> one{&w};
    WeightRows source(one, backend_);
    int64_t offset = 0;
    return source.for_each_portion(0, [&](int64_t row, std::span<const float> values) -> Status {
      return portion(at, o, {row, rows / matrices, columns}, values, importance, offset);
    });
  }

 private:
  struct Place {
    int64_t row, matrix_rows, columns;
  };

  Status advance(int64_t bytes) {
    done_ += bytes;
    return progress_ ? progress_(done_, total_) : Status();
  }
  Status copy(size_t at, std::span<const std::byte> bytes) {
    constexpr size_t kStep = size_t{16} << 20;
    for (size_t i = 0; i < bytes.size(); i += kStep) {
      const auto part = bytes.subspan(i, std::min(kStep, bytes.size() - i));
      QW_TRY(writer_.write(at, static_cast<int64_t>(i), part));
      QW_TRY(advance(static_cast<int64_t>(part.size())));
    }
    return {};
  }

  // The weights of the columns, for each matrix of a stack; empty where there are none.
  Result<std::vector<std::vector<float>>> weights_of(const Output& o, int64_t columns, int64_t matrices,
                                                     RequantiseReport& report) const {
    std::vector<std::vector<float>> out;
    if (plan_.imatrix == nullptr || traits(o.plan.format).is_float) return out;
    const Imatrix::Entry* entry = plan_.imatrix->find(o.plan.name);
    if (entry == nullptr) {
      ++report.unweighted;
      return out;
    }
    if (entry->columns != columns || entry->matrices() != matrices)
      return fail("quantize.imatrix_shape",
                  {{"tensor", o.plan.name},
                   {"expected", fmt::format("{} × {}", matrices, columns)},
                   {"found", fmt::format("{} × {}", entry->matrices(), entry->columns)}});
    for (int64_t m = 0; m < matrices; ++m) out.push_back(entry->mean(m));
    return out;
  }

  Status portion(size_t at, const Output& o, Place p, std::span<const float> values,
                 const std::vector<std::vector<float>>& importance, int64_t& offset) {
    const auto columns = static_cast<size_t>(p.columns);
    const auto rows = static_cast<int64_t>(values.size() / columns);
    const int64_t bytes = row_bytes(o.plan.format, p.columns);
    encoded_.resize(static_cast<size_t>(rows * bytes));
    std::atomic<bool> fits{true};
    pool_.parallel_for(rows, 4, [&](int64_t begin, int64_t end, int) {
      std::vector<float> scaled;
      for (int64_t r = begin; r < end; ++r) {
        const auto matrix = static_cast<size_t>((p.row + r) / p.matrix_rows);
        std::span<const float> x = values.subspan(static_cast<size_t>(r) * columns, columns);
        if (!o.scales.empty()) {
          scaled.assign(x.begin(), x.end());
          for (float& v : scaled) v *= o.scales[std::min(matrix, o.scales.size() - 1)];
          x = scaled;
        }
        const std::span<const float> w = importance.empty() ? std::span<const float>() : importance[matrix];
        if (!quantise_row(o.plan.format, x, w, encoded_.data() + r * bytes)) fits = false;
      }
    });
    if (!fits)
      return fail("quantize.not_finite",
                  {{"file", file_}, {"tensor", o.plan.name}, {"format", traits(o.plan.format).name}});
    QW_TRY(writer_.write(at, offset, encoded_));
    offset += static_cast<int64_t>(encoded_.size());
    return advance(static_cast<int64_t>(encoded_.size()));
  }

  GgufWriter& writer_;
  Backend& backend_;
  const RequantisePlan& plan_;
  const WriteProgress& progress_;
  std::string file_;
  ThreadPool pool_;
  std::vector<std::byte> encoded_;
  int64_t total_;
  int64_t done_ = 0;
};

}  // namespace

Result<RequantiseReport> requantise_gguf(const std::filesystem::path& out,
                                         const std::shared_ptr<const GgufFile>& in, Backend& backend,
                                         const RequantisePlan& plan, const WriteProgress& progress) {
  RequantiseReport report;
  const FormatChooser chooser(*plan.recipe, facts_of(*in, plan.imatrix != nullptr));
  const std::vector<Output> outputs = plan_outputs(*in, chooser, report);
  const GgufMetadata metadata = metadata_of(*in, *plan.recipe);
  std::vector<GgufTensorPlan> plans;
  for (const Output& o : outputs) {
    plans.push_back(o.plan);
    int64_t n = 1;
    for (const int64_t d : o.plan.shape) n *= d;
    report.elements += n;
    report.bytes += gguf_tensor_bytes(o.plan);
  }
  report.tensors = static_cast<int64_t>(outputs.size());
  QW_TRY(check_free_space(out, report.bytes + static_cast<int64_t>(metadata.bytes().size())));
  QW_TRY(GgufWriter writer, GgufWriter::create(out, metadata, plans));
  Writing writing(writer, backend, plan, progress, in->path().string(), report.bytes);
  for (size_t i = 0; i < outputs.size(); ++i) QW_TRY(writing.write(i, outputs[i], in, report));
  QW_TRY(writer.finish());
  return report;
}

}  // namespace qw::quant
