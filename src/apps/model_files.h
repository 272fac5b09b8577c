// From the word MODEL to parts that work: the checkpoint (io), its tokenizer (text), the model with its
// weights on the CPU (models, backend). Also the options about these that several commands share. Test:
// tests/e2e
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "apps/memory.h"
#include "apps/program.h"
#include "apps/tokenizer_files.h"
#include "core/backend.h"
#include "core/dtype.h"
#include "engine/engine.h"
#include "hub/store.h"
#include "io/gguf/adapter.h"
#include "models/model.h"

namespace qw::apps {

// --exact, --kv, --ctx, --strict, --adapter, --draft, --speculate.
struct ModelFlags {
  bool exact = false;  // f32 activations and KV, weights as stored
  bool strict = false;
  bool mmap = false;  // weights larger than memory are run from their files
  std::optional<std::string> kv;
  std::optional<int64_t> ctx;
  std::optional<std::string> adapter;
  std::optional<std::string> draft, speculate;

  void add_compute_options(CommandLine& line);  // --exact --kv --strict --mmap
  void add_context_option(CommandLine& line);   // --ctx
  void add_adapter_option(CommandLine& line);   // --adapter
  void add_draft_options(CommandLine& line);    // --draft --speculate
  // Errors: cli.exact_conflict (--exact and --kv f16).
  Result<DType> kv_dtype(DType usual) const;
};

// A checkpoint with everything that a command computes with.
struct OpenModel {
  std::unique_ptr<Backend> backend;  // outlives the model
  Checkpoint checkpoint;             // its weights are taken
  std::shared_ptr<Model> model;
  std::optional<LoraAdapter> adapter;  // --adapter
  std::shared_ptr<Model> draft;        // --draft
  std::optional<Tokenizer> tokenizer;
  WeightMemory memory;
  double load_s = 0;
  hub::FileLock in_use = {}, draft_in_use = {};  // of models of the store
};

// Where the model is one of the store: a lock on it, so that nobody removes it meanwhile, and its time of
// use. Where that cannot be had (a store that is only readable) nothing happens.
hub::FileLock use_stored(const std::filesystem::path& path);

// Whether --mmap is asked for and helps: quantised folders are packed into memory, whatever is wished.
bool may_map(const ModelFlags& flags, const Checkpoint& checkpoint);

struct OpenOptions {
  bool tokenizer = true;                 // else none is read
  bool tokenizer_may_be_absent = false;  // then a warning says so
};
// Unknown config keys are warnings on stderr, errors with --strict. Weights that do not fit into memory are
// refused before they are read (memory.model_too_large), but for --mmap.
Result<OpenModel> open_model(Program& program, std::string_view model, const ModelFlags& flags,
                             const OpenOptions& options = {});

// An engine whose memory plan counts the adapter, where one was given, and the number by which requests name
// it (0: none).
struct OpenEngine {
  std::unique_ptr<Engine> engine;
  uint64_t adapter = 0;
};
int adapter_rank(const std::optional<LoraAdapter>& adapter);  // the largest, for EngineOptions; 0 of none
// What --draft and --speculate mean for this model. Errors: cli.exclusive.
Status set_speculation(const ModelFlags& flags, const OpenModel& open, EngineOptions& options);
Result<OpenEngine> open_engine(const OpenModel& open, const EngineOptions& options);

}  // namespace qw::apps
