// A small HTTP server for tests, on the loopback, one thread a connection. It can misbehave on purpose: slow,
// cut off, reset, silent.
#pragma once

#include <atomic>
#include <chrono>
#include <functional>
#include <list>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <thread>
#include <vector>

namespace qw::test {

struct Request {
  std::string target;                          // "/a/b?c=d"
  std::map<std::string, std::string> headers;  // names in lower case
  std::string header(const std::string& name) const {
    const auto it = headers.find(name);
    return it == headers.end() ? std::string() : it->second;
  }
};

struct Reply {
  int status = 200;
  std::map<std::string, std::string> headers = {};
  std::string body = {};
  int64_t cut_after = -1;   // bytes of the body: the connection is closed there, whatever was announced
  bool reset = false;       // … with a reset instead of an end
  int64_t bytes_per_s = 0;  // 0: as fast as it goes
  int stall_ms = 0;         // before the body
};

// The whole content, or the part that a Range header asks for.
Reply content_reply(const Request& request, std::string_view content);

class Server {
 public:
  // `handler` is called by several threads. `address`: 127.0.0.1 or another of the loopback, so that there
  // are several hosts.
  Server(std::function<Reply(const Request&)> handler, const std::string& address = "127.0.0.1");
  ~Server();
  Server(const Server&) = delete;
  Server& operator=(const Server&) = delete;

  std::string url(const std::string& target = "") const;
  std::vector<Request> requests() const;  // in the order of arrival

 private:
  void accept_all();
  void serve(int fd);
  bool answer(int fd, const Reply& reply);

  std::function<Reply(const Request&)> handler_;
  std::string address_;
  int listen_fd_ = -1;
  int port_ = 0;
  std::atomic<bool> stopping_ = false;
  mutable std::mutex mutex_;
  std::vector<Request> requests_;  // guarded by mutex_
  std::list<std::jthread> connections_;
  std::jthread acceptor_;
};

}  // namespace qw::test
