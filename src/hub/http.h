// HTTP over libcurl: many transfers on one thread, every redirect followed here, so that no secret goes to
// another host. Test: tests/hub/pull_test.cc
#pragma once

#include <chrono>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <stop_token>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace qw::hub {

struct ByteRange {
  int64_t begin = 0, end = 0;  // [begin, end)
  int64_t size() const { return end - begin; }
};

struct HttpRequest {
  std::string url;
  std::vector<std::string> headers = {};  // "Accept: x"
  // Sent only while the address has the origin (scheme, host, port) of `url`: an Authorization header.
  std::vector<std::string> secret_headers = {};
  std::optional<ByteRange> range = {};
};

using HttpHeaders = std::map<std::string, std::string>;  // names in lower case; the last of equal ones

// What went wrong below HTTP.
enum class HttpFault { none, no_host, no_connection, tls, timeout, broken, bad_redirect, refused_by_sink };

struct HttpOutcome {
  HttpFault fault = HttpFault::none;
  int status = 0;  // of the last response; 0 where there was none
  HttpHeaders headers = {};
  std::string host = {};    // that answered, or did not
  std::string reason = {};  // libcurl's words for the fault
  bool redirected = false;  // the answer came from another origin than was asked

  bool ok() const { return fault == HttpFault::none && status >= 200 && status < 300; }
  // "" where the header is absent.
  std::string_view header(std::string_view name) const;
};

// Receives one response; redirects are not shown to it. False from either ends the transfer with
// refused_by_sink.
class HttpSink {
 public:
  virtual ~HttpSink() = default;
  virtual bool head(int status, const HttpHeaders& headers) = 0;
  virtual bool body(std::span<const std::byte> bytes) = 0;
};

struct HttpOptions {
  int connect_s = 15;  // until a connection stands
  int stall_s = 30;    // without a byte
  std::string user_agent = "qw";
};

// Used by one thread, but for wake().
class HttpClient {
 public:
  explicit HttpClient(HttpOptions options);
  ~HttpClient();  // ends what still runs, without a call of `done`
  HttpClient(const HttpClient&) = delete;
  HttpClient& operator=(const HttpClient&) = delete;

  // `sink` lives until `done` was called, from poll().
  void start(HttpRequest request, HttpSink& sink, std::function<void(const HttpOutcome&)> done);
  // Moves bytes; waits for them at most `wait`, or until wake().
  void poll(std::chrono::milliseconds wait);
  int running() const;
  void wake();

 private:
  struct Impl;
  std::unique_ptr<Impl> impl_;
};

}  // namespace qw::hub
