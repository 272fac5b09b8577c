// The word about a larger model, where a chat begins on the small one that comes with qw.
// Test: tests/e2e/models_test.cc
#pragma once

#include <filesystem>
#include <optional>

#include "apps/hub/machine.h"
#include "apps/program.h"

namespace qw::apps {

// The chat model that is best here: the Qwen3 or newer of most parameters that this program runs, whose usual
// download fits into half of the memory and of `free_disk`, and that decodes at least five tokens a second.
const hub::CatalogueModel* best_for(const hub::Catalogue& catalogue, const Machine& machine,
                                    int64_t free_disk);

// One line: which larger model is here, or could be. At a terminal one question, once a home: "download it
// now?"; the model where it was answered with yes and has arrived. Nothing is said with --quiet.
std::optional<std::filesystem::path> suggest_larger(Program& program);

}  // namespace qw::apps
