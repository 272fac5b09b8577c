#include "hub/retry.h"

#include <curl/curl.h>

#include <algorithm>
#include <charconv>
#include <condition_variable>
#include <mutex>

namespace qw::hub {
namespace {

constexpr int kTooManyRequests = 429;

std::optional<int64_t> number(std::string_view text) {
  int64_t n = 0;
  const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), n);
  if (error != std::errc() || end == text.data() || n < 0) return std::nullopt;
  return n;
}

}  // namespace

bool may_retry(const HttpOutcome& outcome) {
  switch (outcome.fault) {
    case HttpFault::none:
      break;
    case HttpFault::no_host:
    case HttpFault::no_connection:
    case HttpFault::timeout:
    case HttpFault::broken:
      return true;
    case HttpFault::tls:
    case HttpFault::bad_redirect:
    case HttpFault::refused_by_sink:
      return false;
  }
  const int s = outcome.status;
  return s == 408 || s == 425 || s == kTooManyRequests || (s >= 500 && s != 501 && s != 505);
}

std::optional<std::chrono::seconds> asked_wait(const HttpOutcome& outcome, std::time_t now) {
  if (const std::string_view after = outcome.header("retry-after"); !after.empty()) {
    if (const auto n = number(after)) return std::chrono::seconds(*n);
    const std::time_t date = curl_getdate(std::string(after).c_str(), nullptr);
    if (date >= 0) return std::chrono::seconds(std::max<std::time_t>(date - now, 0));
  }
  const std::string_view limit = outcome.header("ratelimit");
  const size_t at = outcome.status == kTooManyRequests ? limit.find("t=") : limit.npos;
  if (at == limit.npos) return std::nullopt;
  if (const auto n = number(limit.substr(at + 2))) return std::chrono::seconds(*n);
  return std::nullopt;
}

bool asks_too_much(const RetryPolicy& policy, const HttpOutcome& outcome) {
  const auto asked = asked_wait(outcome, std::time(nullptr));
  return asked && *asked > policy.patience;
}

Milliseconds wait_before(const RetryPolicy& policy, int failures, const HttpOutcome& outcome) {
  if (const auto asked = asked_wait(outcome, std::time(nullptr)))
    return std::min<Milliseconds>(*asked, policy.patience);
  const int doublings = std::clamp(failures - 1, 0, 20);
  return std::min(policy.base * (int64_t{1} << doublings), policy.cap);
}

bool sleep_unless(const std::stop_token& stop, Milliseconds time) {
  std::mutex mutex;
  std::condition_variable_any wake;
  std::unique_lock lock(mutex);
  wake.wait_for(lock, stop, time, [] { return false; });
  return !stop.stop_requested();
}

Error transfer_error(const HttpOutcome& outcome) {
  const std::string& host = outcome.host;
  switch (outcome.fault) {
    case HttpFault::tls:
      return Error("hub.tls", {{"host", host}, {"reason", outcome.reason}});
    case HttpFault::bad_redirect:
      return Error("hub.redirect", {{"host", host}, {"target", outcome.reason}});
    case HttpFault::none:
      break;
    default:
      return Error("hub.unreachable", {{"host", host}, {"reason", outcome.reason}});
  }
  if (outcome.status == kTooManyRequests) {
    const auto asked = asked_wait(outcome, std::time(nullptr));
    return Error("hub.rate_limited", {{"host", host}, {"seconds", asked ? asked->count() : 60}});
  }
  return Error("hub.server", {{"host", host}, {"status", outcome.status}});
}

}  // namespace qw::hub
