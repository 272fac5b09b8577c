// Models that other programs keep on this machine: the cache of Hugging Face and the store of Ollama. They
// are found, shown and used where they lie, and what a pull wants of them is not fetched again. Test:
// tests/hub/external_test.cc
#pragma once

#include <filesystem>
#include <optional>
#include <string>
#include <vector>

#include "hub/listing.h"

namespace qw::hub {

struct ExternalModel {
  std::string name;                 // "Qwen/Qwen3-0.6B", "ollama:qwen3:0.6b"
  std::string program;              // "Hugging Face", "Ollama"
  std::filesystem::path path = {};  // what open_checkpoint takes
  int64_t bytes = 0;
};

// Folders that are searched: HF_HUB_CACHE or HF_HOME/hub; OLLAMA_MODELS, ~/.ollama/models and
// /usr/share/ollama/.ollama/models.
struct ExternalFolders {
  std::filesystem::path huggingface;
  std::vector<std::filesystem::path> ollama;
};
ExternalFolders external_folders();

// By name.
std::vector<ExternalModel> external_models(const ExternalFolders& folders);
// The model of this name, in any case.
std::optional<ExternalModel> find_external(const ExternalFolders& folders, std::string_view name);

// A file with this content's hash in its name; the content itself is still to be checked.
std::optional<std::filesystem::path> external_blob(const ExternalFolders& folders, const ModelName& name,
                                                   const RemoteFile& file);

}  // namespace qw::hub
