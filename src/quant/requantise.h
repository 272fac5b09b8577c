// A GGUF file written anew with its matrices in other formats. It works on the file's own tensors and
// metadata, whatever the architecture: nothing that is in the file is lost. Streams: a portion of rows is in
// memory at a time. Test: tests/quant/requantise_test.cc
#pragma once

#include <filesystem>
#include <memory>

#include "core/backend.h"
#include "io/gguf/gguf.h"
#include "io/weight_rows.h"
#include "quant/imatrix.h"
#include "quant/recipe.h"

namespace qw::quant {

struct RequantisePlan {
  const Recipe* recipe = nullptr;
  const Imatrix* imatrix = nullptr;  // null: all errors count alike
  int threads = 1;
};

struct RequantiseReport {
  int64_t tensors = 0, elements = 0, bytes = 0;
  int64_t passed = 0;       // tensors whose bytes are those of the source
  int64_t substitutes = 0;  // matrices whose rows are no whole blocks of the wanted format
  int64_t unweighted = 0;   // quantised matrices that the importance matrix does not know
};

// Tensors that have the wanted format already keep their bytes. Errors: quantize.not_finite (args file,
// tensor, format), quantize.imatrix_shape (tensor, expected, found), file.no_space, file.write.
Result<RequantiseReport> requantise_gguf(const std::filesystem::path& out,
                                         const std::shared_ptr<const GgufFile>& in, Backend& backend,
                                         const RequantisePlan& plan, const WriteProgress& progress = {});

}  // namespace qw::quant
