// Where things lie: the folder of qw's own data, and the checkpoint that MODEL means.
// Test: tests/apps/paths_test.cc
#pragma once

#include <filesystem>
#include <string_view>

#include "base/result.h"

namespace qw::apps {

// $QW_HOME, else $XDG_DATA_HOME/qw, else ~/.local/share/qw; not created. Errors: home.unknown.
Result<std::filesystem::path> qw_home();

// The folder or file that MODEL names. A value with "/" or an existing file is a path; else a name in
// $QW_HOME/models (also without its ".gguf"), else ./NAME. Errors: model.no_path (args model), model.no_name
// (args model, folder, known: the names there).
Result<std::filesystem::path> resolve_model(std::string_view model);

}  // namespace qw::apps
