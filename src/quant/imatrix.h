// The importance of the columns of every matrix: the mean square of the inputs that meet them, measured while
// a model reads a text. Saved as llama.cpp's imatrix files are (GGUF, general.type "imatrix": of each matrix
// <name>.in_sum2 [matrices, columns] and <name>.counts [matrices, 1]), so that both read either's. Test:
// tests/quant/imatrix_test.cc
#pragma once

#include <cstdint>
#include <filesystem>
#include <map>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "core/arena.h"
#include "core/ctx.h"

namespace qw::quant {

class Imatrix {
 public:
  // One matrix, or the experts of a layer.
  struct Entry {
    int64_t columns = 0;
    std::vector<double> sums;    // [matrices, columns]
    std::vector<double> counts;  // [matrices], rows of inputs

    int64_t matrices() const { return static_cast<int64_t>(counts.size()); }
    // Of an expert that was never asked, that of all of them; ones where there is nothing.
    std::vector<float> mean(int64_t matrix) const;
  };

  // By the name in GGUF; null: unknown.
  const Entry* find(std::string_view tensor) const;
  size_t size() const { return entries_.size(); }
  // Adds the squares of rows of inputs [rows, columns].
  void add(const std::string& tensor, int64_t matrix, std::span<const float> x, int64_t columns);

  // `windows` of `window` tokens of `text` were read. Errors: file.write.
  Status save(const std::filesystem::path& file, std::string_view text, int64_t windows,
              int64_t window) const;
  // Errors: those of GgufFile, imatrix.not_one (args file), imatrix.tensor (file, tensor).
  static Result<Imatrix> load(const std::filesystem::path& file);

 private:
  std::map<std::string, Entry, std::less<>> entries_;
};

// Where a weight of Hugging Face's name lies in GGUF; the name itself where GGUF has none.
struct ImatrixPlace {
  std::string tensor;
  int64_t matrix = 0;
};
ImatrixPlace imatrix_place(std::string_view hf_name);

// Sums up what the products of a forward pass are given: `collector.trace()` goes into Ctx::inputs.
class ImatrixCollector {
 public:
  explicit ImatrixCollector(Backend& backend) : backend_(backend), arena_(backend) {}
  const InputTrace& trace() const { return trace_; }
  const Imatrix& result() const { return sums_; }

 private:
  void take(const Weight& w, const Tensor& x);

  Backend& backend_;
  Arena arena_;
  Imatrix sums_;
  std::vector<float> host_;
  InputTrace trace_ = [this](const Weight& w, const Tensor& x) { take(w, x); };
};

}  // namespace qw::quant
