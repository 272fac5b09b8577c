#include "tests/hub/fake_hub.h"

#include <strings.h>

#include <algorithm>

#include "base/json.h"
#include "base/rng.h"
#include "hub/hash.h"
#include "hub/url.h"

namespace qw::test {
namespace {

constexpr size_t kLfsBytes = 1000;

std::string hash(hub::HashKind kind, const std::string& content) {
  hub::ContentHash h(kind, static_cast<int64_t>(content.size()));
  h.add(std::as_bytes(std::span(content)));
  return h.finish();
}

Reply json_reply(const Json& json) {
  return {.headers = {{"Content-Type", "application/json"}}, .body = json.dump()};
}
Reply error(int status, const std::string& code) {
  return {.status = status, .headers = {{"X-Error-Code", code}}, .body = "{\"error\":\"x\"}"};
}

std::string layer_kind(const std::string& file) {
  if (file.ends_with(".gguf")) return "model";
  if (file == "LICENSE") return "license";
  return file.substr(0, file.find('.'));
}

// The value of `key` in "?a=b&c=d", decoded.
std::string query_value(const std::string& target, const std::string& key) {
  const size_t at = target.find(key + "=");
  if (at == target.npos) return {};
  const size_t begin = at + key.size() + 1;
  return *hub::percent_decode(target.substr(begin, target.find('&', begin) - begin));
}

}  // namespace

std::string random_bytes(size_t n, uint64_t seed) {
  const Rng rng(seed);
  std::string out(n, '\0');
  for (size_t i = 0; i < n; i += 8) {
    const uint64_t bits = rng.bits(i);
    for (size_t k = 0; k < 8 && i + k < n; ++k) out[i + k] = static_cast<char>(bits >> (8 * k));
  }
  return out;
}

FakeHub::FakeHub() {
  hub_ = std::make_unique<Server>([this](const Request& r) { return serve(r, false); });
  cdn_ = std::make_unique<Server>([this](const Request& r) { return serve(r, true); }, "127.0.0.2");
}

void FakeHub::add(const std::string& repository, Files files) {
  const std::lock_guard lock(mutex_);
  for (const auto& [path, content] : files) blobs_[hash(hub::HashKind::sha256, content)] = content;
  repositories_[repository] = std::move(files);
}

void FakeHub::set_fault(Fault fault) {
  const std::lock_guard lock(mutex_);
  fault_ = std::move(fault);
  seen_.clear();
}

void FakeHub::set_gated(const std::string& repository, const std::string& token) {
  const std::lock_guard lock(mutex_);
  gated_[repository] = token;
}

hub::Endpoints FakeHub::endpoints() const {
  return {.huggingface = hub_->url(), .modelscope = hub_->url(), .ollama = hub_->url()};
}

std::map<std::string, std::string> FakeHub::environment() const {
  return {{"HF_ENDPOINT", hub_->url()},
          {"MODELSCOPE_ENDPOINT", hub_->url()},
          {"QW_OLLAMA_ENDPOINT", hub_->url()}};
}

int64_t FakeHub::cdn_bytes() const {
  int64_t n = 0;
  for (const Request& r : cdn_->requests()) {
    long long begin = 0, last = -1;
    if (std::sscanf(r.header("range").c_str(), "bytes=%lld-%lld", &begin, &last) == 2) n += last - begin + 1;
  }
  return n;
}

Reply FakeHub::serve(const Request& request, bool cdn) {
  Fault fault;
  int n = 0;
  Reply reply;
  {
    const std::lock_guard lock(mutex_);
    reply = good(request, cdn);
    fault = fault_;
    n = seen_[request.target]++;
  }
  if (fault)
    if (auto bad = fault(request, n, reply)) return *std::move(bad);
  return reply;
}

Reply FakeHub::good(const Request& request, bool cdn) {
  const std::string& t = request.target;
  if (cdn) {
    const auto blob = blobs_.find(t.substr(t.rfind('/') + 1));
    return blob == blobs_.end() ? error(404, "") : content_reply(request, blob->second);
  }
  if (t.starts_with("/api/models/"))
    return huggingface_list(t.substr(12, t.find("/revision/") - 12), request);
  if (t.starts_with("/api/v1/models/")) return modelscope(request);
  if (t.starts_with("/v2/")) return ollama(request);
  return huggingface_file(request);
}

Reply FakeHub::huggingface_list(const std::string& asked, const Request& request) {
  // The case of letters does not count there.
  const auto repo = std::find_if(repositories_.begin(), repositories_.end(), [&asked](const auto& r) {
    return ::strcasecmp(r.first.c_str(), asked.c_str()) == 0;
  });
  if (repo == repositories_.end()) return error(401, "RepoNotFound");
  const std::string& repository = repo->first;
  const std::string revision = request.target.substr(request.target.find("/revision/") + 10);
  if (!revision.starts_with("main?") && !revision.starts_with(kCommit)) return error(404, "RevisionNotFound");
  Json siblings = Json::array();
  for (const auto& [path, content] : repo->second) {
    Json s{{"rfilename", path}, {"size", content.size()}, {"blobId", hash(hub::HashKind::git_sha1, content)}};
    if (content.size() >= kLfsBytes)
      s["lfs"] = {
          {"sha256", hash(hub::HashKind::sha256, content)}, {"size", content.size()}, {"pointerSize", 135}};
    siblings.push_back(std::move(s));
  }
  return json_reply({{"id", repository},
                     {"sha", kCommit},
                     {"gated", gated_.contains(repository) ? Json("manual") : Json(false)},
                     {"cardData", {{"license", "apache-2.0"}}},
                     {"siblings", std::move(siblings)}});
}

Reply FakeHub::huggingface_file(const Request& request) {
  const size_t at = request.target.find("/resolve/");
  if (at == request.target.npos) return error(404, "");
  const std::string repository = request.target.substr(1, at - 1);
  const auto repo = repositories_.find(repository);
  if (repo == repositories_.end()) return error(401, "RepoNotFound");
  if (const auto gate = gated_.find(repository); gate != gated_.end()) {
    const std::string sent = request.header("authorization");
    if (sent != "Bearer " + gate->second) return error(sent.empty() ? 401 : 403, "GatedRepo");
  }
  const std::string path = *hub::percent_decode(request.target.substr(request.target.find('/', at + 9) + 1));
  const auto file = repo->second.find(path);
  if (file == repo->second.end()) return error(404, "EntryNotFound");
  if (file->second.size() < kLfsBytes) return content_reply(request, file->second);
  return {.status = 302,
          .headers = {{"Location", cdn_->url("/blob/" + hash(hub::HashKind::sha256, file->second))}}};
}

Reply FakeHub::modelscope(const Request& request) {
  const std::string& t = request.target;
  const std::string repository = t.substr(15, t.find("/repo") - 15);
  const auto repo = repositories_.find(repository);
  if (repo == repositories_.end()) return error(404, "");
  if (t.find("/repo/files?") == t.npos) {
    const auto file = repo->second.find(query_value(t, "FilePath"));
    return file == repo->second.end() ? error(404, "") : content_reply(request, file->second);
  }
  Json files = Json::array({{{"Path", "folder"}, {"Type", "tree"}, {"Size", 0}}});
  for (const auto& [path, content] : repo->second)
    files.push_back({{"Path", path},
                     {"Type", "blob"},
                     {"Size", content.size()},
                     {"Sha256", hash(hub::HashKind::sha256, content)}});
  return json_reply({{"Code", 200}, {"Data", {{"Files", std::move(files)}}}});
}

Reply FakeHub::ollama(const Request& request) {
  const std::string rest = request.target.substr(4);
  if (const size_t at = rest.find("/blobs/sha256:"); at != rest.npos)
    return {.status = 307, .headers = {{"Location", cdn_->url("/blob/" + rest.substr(at + 14))}}};
  const size_t at = rest.find("/manifests/");
  const std::string repository = rest.substr(0, at) + ":" + rest.substr(at + 11);
  const auto repo = repositories_.find(repository);
  if (repo == repositories_.end())
    return {.status = 404, .body = "{\"errors\":[{\"code\":\"MANIFEST_UNKNOWN\"}]}"};
  Json layers = Json::array();
  for (const auto& [path, content] : repo->second)
    layers.push_back({{"mediaType", "application/vnd.ollama.image." + layer_kind(path)},
                      {"digest", "sha256:" + hash(hub::HashKind::sha256, content)},
                      {"size", content.size()}});
  return json_reply({{"schemaVersion", 2}, {"layers", std::move(layers)}});
}

}  // namespace qw::test
