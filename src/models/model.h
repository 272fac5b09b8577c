// Model: an architecture with its weights. Immutable after load; holds no state of a sequence and knows no
// file, engine or trainer: it sees a Visitor (weights), a Ctx (execution) and a Batch (data). Test:
// tests/golden (against the reference library), tests/property (paths_agree).
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "base/json.h"
#include "core/batch.h"
#include "core/ctx.h"
#include "nn/visitor.h"
#include "nn/weight_source.h"

namespace qw {

// What the rest of the program needs to know of an architecture.
struct ModelInfo {
  std::string model_type;  // "llama", "qwen2", "qwen3"
  int n_layers = 0;
  int hidden = 0;
  int vocab = 0;          // rows of the head, padding included
  int max_positions = 0;  // tokens of context the model allows
};

class Model {
 public:
  virtual ~Model() = default;

  virtual const ModelInfo& info() const = 0;
  // Names every weight once, with its logical shape and shard axis.
  virtual void visit(Visitor& visitor) = 0;
  // The head is the embedding: a checkpoint may still carry lm_head.weight, which is then let pass.
  virtual bool tied_head() const = 0;
  // What each layer keeps of the past.
  virtual std::vector<LayerCache> cache_spec() const = 0;
  // Sequences may share cached keys only where this is equal for the lengths of their prompts.
  virtual uint64_t prompt_class(int /*n_prompt*/) const { return 0; }
  // What the head makes logits of: the last hidden states, normed, [R, D], real(), of the rows
  // batch.logit_rows. Under a tape the batch must outlive backward().
  virtual Tensor features(Ctx& cx, const Batch& batch) const = 0;
  // The head [V, D].
  virtual const Weight& head() const = 0;
  // Logits [R, V], real(), of the rows batch.logit_rows.
  virtual Tensor forward(Ctx& cx, const Batch& batch) const;

  // Multi-token prediction: one more layer that drafts the token after the next one from what the model knows
  // already (Qwen3-Next, Qwen3.5). Its keys and values are layer n_layers of cache_spec(): paged like any
  // other, at the same positions. Nothing of it is recurrent.
  virtual bool has_mtp() const { return false; }
  // hidden [T, D], a row for every row of `batch`: row t belongs to position p = batch.positions[t] and is
  // what features() gave there (all rows wanted), or, to draft on, what mtp_features() gave. batch.ids[t] is
  // the token at position p + 1: the one sampled there, or the next of the prompt. Answers [R, D] of
  // batch.logit_rows: head() makes of it the logits of the token at position p + 2. The caller keeps the
  // layer's cache complete: every position that is not fed leaves a hole that later rows would read.
  virtual Tensor mtp_features(Ctx& cx, const Tensor& hidden, const Batch& batch) const;
};

struct LoadOptions {
  bool strict = false;     // an unknown config key is an error, not a warning
  bool trainable = false;  // float weights are marked trainable
};

struct LoadedModel {
  std::unique_ptr<Model> model;
  std::vector<Error> warnings;  // config.unknown_key
};

// The architecture that `config` names (config.json of Hugging Face, either spelling; io/ makes one for
// GGUF), or, where it embeds a text model, the one of that (nn/text_config.h); without weights. Errors:
// model.unknown_type, config.* (key, …).
Result<LoadedModel> make_model(const Json& config);
// The same with its weights from `source`. Errors also: weights.* (file, tensor, …), memory.exhausted.
Result<LoadedModel> load_model(const Json& config, WeightSource& source, Backend& backend,
                               const LoadOptions& options = {});
// Nothing that is trained passes through the drafting layer (mtp.*): weight decay alone would wear it away.
void freeze_drafting(Model& model);

}  // namespace qw
