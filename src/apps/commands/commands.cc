#include "apps/commands/commands.h"

namespace qw::apps {
namespace {

constexpr Command kCommands[] = {
    {"run", run_command},
    {"chat", chat_command},
    {"tokenize", tokenize_command},
    {"render", render_command},
    {"logits", logits_command},
    {"perplexity", perplexity_command},
    {"bench", bench_command},
    {"info", info_command},
    {"train", train_command},
    {"train-tokenizer", train_tokenizer_command},
    {"eval", eval_command},
    {"merge", merge_command},
    {"pull", pull_command},
    {"models", models_command},
    {"rm", rm_command},
    {"convert", convert_command},
    {"quantize", quantize_command},
    {"embed", embed_command},
    {"rerank", rerank_command},
    {"score", score_command},
};

}  // namespace

std::span<const Command> commands() {
  return kCommands;
}

}  // namespace qw::apps
