// The models that can be had by a short name: catalogue.json, with its source and date.
//
//   FAMILY:SIZE[-VARIANT][-FORMAT]    qwen3:0.6b  qwen3:30b-a3b-instruct-2507  qwen3:4b-q8_0  qwen3:8b-bf16
//
// Without FORMAT it is the GGUF file that catalogue.json names where Qwen publishes one, else the
// safetensors; "-bf16" is always the safetensors, "-q8_0" and the like that GGUF file.
// Test: tests/hub/catalogue_test.cc
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "hub/name.h"

namespace qw::hub {

struct CatalogueModel {
  std::string name;                   // "qwen3:30b-a3b"
  std::string repo;                   // safetensors: "Qwen/Qwen3-30B-A3B"
  std::string gguf = {};              // the publisher's GGUF repository, "" where there is none
  std::string quant = {};             // of it, the one that is usual
  int64_t parameters = 0;             // all of them
  int64_t active = 0;                 // read for a token; = parameters but for experts
  int64_t context = 0;                // tokens; 0: not known
  std::string licence, architecture;  // "apache-2.0", "qwen3_moe"
  std::string template_name = {};     // of its chat format; "" for none
  std::string kind;                   // chat, code, base, embed, rerank
  int64_t kv_bytes_per_token = -1;    // f16; −1: not known

  // Bytes of the weights in 16 bits, and in the usual GGUF form or what 4 bits would take.
  int64_t bytes_16() const { return 2 * parameters; }
  int64_t bytes_4() const;
  int64_t download_bytes() const;  // of what the short name alone gives
};

struct Catalogue {
  std::string date, source;
  std::vector<CatalogueModel> models;  // newest family first

  const CatalogueModel* find(std::string_view name) const;
  // What a short name means. None for a name that is not in the catalogue.
  std::optional<ModelName> pull_name(std::string_view text) const;
  // The names under which it may be in the store, the likeliest first.
  std::vector<std::string> stored_names(std::string_view text) const;
  // Names of the same family, ", " between them; "" for a family that is not here.
  std::string family_of(std::string_view text) const;
};

// Parsed anew with each call (a millisecond). The file is part of the program.
Catalogue load_catalogue();

}  // namespace qw::hub
