#include "apps/model_files.h"

#include <algorithm>
#include <chrono>

#include "apps/memory.h"
#include "apps/paths.h"
#include "apps/progress.h"
#include "backend/cpu/cpu_backend.h"
#include "models/score_head.h"

namespace qw::apps {
namespace {

Result<std::optional<Tokenizer>> find_tokenizer(Console& console, const Checkpoint& checkpoint,
                                                const OpenOptions& options) {
  Result<Tokenizer> tokenizer = checkpoint_tokenizer(checkpoint);
  if (tokenizer) return *std::move(tokenizer);
  const std::string& code = tokenizer.error().code();
  const bool absent = code == "text.no_tokenizer" || code == "checkpoint.no_tokenizer";
  if (!absent || !options.tokenizer_may_be_absent) return tl::unexpected<Error>(std::move(tokenizer).error());
  console.warn(tokenizer.error());
  return std::nullopt;
}

// The model that drafts, in the memory of the same backend.
Result<std::shared_ptr<Model>> load_draft(const Checkpoint& checkpoint, const ModelFlags& flags,
                                          const OpenModel& open) {
  const Result<Tokenizer> tokenizer = checkpoint_tokenizer(checkpoint);
  if (tokenizer && open.tokenizer && first_other_token(*tokenizer, *open.tokenizer))
    return fail("cli.draft_words", {{"draft", *flags.draft}});
  QW_TRY(LoadedModel loaded, load_model(checkpoint.config, *checkpoint.weights, *open.backend,
                                        {.strict = flags.strict, .trainable = false}));
  return std::shared_ptr<Model>(std::move(loaded.model));
}

}  // namespace

bool may_map(const ModelFlags& flags, const Checkpoint& checkpoint) {
  return flags.mmap && checkpoint.quantisation.empty();
}

hub::FileLock use_stored(const std::filesystem::path& path) {
  const auto home = qw_home();
  if (!home) return {};
  const hub::Store store(*home / "models");
  const std::string key = store.key_of_path(path);
  if (key.empty()) return {};
  store.touch(key);
  return store.lock_use(key, false);
}

void ModelFlags::add_compute_options(CommandLine& line) {
  line.flag("--exact", &exact, "help.exact");
  line.choice("--kv", {"f32", "f16"}, &kv, "help.kv");
  line.flag("--strict", &strict, "help.strict");
  line.flag("--mmap", &mmap, "help.mmap");
}

void ModelFlags::add_context_option(CommandLine& line) {
  line.integer("--ctx", &ctx, {.min = 1, .max = std::numeric_limits<int32_t>::max()}, "help.ctx");
}

void ModelFlags::add_adapter_option(CommandLine& line) {
  line.text("--adapter", "ADAPTER", &adapter, "help.adapter");
}

void ModelFlags::add_draft_options(CommandLine& line) {
  line.choice("--speculate", {"auto", "ngram", "mtp", "off"}, &speculate, "help.speculate");
  line.text("--draft", "MODEL", &draft, "help.draft");
}

Result<DType> ModelFlags::kv_dtype(DType usual) const {
  if (exact && kv == "f16") return fail("cli.exact_conflict");
  if (exact) return DType::f32;
  if (!kv) return usual;
  return *kv == "f32" ? DType::f32 : DType::f16;
}

Result<OpenModel> open_model(Program& program, std::string_view model, const ModelFlags& flags,
                             const OpenOptions& options) {
  const auto start = std::chrono::steady_clock::now();
  QW_TRY(const auto path, resolve_model(model));
  const Progress progress(program.console(), program.console().text("ui.loading", {{"file", path.string()}}));
  OpenModel out;
  out.in_use = use_stored(path);
  QW_TRY(out.backend, make_cpu_backend({.threads = program.threads(), .isa = {}}));
  QW_TRY(out.checkpoint, open_checkpoint(path));
  std::optional<Checkpoint> draft;
  if (flags.draft) {
    QW_TRY(const auto draft_path, resolve_model(*flags.draft));
    out.draft_in_use = use_stored(draft_path);
    QW_TRY(draft, open_checkpoint(draft_path));
  }
  if (!may_map(flags, out.checkpoint) || (draft && !may_map(flags, *draft)))
    QW_TRY(check_weights_fit(out.checkpoint, draft ? &*draft : nullptr));
  out.memory = {available_memory(), may_map(flags, out.checkpoint)};
  if (is_score_model(out.checkpoint.config))
    return fail("model.score_head", {{"file", out.checkpoint.path.string()}});
  if (options.tokenizer) {
    QW_TRY(out.tokenizer, find_tokenizer(program.console(), out.checkpoint, options));
  }
  QW_TRY(LoadedModel loaded, load_model(out.checkpoint.config, *out.checkpoint.weights, *out.backend,
                                        {.strict = flags.strict, .trainable = false}));
  for (Error& warning : loaded.warnings)
    program.console().warn(warning.with("file", out.checkpoint.path.string()));
  out.model = std::move(loaded.model);
  if (flags.adapter) {
    WeightList weights;
    out.model->visit(weights);
    QW_TRY(out.adapter, read_adapter(*flags.adapter, out.checkpoint.config, weights.weights(), *out.backend));
    for (const Error& warning : out.adapter->warnings) program.console().warn(warning);
  }
  if (draft) {
    QW_TRY(out.draft, load_draft(*draft, flags, out));
  }
  out.load_s = std::chrono::duration<double>(std::chrono::steady_clock::now() - start).count();
  return out;
}

Status set_speculation(const ModelFlags& flags, const OpenModel& open, EngineOptions& options) {
  const std::string how = flags.speculate.value_or("auto");
  if (flags.draft && how != "auto")
    return fail("cli.exclusive", {{"option", "--draft"}, {"other", "--speculate"}});
  options.draft_model = open.draft;
  if (open.draft)
    options.draft = DraftSource::model;
  else if (how == "mtp" || (how == "auto" && open.model->has_mtp()))
    options.draft = DraftSource::mtp;
  else if (how != "off")
    options.draft = DraftSource::ngram;
  return {};
}

int adapter_rank(const std::optional<LoraAdapter>& adapter) {
  int64_t rank = 0;
  if (adapter)
    for (const auto& [name, lora] : adapter->set->all()) rank = std::max(rank, lora.a.rows());
  return static_cast<int>(rank);
}

Result<OpenEngine> open_engine(const OpenModel& open, const EngineOptions& options) {
  OpenEngine out;
  QW_TRY(out.engine, Engine::create(open.model, *open.backend, options));
  if (open.adapter) {
    QW_TRY(out.adapter, out.engine->add_adapter("adapter", open.adapter->set));
  }
  return out;
}

}  // namespace qw::apps
