// The word about a larger model, where a chat begins on the small one that comes with qw, and the offer of it
// where that chat ends.
// Test: tests/e2e/models_test.cc
#pragma once

#include <optional>
#include <string>

#include "apps/hub/machine.h"
#include "apps/program.h"

namespace qw::apps {

// The chat model that is best here: the Qwen3 or newer of most parameters that this program runs, whose usual
// download fits into half of the memory and of `free_disk`, and that decodes at least five tokens a second.
const hub::CatalogueModel* best_for(const hub::Catalogue& catalogue, const Machine& machine,
                                    int64_t free_disk);

// One line: which larger model is here, or could be; the name of that which could be. Nothing is said with
// --quiet.
std::optional<std::string> suggest_larger(Program& program);

// At a terminal one question, once a home: "download it now?". With yes it is downloaded, and is the model of
// the next chat.
void offer_larger(Program& program, const std::string& name);

}  // namespace qw::apps
