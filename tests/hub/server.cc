#include "tests/hub/server.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <gtest/gtest.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <charconv>

namespace qw::test {
namespace {

constexpr size_t kMaxHead = size_t{64} << 10;
constexpr size_t kStep = size_t{16} << 10;

std::string lower(std::string s) {
  std::transform(s.begin(), s.end(), s.begin(),
                 [](unsigned char c) { return static_cast<char>(std::tolower(c)); });
  return s;
}

// The head of the next request; none at the end of the connection.
std::optional<std::string> read_head(int fd, std::string& buffer, const std::atomic<bool>& stopping) {
  while (true) {
    if (const size_t end = buffer.find("\r\n\r\n"); end != buffer.npos) {
      std::string head = buffer.substr(0, end + 2);
      buffer.erase(0, end + 4);
      return head;
    }
    pollfd p{fd, POLLIN, 0};
    // Neither more than a head nor what is no HTTP (a TLS hello) is waited for.
    const bool foreign = !buffer.empty() && (buffer[0] < 'A' || buffer[0] > 'Z');
    if (stopping || foreign || buffer.size() > kMaxHead) return std::nullopt;
    if (::poll(&p, 1, 50) <= 0) continue;
    char chunk[4096];
    const ssize_t n = ::recv(fd, chunk, sizeof chunk, 0);
    if (n <= 0) return std::nullopt;
    buffer.append(chunk, static_cast<size_t>(n));
  }
}

Request parse(const std::string& head) {
  Request out;
  const size_t first = head.find(' '), second = head.find(' ', first + 1);
  out.target = head.substr(first + 1, second - first - 1);
  for (size_t at = head.find("\r\n") + 2; at < head.size();) {
    const size_t end = head.find("\r\n", at), colon = head.find(':', at);
    if (colon < end) {
      const size_t value = head.find_first_not_of(' ', colon + 1);
      out.headers[lower(head.substr(at, colon - at))] = head.substr(value, end - value);
    }
    at = end + 2;
  }
  return out;
}

bool send_all(int fd, std::string_view bytes) {
  while (!bytes.empty()) {
    const ssize_t n = ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL);
    if (n <= 0) return false;
    bytes.remove_prefix(static_cast<size_t>(n));
  }
  return true;
}

}  // namespace

Reply content_reply(const Request& request, std::string_view content) {
  Reply out;
  const std::string range = request.header("range");
  if (!range.starts_with("bytes=")) {
    out.body = content;
    return out;
  }
  size_t begin = 0, last = content.size() - 1;
  const char* end = range.data() + range.size();
  const auto [dash, error] = std::from_chars(range.data() + 6, end, begin);
  if (dash + 1 < end) std::from_chars(dash + 1, end, last);
  if (begin >= content.size()) {
    out.status = 416;
    out.headers["Content-Range"] = fmt::format("bytes */{}", content.size());
    return out;
  }
  last = std::min(last, content.size() - 1);
  out.status = 206;
  out.headers["Content-Range"] = fmt::format("bytes {}-{}/{}", begin, last, content.size());
  out.body = content.substr(begin, last - begin + 1);
  return out;
}

Server::Server(std::function<Reply(const Request&)> handler, const std::string& address)
    : handler_(std::move(handler)), address_(address) {
  listen_fd_ = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
  sockaddr_in to{};
  to.sin_family = AF_INET;
  EXPECT_EQ(::inet_pton(AF_INET, address.c_str(), &to.sin_addr), 1);
  EXPECT_EQ(::bind(listen_fd_, reinterpret_cast<sockaddr*>(&to), sizeof to), 0);
  EXPECT_EQ(::listen(listen_fd_, 64), 0);
  socklen_t size = sizeof to;
  EXPECT_EQ(::getsockname(listen_fd_, reinterpret_cast<sockaddr*>(&to), &size), 0);
  port_ = ntohs(to.sin_port);
  acceptor_ = std::jthread([this] { accept_all(); });
}

Server::~Server() {
  stopping_ = true;
  acceptor_.join();
  connections_.clear();  // joins
  ::close(listen_fd_);
}

std::string Server::url(const std::string& target) const {
  return fmt::format("http://{}:{}{}", address_, port_, target);
}

std::vector<Request> Server::requests() const {
  const std::lock_guard lock(mutex_);
  return requests_;
}

void Server::accept_all() {
  while (!stopping_) {
    pollfd p{listen_fd_, POLLIN, 0};
    if (::poll(&p, 1, 50) <= 0) continue;
    const int fd = ::accept4(listen_fd_, nullptr, nullptr, SOCK_CLOEXEC);
    if (fd < 0) continue;
    const int one = 1;
    ::setsockopt(fd, IPPROTO_TCP, TCP_NODELAY, &one, sizeof one);
    connections_.emplace_back([this, fd] { serve(fd); });
  }
}

void Server::serve(int fd) {
  std::string buffer;
  while (auto head = read_head(fd, buffer, stopping_)) {
    const Request request = parse(*head);
    {
      const std::lock_guard lock(mutex_);
      requests_.push_back(request);
    }
    if (!answer(fd, handler_(request))) break;
  }
  ::close(fd);
}

bool Server::answer(int fd, const Reply& reply) {
  std::string head = fmt::format("HTTP/1.1 {} x\r\n", reply.status);
  if (!reply.headers.contains("Content-Length"))
    head += fmt::format("Content-Length: {}\r\n", reply.body.size());
  for (const auto& [name, value] : reply.headers) head += fmt::format("{}: {}\r\n", name, value);
  if (!send_all(fd, head + "\r\n")) return false;
  for (int waited = 0; waited < reply.stall_ms && !stopping_; waited += 20)
    std::this_thread::sleep_for(std::chrono::milliseconds(20));
  std::string_view rest = reply.body;
  const bool cut = reply.cut_after >= 0 && reply.cut_after < static_cast<int64_t>(rest.size());
  if (cut) rest = rest.substr(0, static_cast<size_t>(reply.cut_after));
  const size_t step =
      reply.bytes_per_s > 0 ? std::max<size_t>(static_cast<size_t>(reply.bytes_per_s) / 50, 1) : kStep;
  while (!rest.empty() && !stopping_) {
    if (!send_all(fd, rest.substr(0, step))) return false;
    rest.remove_prefix(std::min(step, rest.size()));
    if (reply.bytes_per_s > 0) std::this_thread::sleep_for(std::chrono::milliseconds(20));
  }
  if (reply.reset) {
    const linger hard{.l_onoff = 1, .l_linger = 0};
    ::setsockopt(fd, SOL_SOCKET, SO_LINGER, &hard, sizeof hard);
  }
  return !cut && !reply.reset && !stopping_;
}

}  // namespace qw::test
