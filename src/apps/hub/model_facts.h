// What lies at a place, by its small files alone: no weights are read. Test: tests/e2e/models_test.cc
#pragma once

#include <filesystem>
#include <string>

namespace qw::apps {

struct ModelFacts {
  std::string architecture;  // "qwen3"; "" where nothing says
  std::string format;        // "bf16", "Q4_K_M", "gptq"; "" where nothing says
};

ModelFacts model_facts(const std::filesystem::path& model);
// Whether this program computes with models of that type.
bool runs_architecture(const std::string& model_type);

}  // namespace qw::apps
