#include "apps/train/sampling.h"

#include "base/rng.h"
#include "engine/engine.h"

namespace qw::apps {
namespace {

// The answer's tokens, its end token included. Errors: that of the request.
Result<std::vector<int32_t>> collect(EventQueue& events) {
  std::vector<int32_t> ids;
  while (true) {
    const Event event = events.pop();
    if (event.kind == Event::Kind::token) {
      ids.push_back(event.token.id);
    } else {
      if (event.error) return tl::unexpected<Error>(*event.error);
      return ids;
    }
  }
}

// As everywhere the model's own; where it names none, its tokenizer's.
std::vector<int32_t> stop_ids_of(const TrainSetup& setup) {
  if (!setup.checkpoint.generation.stop_ids.empty()) return setup.checkpoint.generation.stop_ids;
  const auto eos = setup.tokenizer->eos_id();
  return eos ? std::vector{*eos} : std::vector<int32_t>();
}

}  // namespace

EngineOptions sampling_options(const train::TrainConfig& config, size_t prompts) {
  EngineOptions options;
  options.ctx_tokens = config.seq_len + config.distill.max_new_tokens;
  options.max_seqs = static_cast<int>(std::min<size_t>(prompts, 16));
  options.kv_dtype = DType::f32;
  options.prefix_cache = false;
  return options;
}

train::Generate sampler_of(TrainSetup& setup, const train::TrainConfig& config) {
  return [&setup, &config](const std::vector<std::vector<int32_t>>& prompts, int64_t step,
                           int64_t first) -> Result<std::vector<std::vector<int32_t>>> {
    const Rng rng(static_cast<uint64_t>(config.seed));
    // A new engine each time: what it computed with older weights must not be found again.
    QW_TRY(const auto engine,
           Engine::create(setup.model, *setup.sampling, sampling_options(config, prompts.size())));
    uint64_t adapter = 0;
    if (setup.adapter) {
      QW_TRY(adapter, engine->add_adapter("student", setup.adapter->set));
    }
    std::vector<std::shared_ptr<EventQueue>> queues;
    for (size_t i = 0; i < prompts.size(); ++i) {
      Request request;
      request.ids = prompts[i];
      request.sampling.temperature = config.distill.sampling_temperature;
      request.sampling.seed = rng.bits(static_cast<uint64_t>(step), static_cast<uint64_t>(first) + i);
      request.key.adapter = adapter;
      request.max_new_tokens = config.distill.max_new_tokens;
      request.stop_ids = stop_ids_of(setup);
      queues.push_back(std::make_shared<EventQueue>());
      engine->submit(std::move(request), sink_to(queues.back()));
    }
    std::vector<std::vector<int32_t>> answers;
    for (const auto& queue : queues) {
      QW_TRY(std::vector<int32_t> ids, collect(*queue));
      answers.push_back(std::move(ids));
    }
    return answers;
  };
}

}  // namespace qw::apps
