// The commands, one file each; chat lives in apps/chat.
#pragma once

#include "apps/program.h"

namespace qw::apps {

Result<int> run_command(Program& program, Args args);
Result<int> chat_command(Program& program, Args args);  // apps/chat
Result<int> tokenize_command(Program& program, Args args);
Result<int> render_command(Program& program, Args args);
Result<int> logits_command(Program& program, Args args);
Result<int> perplexity_command(Program& program, Args args);
Result<int> bench_command(Program& program, Args args);
Result<int> train_command(Program& program, Args args);
Result<int> train_tokenizer_command(Program& program, Args args);
Result<int> eval_command(Program& program, Args args);  // apps/eval
Result<int> merge_command(Program& program, Args args);
Result<int> pull_command(Program& program, Args args);
Result<int> convert_command(Program& program, Args args);
Result<int> quantize_command(Program& program, Args args);
Result<int> embed_command(Program& program, Args args);
Result<int> rerank_command(Program& program, Args args);
Result<int> score_command(Program& program, Args args);
Result<int> models_command(Program& program, Args args);
Result<int> rm_command(Program& program, Args args);
Result<int> info_command(Program& program, Args args);

}  // namespace qw::apps
