// adapter_config.json of PEFT: reading, writing, and which modules it means. Test: tests/io/peft_test.cc
#pragma once

#include "base/json.h"
#include "io/peft/peft.h"

namespace qw {

struct PeftConfig {
  LoraSpec spec;
  // The targets are given by an expression or narrowed by layers: the tensors alone say which modules.
  bool targets_by_tensors = false;
  std::vector<Error> warnings;
};

// Errors: peft.key, peft.unsupported.
Result<PeftConfig> parse_peft_config(const Json& json, std::string_view file);
Json peft_config_json(const LoraSpec& spec);

// The module is one of `targets` or ends with "." + one of them.
bool is_target(const std::vector<std::string>& targets, std::string_view module);

}  // namespace qw
