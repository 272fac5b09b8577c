// A small answer as a whole: lists, manifests, indexes. Test: tests/hub/pull_test.cc
#pragma once

#include <string>

#include "hub/http.h"
#include "hub/retry.h"

namespace qw::hub {

// What a pull talks to the network with.
struct Network {
  HttpOptions http = {};
  RetryPolicy retry = {};
  std::stop_token stop = {};
};

struct HttpText {
  HttpOutcome outcome;
  std::string body;
};

// The answer to a GET, whatever its status, asked for again while that may help (but not where no host of the
// name is found or nothing listens there: that is said at once). Errors: hub.cancelled, hub.too_large (args
// host, limit), those of transfer_error for everything that has no final status.
Result<HttpText> fetch_text(const Network& network, const HttpRequest& request, size_t max_bytes);

}  // namespace qw::hub
