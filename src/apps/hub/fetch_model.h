// A model pulled with everything a person sees of it: the list, the progress, the end.
// Test: tests/e2e/pull_test.cc
#pragma once

#include <optional>
#include <string>

#include "apps/program.h"
#include "hub/pull.h"

namespace qw::apps {

struct FetchOptions {
  int connections = 8;
};

// None after ctrl-C: what arrived is kept, and a note says how to go on. Errors: home.unknown, hub.*, hf.*,
// file.*.
Result<std::optional<hub::Pulled>> fetch_model(Program& program, const std::string& name,
                                               const FetchOptions& options);

// The result on stdout: two lines, or JSON.
Status report_pulled(Program& program, const hub::Pulled& pulled);

// The store of this user.
Result<hub::Store> open_store();

// "3 min 20 s"
std::string duration_text(double seconds);

}  // namespace qw::apps
