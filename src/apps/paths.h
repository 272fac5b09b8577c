// Where things lie: the folder of qw's own data, and the checkpoint that MODEL means.
// Test: tests/apps/paths_test.cc
#pragma once

#include <filesystem>
#include <optional>
#include <string_view>

#include "base/result.h"

namespace qw::apps {

// $QW_HOME, else $XDG_DATA_HOME/qw, else ~/.local/share/qw; not created. Errors: home.unknown.
Result<std::filesystem::path> qw_home();

// The folder or file that MODEL names. An existing path with "/", or an existing file, is itself; else a name
// in $QW_HOME/models (also without its ".gguf"), a model that was pulled (by its name or the catalogue's
// short one) or that Hugging Face's cache or Ollama has, else ./NAME. Errors: model.no_path, model.not_pulled
// (args model), model.several (model, known), model.no_name (args model, folder, known: the names there).
Result<std::filesystem::path> resolve_model(std::string_view model);

// Remembers the model of a run or a chat, in $QW_HOME/last_model. Where that cannot be written nothing
// happens: it is only a convenience.
void remember_model(const std::filesystem::path& model);
// The model remembered, where it is still there.
std::optional<std::filesystem::path> remembered_model();
// The model that came with this program, which lies at `program`: models/nano/*.gguf of the source tree that
// it was built in, or share/qw/models/nano/*.gguf beside the bin folder that it was installed in.
std::optional<std::filesystem::path> shipped_model(const std::filesystem::path& program);
// The file of the running program. Empty where the system does not say.
std::filesystem::path program_file();

}  // namespace qw::apps
