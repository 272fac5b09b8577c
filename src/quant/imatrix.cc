#include "quant/imatrix.h"

#include <algorithm>
#include <charconv>
#include <cmath>
#include <cstring>

#include "io/gguf/gguf.h"
#include "io/gguf/names.h"
#include "io/gguf/writer.h"

namespace qw::quant {
namespace {

constexpr std::string_view kSums = ".in_sum2", kCounts = ".counts";

Result<std::vector<double>> numbers(const GgufTensor& t, std::string_view file) {
  const size_t n = t.bytes.size() / sizeof(float);
  std::vector<float> values(n);
  if (t.type->format != QuantFormat::f32) return fail("imatrix.tensor", {{"file", file}, {"tensor", t.name}});
  std::memcpy(values.data(), t.bytes.data(), n * sizeof(float));
  if (!std::all_of(values.begin(), values.end(), [](float v) { return std::isfinite(v) && v >= 0; }))
    return fail("imatrix.tensor", {{"file", file}, {"tensor", t.name}});
  return std::vector<double>(values.begin(), values.end());
}

std::vector<float> narrow(const std::vector<double>& values) {
  return std::vector<float>(values.begin(), values.end());
}

}  // namespace

std::vector<float> Imatrix::Entry::mean(int64_t matrix) const {
  const auto n = static_cast<size_t>(columns), m = static_cast<size_t>(matrix);
  std::vector<float> out(n, 1.0F);
  const bool own = counts[m] > 0;
  double count = 0;
  for (size_t i = 0; i < counts.size(); ++i) count += !own || i == m ? counts[i] : 0.0;
  if (!(count > 0)) return out;
  for (size_t c = 0; c < n; ++c) {
    double sum = 0;
    for (size_t i = 0; i < counts.size(); ++i) sum += !own || i == m ? sums[i * n + c] : 0.0;
    out[c] = static_cast<float>(sum / count);
  }
  return out;
}

const Imatrix::Entry* Imatrix::find(std::string_view tensor) const {
  const auto it = entries_.find(tensor);
  return it == entries_.end() ? nullptr : &it->second;
}

void Imatrix::add(const std::string& tensor, int64_t matrix, std::span<const float> x, int64_t columns) {
  Entry& e = entries_[tensor];
  QW_CHECK(e.columns == 0 || e.columns == columns, "{}: inputs of {} and {}", tensor, e.columns, columns);
  e.columns = columns;
  const auto n = static_cast<size_t>(columns), m = static_cast<size_t>(matrix);
  if (e.counts.size() <= m) {
    e.counts.resize(m + 1);
    e.sums.resize((m + 1) * n);
  }
  double* sums = &e.sums[m * n];
  for (size_t at = 0; at < x.size(); at += n)
    for (size_t c = 0; c < n; ++c) {
      const auto v = static_cast<double>(x[at + c]);
      sums[c] += v * v;
    }
  e.counts[m] += static_cast<double>(x.size() / n);
}

Status Imatrix::save(const std::filesystem::path& file, std::string_view text, int64_t windows,
                     int64_t window) const {
  GgufMetadata metadata;
  metadata.text("general.type", "imatrix");
  metadata.texts("imatrix.datasets", std::span(&text, 1));
  metadata.u32("imatrix.chunk_count", static_cast<uint32_t>(windows));
  metadata.u32("imatrix.chunk_size", static_cast<uint32_t>(window));
  std::vector<GgufTensorPlan> plans;
  for (const auto& [name, e] : entries_) {
    plans.push_back({fmt::format("{}{}", name, kSums), QuantFormat::f32, {e.matrices(), e.columns}});
    plans.push_back({fmt::format("{}{}", name, kCounts), QuantFormat::f32, {e.matrices(), 1}});
  }
  QW_TRY(GgufWriter writer, GgufWriter::create(file, metadata, plans));
  size_t i = 0;
  for (const auto& [name, e] : entries_)
    for (const auto* values : {&e.sums, &e.counts}) {
      const std::vector<float> floats = narrow(*values);
      QW_TRY(writer.write(i++, 0, std::as_bytes(std::span(floats))));
    }
  return writer.finish();
}

Result<Imatrix> Imatrix::load(const std::filesystem::path& path) {
  QW_TRY(const auto file, GgufFile::open(path));
  const std::string name = path.string();
  const GgufValue* type = file->find("general.type");
  if (type == nullptr || type->as_string() != "imatrix") return fail("imatrix.not_one", {{"file", name}});
  Imatrix out;
  for (const auto& [tensor, t] : file->tensors()) {
    if (!tensor.ends_with(kSums)) continue;
    const std::string_view stem = tensor.substr(0, tensor.size() - kSums.size());
    const auto counts = file->tensors().find(fmt::format("{}{}", stem, kCounts));
    if (counts == file->tensors().end()) return fail("imatrix.tensor", {{"file", name}, {"tensor", tensor}});
    Entry e;
    e.columns = t.shape.back();
    QW_TRY(e.sums, numbers(t, name));
    QW_TRY(e.counts, numbers(counts->second, name));
    if (e.sums.size() != e.counts.size() * static_cast<size_t>(e.columns))
      return fail("imatrix.tensor", {{"file", name}, {"tensor", tensor}});
    out.entries_.emplace(stem, std::move(e));
  }
  return out;
}

ImatrixPlace imatrix_place(std::string_view name) {
  constexpr std::string_view kExperts = ".mlp.experts.";
  const size_t at = name.find(kExperts);
  if (at == name.npos) return {gguf_tensor_name(name).value_or(std::string(name))};
  const std::string_view rest = name.substr(at + kExperts.size());
  int64_t expert = 0;
  const auto [end, ec] = std::from_chars(rest.data(), rest.data() + rest.size(), expert);
  const auto digits = static_cast<size_t>(end - rest.data());
  if (ec != std::errc() || digits >= rest.size()) return {std::string(name)};
  const std::string stack = fmt::format("{}{}{}", name.substr(0, at), kExperts, rest.substr(digits + 1));
  return {gguf_tensor_name(stack).value_or(stack), expert};
}

void ImatrixCollector::take(const Weight& w, const Tensor& x) {
  // The head is computed for few rows, and what it gets is that of no other matrix: it counts all alike, as
  // in llama.cpp.
  if (w.name == "lm_head.weight" || w.name.ends_with("embed_tokens.weight")) return;
  const ImatrixPlace place = imatrix_place(w.name);
  host_.resize(static_cast<size_t>(x.elements()));
  if (!host_.empty()) {
    arena_.reset();
    Tensor dense = x;
    if (!x.contiguous() || x.dtype() != DType::f32) {
      dense = arena_.alloc(x.shape(), DType::f32);
      backend_.copy(dense, x);
    }
    backend_.download(host_.data(), dense);
  }
  sums_.add(place.tensor, place.matrix, host_, w.cols());
}

}  // namespace qw::quant
