#include "apps/score_files.h"

#include "apps/memory.h"
#include "apps/paths.h"
#include "apps/progress.h"
#include "backend/cpu/cpu_backend.h"

namespace qw::apps {

Result<OpenScorer> open_scorer(Program& program, std::string_view model, const ModelFlags& flags) {
  QW_TRY(const auto path, resolve_model(model));
  QW_TRY(Checkpoint checkpoint, open_checkpoint(path));
  OpenScorer out;
  if (!is_score_model(checkpoint.config)) {
    QW_TRY(OpenModel open, open_model(program, model, flags));
    out.backend = std::move(open.backend);
    out.checkpoint = std::move(open.checkpoint);
    out.model = std::move(open.model);
    out.tokenizer = std::move(open.tokenizer);
    out.in_use = std::move(open.in_use);
    return out;
  }
  out.in_use = use_stored(path);
  if (!may_map(flags, checkpoint)) QW_TRY(check_weights_fit(checkpoint));
  const Progress progress(program.console(), program.console().text("ui.loading", {{"file", path.string()}}));
  QW_TRY(out.backend, make_cpu_backend({.threads = program.threads(), .isa = {}}));
  out.checkpoint = std::move(checkpoint);
  QW_TRY(out.tokenizer, checkpoint_tokenizer(out.checkpoint));
  std::vector<Error> warnings;
  QW_TRY(out.score, load_score_model(out.checkpoint.config, *out.checkpoint.weights, *out.backend, warnings));
  if (flags.strict && !warnings.empty()) return tl::unexpected<Error>(warnings.front());
  for (Error& warning : warnings) program.console().warn(warning.with("file", out.checkpoint.path.string()));
  return out;
}

}  // namespace qw::apps
