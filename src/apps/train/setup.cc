#include "apps/train/setup.h"

#include <xxhash.h>

#include <algorithm>
#include <iterator>

#include "apps/chat_prompt.h"
#include "apps/memory.h"
#include "apps/model_export.h"
#include "apps/model_files.h"
#include "apps/paths.h"
#include "apps/progress.h"
#include "apps/tokenizer_files.h"
#include "apps/train/sampling.h"
#include "backend/cpu/cpu_backend.h"
#include "io/gguf/adapter.h"
#include "io/gguf/hybrid.h"
#include "io/hf/folder.h"
#include "nn/config_reader.h"
#include "train/init.h"

namespace qw::apps {
namespace {

using train::TrainConfig;

int threads_of(const Program& program, const TrainConfig& config) {
  return config.threads > 0 ? config.threads : program.threads();
}

Result<std::unique_ptr<Backend>> open_backend(const Program& program, const TrainConfig& config,
                                              Products products) {
  return make_cpu_backend({.threads = threads_of(program, config), .isa = {}, .products = products});
}

void show_warnings(Program& program, std::vector<Error>& warnings, const std::string& file) {
  for (Error& w : warnings) program.console().warn(w.with("file", file));
}

// What a model that was never stored says of itself; f32 where it does not.
QuantFormat dtype_of(const Json& config) {
  for (const char* key : {"dtype", "torch_dtype"}) {
    const auto dtype = config.find(key);
    if (dtype == config.end() || !dtype->is_string()) continue;
    if (*dtype == "bfloat16") return QuantFormat::bf16;
    return *dtype == "float16" ? QuantFormat::f16 : QuantFormat::f32;
  }
  return QuantFormat::f32;
}

// Weights that learn are f32 in memory, whatever they are in their files. `model` needs none yet.
Status check_learning_fits(const TrainSetup& s, Model& model) {
  WeightList list;
  model.visit(list);
  size_t needed = 0;
  for (const Weight* w : list.weights()) needed += static_cast<size_t>(w->shape.elements()) * sizeof(float);
  if (fits_into(needed, s.available)) return {};
  return fail("train.weights_memory", {{"file", s.checkpoint.path.string()},
                                       {"needed", bytes_text(needed)},
                                       {"available", bytes_text(s.available)}});
}

// A model of its own kind and size with random weights.
Status open_random(TrainSetup& s, Program& program, const TrainConfig& config,
                   const std::filesystem::path& path) {
  QW_TRY(s.checkpoint.path, resolve_hf_folder(path));
  const auto file = s.checkpoint.path / "config.json";
  QW_TRY(s.checkpoint.config, parse_json_file(file));
  QW_TRY(LoadedModel made, make_model(s.checkpoint.config));
  show_warnings(program, made.warnings, file.string());
  s.model = std::move(made.model);
  s.checkpoint.tokenizer_folder = s.checkpoint.path;
  nn::ConfigReader reader(s.checkpoint.config);
  const double range = reader.number("initializer_range", 0.02);
  QW_TRY(reader.status());
  QW_TRY(check_learning_fits(s, *s.model));
  train::InitVisitor init(*s.backend, static_cast<uint64_t>(config.seed), range);
  s.model->visit(init);
  freeze_drafting(*s.model);
  return init.finish();
}

Status open_pretrained(TrainSetup& s, Program& program, const TrainConfig& config,
                       const std::filesystem::path& path) {
  QW_TRY(s.checkpoint, open_checkpoint(path));
  // The result would take the place of what a resumed run begins with and preferences are measured from.
  const std::filesystem::path out = config.out;
  std::error_code ec;
  if (std::filesystem::equivalent(s.checkpoint.path, out, ec) ||
      std::filesystem::equivalent(s.checkpoint.path, out / "model.gguf", ec))
    return fail("train.over_model", {{"folder", config.out}});
  const bool quantised =
      std::any_of(s.checkpoint.formats.begin(), s.checkpoint.formats.end(), [](const auto& f) {
        const auto format = format_named(f.first);
        return !format || !traits(*format).is_float;
      });
  if (quantised && config.method == "full") return fail("train.quantised", {{"file", path.string()}});
  if (!quantised && config.method == "qlora") return fail("train.not_quantised", {{"file", path.string()}});
  if (config.method == "full") {
    QW_TRY(const LoadedModel empty, make_model(s.checkpoint.config));
    QW_TRY(check_learning_fits(s, *empty.model));
  } else {
    QW_TRY(check_weights_fit(s.checkpoint));
  }
  QW_TRY(LoadedModel loaded, load_model(s.checkpoint.config, *s.checkpoint.weights, *s.backend,
                                        {.strict = false, .trainable = config.method == "full"}));
  show_warnings(program, loaded.warnings, s.checkpoint.path.string());
  s.model = std::move(loaded.model);
  return {};
}

// A further model that does not learn: its matrices stay in the file's memory.
Result<std::shared_ptr<Model>> open_frozen(TrainSetup& s, Program& program,
                                           const std::filesystem::path& path) {
  QW_TRY(Checkpoint checkpoint, open_checkpoint(path));
  QW_TRY(check_weights_fit(checkpoint));
  QW_TRY(LoadedModel loaded, load_model(checkpoint.config, *checkpoint.weights, *s.backend, {}));
  show_warnings(program, loaded.warnings, path.string());
  return std::shared_ptr<Model>(std::move(loaded.model));
}

// Answers that the student writes come on top of a prompt of seq_len.
Status check_length(const Model& model, const TrainConfig& config, std::string_view file) {
  const int64_t tokens = int64_t{config.seq_len} + (config.on_policy() ? config.distill.max_new_tokens : 0);
  if (tokens <= model.info().max_positions) return {};
  return fail("train.too_long", {{"file", file}, {"tokens", tokens}, {"limit", model.info().max_positions}});
}

// Teacher and student must mean the same by an id, as far as both have it.
Status check_teacher(const TrainSetup& s, const std::filesystem::path& path) {
  QW_TRY(const Checkpoint files, open_tokenizer_files(path));
  QW_TRY(const Tokenizer teacher, checkpoint_tokenizer(files));
  if (const auto id = first_other_token(teacher, *s.tokenizer))
    return fail("train.teacher_tokens", {{"file", path.string()}, {"id", *id}});
  return {};
}

// A teacher reads what the student reads, its own answers included.
Status check_teacher_size(const TrainSetup& s, const TrainConfig& config) {
  const int teacher = s.other->info().vocab;
  if (config.on_policy() && teacher < s.model->info().vocab)
    return fail("train.teacher_tokens", {{"file", config.teacher}, {"id", teacher}});
  return check_length(*s.other, config, config.teacher);
}

// Every id of the data has a row in the embedding: a tokenizer may know more tokens than the model beside it.
Status check_ids(const TrainSetup& s, const train::Dataset& data, const TrainConfig& config) {
  const int32_t most = data.ids.empty() ? 0 : *std::max_element(data.ids.begin(), data.ids.end());
  const auto has_row = [&](const Model& model, const std::string& file) -> Status {
    if (most < model.info().vocab) return {};
    return fail("train.vocab", {{"file", file}, {"id", most}, {"vocab", model.info().vocab}});
  };
  QW_TRY(has_row(*s.model, config.model));
  if (s.other) QW_TRY(has_row(*s.other, config.task == "distill" ? config.teacher : config.model));
  return {};
}

Status open_adapter(TrainSetup& s, Program& program, const TrainConfig& config) {
  QW_TRY(check_hub_layout(s.checkpoint.config));  // of the adapter that is written
  if (!config.adapter.empty()) {
    QW_TRY(s.adapter, read_adapter(config.adapter, s.checkpoint.config, s.all, *s.backend, true));
    show_warnings(program, s.adapter->warnings, config.adapter);
  } else {
    const LoraSpec spec{.rank = config.lora.rank,
                        .alpha = config.lora.alpha,
                        .dropout = config.lora.dropout,
                        .rslora = config.lora.rslora,
                        .targets = config.lora.targets,
                        .base_model = s.checkpoint.path.string()};
    QW_TRY(s.adapter, make_lora_adapter(spec, s.all, *s.backend, static_cast<uint64_t>(config.seed)));
  }
  s.learning = s.adapter->set->weights();
  return {};
}

Status open_other(TrainSetup& s, Program& program, const TrainConfig& config) {
  if (config.task == "distill") {
    QW_TRY(const auto path, resolve_model(config.teacher));
    s.teacher_in_use = use_stored(path);
    QW_TRY(check_teacher(s, path));
    QW_TRY(s.other, open_frozen(s, program, path));
    QW_TRY(check_teacher_size(s, config));
  } else if (config.task == "dpo") {
    // Below an adapter nothing learns: the model itself is the reference.
    if (config.method != "full") {
      s.other = s.model;
    } else {
      QW_TRY(s.other, open_frozen(s, program, s.checkpoint.path));
    }
  }
  return {};
}

Status read_data(TrainSetup& s, Program& program, const TrainConfig& config,
                 const std::vector<std::string>& files, const char* label, train::Dataset& to) {
  Console& console = program.console();
  QW_TRY(const LocalTime now, LocalTime::parse(config.date));
  train::DataReport report;
  {
    Progress progress(console, console.text(label));
    const train::DataParts parts{*s.tokenizer, s.renderer ? &*s.renderer : nullptr,
                                 threads_of(program, config), now};
    QW_TRY(to, train::read_dataset(files, config, parts, report, [&](int64_t done, int64_t total) {
             progress.set(done >> 20, total >> 20);
           }));
  }
  for (const Error& bad : report.bad) console.warn(bad);
  if (report.n_bad > 0)
    console.note(console.text("ui.train.skipped", {{"bad", report.n_bad}, {"lines", report.lines}}));
  if (report.cut > 0) {
    console.warn(report.first_cut);
    console.note(console.text("ui.train.cut", {{"cut", report.cut}, {"lines", report.lines}}));
  }
  return {};
}

std::unique_ptr<train::Objective> make_objective(const TrainSetup& s, const TrainConfig& config,
                                                 const train::Dataset& data, train::Generate generate) {
  const train::Learner learner{s.model, s.adapter ? s.adapter->set : nullptr};
  if (config.task == "dpo") return train::dpo_objective(learner, s.other, data, config.dpo);
  if (config.task == "distill")
    return train::distill_objective(learner, s.other, data, config.distill, std::move(generate));
  return train::language_objective(learner, data);
}

// For the plan: answers as long as they may get.
train::Generate longest_answers(const TrainConfig& config) {
  if (!config.on_policy()) return {};
  return [n = config.distill.max_new_tokens](const auto& prompts, int64_t, int64_t) {
    return std::vector(prompts.size(), std::vector<int32_t>(static_cast<size_t>(n), 0));
  };
}

train::TrainerParts trainer_parts(const TrainSetup& s, const TrainConfig& config,
                                  const train::Generate& generate) {
  train::TrainerParts parts{.backend = *s.backend,
                            .weights = s.learning,
                            .objective = make_objective(s, config, s.data, generate),
                            .data = s.data};
  if (!config.eval_data.empty()) {
    parts.eval_objective = make_objective(s, config, s.eval_data, generate);
    parts.eval_data = &s.eval_data;
  }
  return parts;
}

Status plan_memory(TrainSetup& s, const TrainConfig& config) {
  std::vector<Weight*> weights = s.all;
  if (s.other != nullptr && s.other != s.model) {
    WeightList more;
    s.other->visit(more);
    weights.insert(weights.end(), more.weights().begin(), more.weights().end());
  }
  if (s.adapter) weights.insert(weights.end(), s.learning.begin(), s.learning.end());
  s.memory = train::Trainer::plan(trainer_parts(s, config, longest_answers(config)), weights, config);
  // Answers are sampled between steps, while the memory of a step's activations is kept for the next one.
  if (config.on_policy()) {
    EngineOptions sampling = sampling_options(config, static_cast<size_t>(config.batch_size));
    sampling.adapter_rank = adapter_rank(s.adapter);
    QW_TRY(const MemoryPlan plan, qw::plan_memory(*s.model, DType::f32, sampling));
    s.memory.activations += plan.total_bytes() - plan.weight_bytes;
  }
  if (fits_into(s.memory.total(), s.available)) return {};
  return fail("train.memory", {{"needed", bytes_text(s.memory.total())},
                               {"available", bytes_text(s.available)},
                               {"activations", bytes_text(s.memory.activations)}});
}

}  // namespace

Result<std::unique_ptr<TrainSetup>> open_training(Program& program, const TrainConfig& config) {
  auto s = std::make_unique<TrainSetup>();
  s->available = available_memory();
  const bool f32 = config.precision == "f32";
  QW_TRY(s->backend, open_backend(program, config, f32 ? Products::f32_packed : Products::bf16));
  if (config.on_policy()) {
    QW_TRY(s->sampling, open_backend(program, config, Products::f32));
  }
  QW_TRY(const auto path, resolve_model(config.model));
  s->model_in_use = use_stored(path);
  if (config.init == "random") {
    QW_TRY(open_random(*s, program, config, path));
  } else {
    QW_TRY(open_pretrained(*s, program, config, path));
  }
  QW_TRY(s->tokenizer, checkpoint_tokenizer(s->checkpoint));
  QW_TRY(check_length(*s->model, config, config.model));
  if (!s->tokenizer->chat_templates().empty()) {
    QW_TRY(s->renderer, renderer_of(*s->tokenizer, std::nullopt));
  }
  WeightList list;
  s->model->visit(list);
  s->all = list.weights();
  if (config.method == "full") {
    std::copy_if(s->all.begin(), s->all.end(), std::back_inserter(s->learning),
                 [](const Weight* w) { return w->trainable; });
  } else {
    QW_TRY(open_adapter(*s, program, config));
  }
  QW_TRY(open_other(*s, program, config));
  QW_TRY(read_data(*s, program, config, config.data, "ui.train.reading", s->data));
  if (!config.eval_data.empty())
    QW_TRY(read_data(*s, program, config, config.eval_data, "ui.train.reading", s->eval_data));
  QW_TRY(check_ids(*s, s->data, config));
  QW_TRY(check_ids(*s, s->eval_data, config));
  QW_TRY(plan_memory(*s, config));
  return s;
}

namespace {

// Of all numbers of the weights, in f32: it does not depend on how a precision keeps them.
std::string digest_of(const std::vector<Weight*>& weights, Backend& backend) {
  WeightRows rows(weights, backend);
  uint64_t digest = 0;
  const auto add = [&](int64_t, std::span<const float> values) -> Status {
    digest = XXH64(values.data(), values.size_bytes(), digest);
    return {};
  };
  for (size_t i = 0; i < rows.items().size(); ++i) (void)rows.for_each_portion(i, add);
  return fmt::format("{:016x}", digest);
}

std::string digest_of_other(const TrainSetup& s) {
  if (s.other == nullptr || s.other == s.model) return {};
  WeightList list;
  s.other->visit(list);
  return digest_of(list.weights(), *s.backend);
}

}  // namespace

Status make_trainer(TrainSetup& s, const TrainConfig& config) {
  train::Generate generate;
  if (config.on_policy()) generate = sampler_of(s, config);
  train::TrainerParts parts = trainer_parts(s, config, generate);
  if (s.adapter) parts.frozen_digest = digest_of(s.all, *s.backend);
  parts.other_digest = digest_of_other(s);
  QW_TRY(s.trainer, train::Trainer::create(std::move(parts), config));
  return {};
}

Status save_trained(TrainSetup& s, const TrainConfig& config) {
  if (s.adapter) return write_peft_adapter(config.out, *s.adapter, *s.backend);
  QuantFormat format = usual_format(s.checkpoint);
  if (config.init == "random") format = dtype_of(s.checkpoint.config);
  if (config.save_dtype != "model") format = *format_named(config.save_dtype);
  WeightRows rows(s.all, *s.backend);
  if (s.checkpoint.kind == CheckpointKind::gguf)
    return export_gguf(std::filesystem::path(config.out) / "model.gguf", s.checkpoint, format, rows);
  return export_folder(config.out, s.checkpoint, format, rows);
}

}  // namespace qw::apps
