// The name of a model that can be had: where from, which repository, revision and quantisation.
//
//   ORG/NAME  hf:ORG/NAME  hf.co/ORG/NAME  https://huggingface.co/ORG/NAME      Hugging Face
//   modelscope:ORG/NAME  ms:ORG/NAME  https://modelscope.cn/models/ORG/NAME     ModelScope
//   ollama:NAME:TAG  ollama:USER/NAME:TAG  registry.ollama.ai/library/NAME:TAG  Ollama
//   https://host/…/file.gguf                                                    one file
//   /path  ./path  ../path  ~/path  file.gguf (where it is there)               this machine
//
// Behind a repository: @REVISION, then :QUANT (one GGUF file of several). Test: tests/hub/name_test.cc
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace qw::hub {

enum class Source { huggingface, modelscope, ollama, url, disk };
std::string_view source_name(Source source);  // "huggingface", …: also the folder in the store

struct ModelName {
  Source source = Source::huggingface;
  std::string org = {};       // "Qwen"; "" for a repository without one
  std::string repo = {};      // "Qwen3-0.6B"
  std::string revision = {};  // "" where none is named; Ollama: the tag
  std::string quant = {};     // "Q4_K_M", as it was written; "" where none is named
  std::string file = {};      // one file of the repository, where an address names it
  std::string place = {};     // url, disk: the address or path

  std::string repository() const { return org.empty() ? repo : org + "/" + repo; }
  // The name as a person may write it again.
  std::string text() const;
};

// Errors: hub.bad_name (args name), hub.bad_url (url), hub.no_revision (name, revision: of an address).
Result<ModelName> parse_name(std::string_view text);

// Whether `text` may be a name of a hub and no path: "ORG/NAME", "hf:…", "ollama:…".
bool looks_like_name(std::string_view text);

}  // namespace qw::hub
