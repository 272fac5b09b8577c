#include "apps/bench_plan.h"

#include <algorithm>

#include "apps/command_line.h"

namespace qw::apps {
namespace {

// Sums what a visit names. The embedding is read row by row; it counts as head where the head is tied.
class SizeVisitor : public Visitor {
 public:
  ModelSizes sizes;
  int64_t embedding_bytes = 0, embedding_elements = 0;

 protected:
  void on_weight(Weight& w, ShardAxis) override {
    const int64_t elements = w.shape.elements();
    const int64_t bytes = w.defined() ? static_cast<int64_t>(w.data.bytes())
                                      : elements * traits(DType::f32).bytes;  // a model without weights
    sizes.parameters += elements;
    sizes.bytes += bytes;
    if (w.name.ends_with("embed_tokens.weight")) {
      embedding_bytes = bytes;
      embedding_elements = elements;
    } else if (w.name.starts_with("lm_head")) {
      sizes.head_bytes += bytes;
      sizes.head_macs += elements;
    } else {
      sizes.layer_bytes += bytes;
      sizes.layer_macs += w.shape.rank() == 2 ? elements : 0;
    }
  }
};

}  // namespace

std::string BenchTest::name() const {
  std::string out = prompt > 0 ? fmt::format("pp{}", prompt) : fmt::format("tg{}", generate);
  if (depth > 0) out += fmt::format("@d{}", depth);
  if (streams > 1) out += fmt::format("x{}", streams);
  return out;
}

Result<std::vector<int>> parse_counts(std::string_view value, std::string_view option, int min, int max) {
  std::vector<int> out;
  for (size_t begin = 0; begin <= value.size();) {
    const size_t end = std::min(value.find(',', begin), value.size());
    const auto n = parse_integer(value.substr(begin, end - begin), option, {.min = min, .max = max});
    if (!n)
      return fail("cli.bad_list",
                  {{"option", option}, {"value", value}, {"range", fmt::format("{} … {}", min, max)}});
    out.push_back(static_cast<int>(*n));
    begin = end + 1;
  }
  return out;
}

std::vector<BenchTest> bench_tests(BenchOptions o) {
  if (o.prompts.empty() && o.generates.empty()) {
    o.prompts = {256};
    o.generates = {64};
  }
  if (o.depths.empty()) o.depths = {0};
  if (o.streams.empty()) o.streams = {1};
  std::vector<BenchTest> out;
  for (const int depth : o.depths)
    for (const int prompt : o.prompts)
      if (prompt > 0) out.push_back({.prompt = prompt, .generate = 0, .depth = depth, .streams = 1});
  for (const int depth : o.depths)
    for (const int generate : o.generates)
      for (const int streams : o.streams)
        if (generate > 0)
          out.push_back({.prompt = 0, .generate = generate, .depth = depth, .streams = streams});
  return out;
}

ModelSizes model_sizes(Model& model) {
  SizeVisitor visitor;
  model.visit(visitor);
  if (model.tied_head()) {
    visitor.sizes.head_bytes = visitor.embedding_bytes;
    visitor.sizes.head_macs = visitor.embedding_elements;
  }
  return visitor.sizes;
}

StepWork step_work(const ModelSizes& sizes, const std::vector<LayerCache>& cache, const BenchTest& test,
                   int rows, int past, DType kv) {
  const double streams = test.streams, n = rows;
  StepWork work;
  work.bytes = static_cast<double>(sizes.layer_bytes + sizes.head_bytes);
  work.ops = 2 * streams * (n * static_cast<double>(sizes.layer_macs) + static_cast<double>(sizes.head_macs));
  for (const LayerCache& layer : cache)
    for (const CacheSpec& spec : layer) {
      if (spec.kind == CacheSpec::Kind::recurrent) continue;
      const bool windowed = spec.kind == CacheSpec::Kind::window;
      const double keys = windowed ? std::min(past + rows, spec.window + rows - 1) : past + rows;
      work.bytes += streams * keys * 2 * spec.kv_heads * spec.head_dim * traits(kv).bytes;
    }
  return work;
}

}  // namespace qw::apps
