// Which files of a repository a model needs: the weights once, the config, the tokenizer, the templates, the
// licence; nothing else. Test: tests/hub/select_test.cc
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "hub/listing.h"

namespace qw::hub {

struct Selection {
  std::vector<RemoteFile> files = {};  // small ones first
  std::string quant = {};  // of the GGUF file chosen, as the repository spells it; "" for safetensors
  // What tells this GGUF file from the others of the repository: the quantisation, where its name has one
  // that no other has, else with a hash of its path ("Q4_K_M.1a2b3c4d"). A name may ask for it as for a
  // quantisation.
  std::string variant = {};
  std::string model_file = {};  // the GGUF file (its first part); "" where the folder is the model
  int64_t total_bytes() const;
};

// The index whose shards have to be known before select_files(); none where the repository has none or
// a model.safetensors, or where a GGUF file is wanted.
std::optional<RemoteFile> index_wanted(const Listing& listing);

// The files that an index names, each once; none where the text is no index.
std::optional<std::set<std::string>> index_shards(std::string_view index);

// `index`: the text of index_wanted(). A repository with both forms gives the safetensors, unless the name
// asks for a quantisation. A GGUF repository without one named gives Q4_K_M, else the next of a fixed list.
// Errors: hub.no_weights (args name, found), hub.no_quant (name, quant, known), hub.no_file (name, file),
// hub.missing_part (name, file), hub.bad_index (name, file).
Result<Selection> select_files(const Listing& listing, std::string_view index);

// A GGUF file that is a model, by its name: no projector of images, no importance matrix.
bool is_model_gguf(std::string_view path);

// The quantisation that a GGUF file's name says: "Q4_K_M", "BF16", "UD-Q4_K_XL"; "" for none.
std::string quant_of(std::string_view path);

}  // namespace qw::hub
