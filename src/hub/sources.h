// The hubs: each answers what a repository holds. Formats: huggingface.co/docs/hub/api, the client of
// ModelScope (modelscope/hub), the registry protocol of Ollama (OCI distribution).
// Test: tests/hub/pull_test.cc
#pragma once

#include <string>

#include "hub/fetch.h"
#include "hub/listing.h"

namespace qw::hub {

struct Endpoints {
  std::string huggingface = "https://huggingface.co";
  std::string modelscope = "https://www.modelscope.cn";
  std::string ollama = "https://registry.ollama.ai";
  std::string hf_token = {};
  std::string modelscope_token = {};
  std::string offline = {};  // the variable that forbids the network, "" where none does
};

// HF_ENDPOINT; HF_TOKEN, HUGGING_FACE_HUB_TOKEN, else the file HF_TOKEN_PATH, $HF_HOME/token or
// ~/.cache/huggingface/token; HF_HUB_OFFLINE, TRANSFORMERS_OFFLINE; MODELSCOPE_ENDPOINT (or
// MODELSCOPE_DOMAIN), MODELSCOPE_API_TOKEN; QW_OLLAMA_ENDPOINT.
Endpoints endpoints_from_environment();
// $HF_HOME or $XDG_CACHE_HOME/huggingface or ~/.cache/huggingface; "" where none is known.
std::string huggingface_home();

// The files of a repository; for an address, the one file. Errors: hub.offline (args variable), hub.not_found
// (name, host), hub.private (name, host), hub.no_revision (name, revision), hub.gated (page),
// hub.gated_waiting (page), hub.token_refused (host), hub.bad_answer (host), hub.no_size (url),
// hub.unsafe_path, and those of fetch_text.
Result<Listing> list_files(const Network& network, const Endpoints& endpoints, const ModelName& name);

// The error of a file's answer that stays bad.
Error file_error(const Listing& listing, const RemoteFile& file, const HttpOutcome& outcome);

}  // namespace qw::hub
