// Runs a checkpoint through the models room for golden tests: the dense path (whole documents, no cache) and
// the paged path of inference (prefill, then token by token), with taps.
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "core/kv_pool.h"
#include "core/tape.h"
#include "golden/golden.h"
#include "models/model.h"

namespace qw::golden {

using Taps = std::map<std::string, Host<float>, std::less<>>;

// The recurrent state of a sequence by layer: [1, floats].
using States = std::map<int, Host<float>>;

Host<float> download(Backend& backend, const Tensor& t);

class Runner {
 public:
  // A folder or a GGUF file, on one instruction set. Fails the running test and answers null where it cannot
  // be loaded, or where the config had unknown keys.
  static std::unique_ptr<Runner> open(const std::filesystem::path& path, std::string_view isa,
                                      bool trainable = false);

  const ModelInfo& info() const { return model_->info(); }
  Model& model() { return *model_; }
  Backend& backend() { return *backend_; }

  // Logits [T, V] of every row, computed as one document; `taps`, if not null, receives every tap.
  Host<float> logits(const std::vector<int32_t>& ids, Taps* taps = nullptr);
  // The same through KV pages, in one step; `states`, if not null, receives what recurrent layers keep.
  Host<float> paged_logits(const std::vector<int32_t>& ids, States* states = nullptr);
  // The same in steps of `chunk` rows, every one told how long the whole prompt is.
  Host<float> chunked_logits(const std::vector<int32_t>& ids, size_t chunk);
  // The greedy continuation: prefill, then one token a step, through KV pages.
  std::vector<int32_t> greedy(const std::vector<int32_t>& ids, size_t n);
  // What the drafting layer makes of a text, through KV pages: logits [n − 1, V], row p drafts the token at
  // p + 2. The first `cut` tokens are one step, the rest another.
  Host<float> mtp_logits(const std::vector<int32_t>& ids, size_t cut);
  // n drafts in a row after a text whose last token the model has sampled but not read.
  std::vector<int32_t> mtp_chain(const std::vector<int32_t>& ids, size_t n);

 private:
  Runner(std::unique_ptr<Backend> backend, std::unique_ptr<Model> model);
  std::unique_ptr<KvPool> pool_for(size_t n_tokens);
  Batch batch_of(KvPool& pool, const std::vector<int32_t>& ids, int32_t position, bool all_rows) const;
  Host<float> step(KvPool& pool, const std::vector<int32_t>& ids, int32_t position, bool all_rows);

  std::unique_ptr<Backend> backend_;
  std::unique_ptr<Model> model_;
  Arena arena_;
  int32_t n_prompt_ = 0;  // of the sequence in the pool
};

// Runs the four prompts of a golden through the dense and the paged path: logits within `tolerance`, greedy
// tokens equal.
void expect_prompts(Runner& runner, Expected& expected, double tolerance);

// Compares what recurrent layers keep after a prompt with `<prompt>.state.L.conv` and `.recurrent`.
void expect_states(Expected& expected, const std::string& prompt, const States& states, double tolerance);

// A folder that shows the files of `from` (links) with `config` in the place of config.json.
class WithConfig {
 public:
  WithConfig(const std::filesystem::path& from, std::string_view config);
  ~WithConfig();
  WithConfig(const WithConfig&) = delete;
  WithConfig& operator=(const WithConfig&) = delete;
  const std::filesystem::path& path() const { return path_; }

 private:
  std::filesystem::path path_;
};

}  // namespace qw::golden
