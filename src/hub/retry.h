// When to ask again, and how long to wait before. Test: tests/hub/parts_test.cc
#pragma once

#include <chrono>
#include <ctime>
#include <optional>
#include <stop_token>

#include "hub/http.h"

namespace qw::hub {

using Milliseconds = std::chrono::milliseconds;

struct RetryPolicy {
  int attempts = 8;                    // without a byte of progress between them
  Milliseconds base{500};              // before the second attempt; doubled for each further one
  Milliseconds cap{30000};             // of the doubling
  std::chrono::seconds patience{300};  // a server that wants more than this is an error
};

// Whether the same request may go well later: no connection, a broken one, 408, 425, 429, 5xx.
bool may_retry(const HttpOutcome& outcome);

// The seconds that the server asks for: Retry-After as a number or a date, else the reset time `t=` of the
// header ratelimit (the hub of Hugging Face). None where it says nothing.
std::optional<std::chrono::seconds> asked_wait(const HttpOutcome& outcome, std::time_t now);

// Whether the server asks for more than the policy has patience for.
bool asks_too_much(const RetryPolicy& policy, const HttpOutcome& outcome);

// Before attempt `failures` + 1: what the server asks for, else base · 2^(failures−1) up to cap.
Milliseconds wait_before(const RetryPolicy& policy, int failures, const HttpOutcome& outcome);

// Sleeps; false at once where a stop is wanted.
bool sleep_unless(const std::stop_token& stop, Milliseconds time);

// The error of a response that stays bad: hub.unreachable (args host, reason), hub.tls (host, reason),
// hub.redirect (host, target), hub.rate_limited (host, seconds), hub.server (host, status).
Error transfer_error(const HttpOutcome& outcome);

}  // namespace qw::hub
