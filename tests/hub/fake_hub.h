// A hub on the loopback that speaks the interfaces of Hugging Face, ModelScope and Ollama's registry for the
// repositories that a test gives it. Large files lie on another host, as in the world.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <mutex>
#include <string>

#include "hub/sources.h"
#include "tests/hub/server.h"

namespace qw::test {

// Bytes that look random, the same for the same seed.
std::string random_bytes(size_t n, uint64_t seed);

class FakeHub {
 public:
  FakeHub();

  using Files = std::map<std::string, std::string>;
  // "Qwen/Tiny"; the same files on all three hubs (Ollama: as layers, where the name has a tag: "tiny:1b").
  // Files of 1,000 bytes and more are kept as LFS.
  void add(const std::string& repository, Files files);
  // Called first for every request; an answer is given instead of the true one. `n` counts the requests that
  // had this target before.
  using Fault = std::function<std::optional<Reply>(const Request& request, int n, const Reply& good)>;
  void set_fault(Fault fault);
  void set_gated(const std::string& repository, const std::string& token);

  hub::Endpoints endpoints() const;
  std::map<std::string, std::string> environment() const;  // for a program
  Server& hub() { return *hub_; }
  Server& cdn() { return *cdn_; }
  // Body bytes that the content host was asked for so far.
  int64_t cdn_bytes() const;
  static constexpr const char* kCommit = "0123456789abcdef0123456789abcdef01234567";

 private:
  Reply serve(const Request& request, bool cdn);
  Reply good(const Request& request, bool cdn);
  Reply huggingface_list(const std::string& asked, const Request& request);
  Reply huggingface_file(const Request& request);
  Reply modelscope(const Request& request);
  Reply ollama(const Request& request);

  mutable std::mutex mutex_;
  std::map<std::string, Files> repositories_;
  std::map<std::string, std::string> gated_, blobs_;
  std::map<std::string, int> seen_;
  Fault fault_;
  std::unique_ptr<Server> hub_, cdn_;
};

}  // namespace qw::test
