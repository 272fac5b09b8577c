// What qw bench measures: the list of tests made of the options -p, -n, -d, -b, and the work that each one
// does (tokens, bytes read, operations), from the shapes of the model. Test: tests/apps/bench_plan_test.cc
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "core/batch.h"
#include "core/dtype.h"
#include "models/model.h"

namespace qw::apps {

struct BenchTest {
  int prompt = 0;    // tokens of one prompt, or
  int generate = 0;  // tokens decoded one by one
  int depth = 0;     // tokens that are there before
  int streams = 1;   // of decoding side by side

  // "pp256", "tg64", "tg16@d4096", "tg32x16".
  std::string name() const;
  int tokens() const { return (prompt + generate) * streams; }
};

struct BenchOptions {
  std::vector<int> prompts, generates, depths, streams;
};
// "256,512" → numbers in [min, max]. Errors: cli.bad_list (args option, value, range).
Result<std::vector<int>> parse_counts(std::string_view value, std::string_view option, int min, int max);

// Every prompt length at every depth, then every number of tokens at every depth with every number of
// streams. Where neither -p nor -n is given: pp256 and tg64. A length of 0 means: not this test.
std::vector<BenchTest> bench_tests(BenchOptions options);

// The weights a forward pass reads: bytes as stored and multiplications of one token, of layers and head.
struct ModelSizes {
  int64_t parameters = 0;   // of all weights
  int64_t bytes = 0;        // of all weights
  int64_t layer_bytes = 0;  // read once a step
  int64_t layer_macs = 0;   // for every row
  int64_t head_bytes = 0;   // read once a step
  int64_t head_macs = 0;    // for every row with logits
};
ModelSizes model_sizes(Model& model);

// Work of one step of `rows` new tokens a stream behind `past` ones, with logits of one row a stream.
struct StepWork {
  double bytes = 0;  // weights, and keys and values read
  double ops = 0;    // multiplications and additions
};
StepWork step_work(const ModelSizes& sizes, const std::vector<LayerCache>& cache, const BenchTest& test,
                   int rows, int past, DType kv);

}  // namespace qw::apps
