#include "hub/sources.h"

#include <strings.h>

#include <algorithm>
#include <charconv>

#include "base/json.h"
#include "hub/url.h"

namespace qw::hub {
namespace {

constexpr size_t kMaxListBytes = size_t{64} << 20;
constexpr int64_t kMaxFileBytes = int64_t{1} << 50;

// The value at `key` where it is a string.
std::string text_at(const Json& json, const char* key) {
  if (!json.is_object()) return {};
  const auto it = json.find(key);
  return it != json.end() && it->is_string() ? it->get<std::string>() : std::string();
}

// −1 where there is no size.
int64_t size_at(const Json& json, const char* key) {
  if (!json.is_object()) return -1;
  const auto it = json.find(key);
  if (it == json.end() || !it->is_number_integer()) return -1;
  const int64_t n = it->get<int64_t>();
  return n >= 0 && n < kMaxFileBytes ? n : -1;
}

const Json& object_at(const Json& json, const char* key) {
  static const Json none = Json::object();
  if (!json.is_object()) return none;
  const auto it = json.find(key);
  return it != json.end() ? *it : none;
}

bool is_hex(std::string_view s, size_t n) {
  return s.size() == n && std::all_of(s.begin(), s.end(), [](char c) {
           return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'f');
         });
}

tl::unexpected<Error> bad_answer(const HttpText& answer) {
  return fail("hub.bad_answer", {{"host", answer.outcome.host}});
}

// The error of a status that is final, for a repository's list or one of its files.
Error status_error(const Listing& listing, const HttpOutcome& outcome, std::string_view file) {
  const std::string_view code = outcome.header("x-error-code");
  const std::string name = listing.name.text();
  const int status = outcome.status;
  if (code == "GatedRepo")
    return Error(listing.has_token ? "hub.gated_waiting" : "hub.gated",
                 {{"name", name}, {"page", listing.page}});
  if (code == "RevisionNotFound" && !listing.name.revision.empty())
    return Error("hub.no_revision",
                 {{"name", listing.name.repository()}, {"revision", listing.name.revision}});
  if (status == 404 && !file.empty()) return Error("hub.no_file", {{"name", name}, {"file", file}});
  if (status == 404) return Error("hub.not_found", {{"name", name}, {"host", listing.host}});
  if (status == 401 && listing.has_token && code != "RepoNotFound")
    return Error("hub.token_refused", {{"host", listing.host}});
  if (status == 401 || status == 403) return Error("hub.private", {{"name", name}, {"host", listing.host}});
  return Error("hub.server", {{"host", outcome.host}, {"status", status}});
}

Result<Json> get_json(const Network& network, const Listing& listing, const HttpRequest& request) {
  QW_TRY(const HttpText answer, fetch_text(network, request, kMaxListBytes));
  if (!answer.outcome.ok()) return tl::unexpected<Error>(status_error(listing, answer.outcome, {}));
  Result<Json> json = parse_json(answer.body, answer.outcome.host);
  if (!json || !json->is_object()) return bad_answer(answer);
  return json;
}

// ---- Hugging Face

std::string licence_of(const Json& model) {
  const Json& card = object_at(model, "cardData");
  std::string licence = text_at(card, "license");
  if (licence == "other")
    if (std::string own = text_at(card, "license_name"); !own.empty()) licence = std::move(own);
  const Json& tags = object_at(model, "tags");
  if (licence.empty() && tags.is_array())
    for (const Json& tag : tags)
      if (tag.is_string() && tag.get<std::string>().starts_with("license:"))
        licence = tag.get<std::string>().substr(8);
  return licence;
}

Result<Listing> list_huggingface(const Network& network, const Endpoints& endpoints, const ModelName& name) {
  Listing out{.name = name};
  const std::string& base = endpoints.huggingface;
  QW_TRY(const Url url, parse_url(base));
  out.host = url.host;
  out.page = base + "/" + name.repository();
  out.has_token = !endpoints.hf_token.empty();
  if (out.has_token) out.secret_headers = {"Authorization: Bearer " + endpoints.hf_token};
  const std::string revision = name.revision.empty() ? "main" : name.revision;
  const std::string list = fmt::format("{}/api/models/{}/revision/{}?blobs=true", base, name.repository(),
                                       percent_encode(revision));
  QW_TRY(const Json json, get_json(network, out, {.url = list, .secret_headers = out.secret_headers}));
  out.commit = text_at(json, "sha");
  const Json& siblings = object_at(json, "siblings");
  if (!is_hex(out.commit, 40) || !siblings.is_array()) return fail("hub.bad_answer", {{"host", out.host}});
  const Json& gated = object_at(json, "gated");
  if ((gated.is_string() || gated == true) && !out.has_token)
    return fail("hub.gated", {{"name", out.name.text()}, {"page", out.page}});
  // The hub knows a repository in any case; ours is called as it calls it.
  const Result<ModelName> canonical = parse_name("hf:" + text_at(json, "id"));
  if (canonical && ::strcasecmp(canonical->repository().c_str(), name.repository().c_str()) == 0) {
    out.name.org = canonical->org;
    out.name.repo = canonical->repo;
  }
  out.licence = licence_of(json);
  for (const Json& s : siblings) {
    RemoteFile file{.path = text_at(s, "rfilename")};
    const Json& lfs = object_at(s, "lfs");
    file.size = size_at(lfs, "size") >= 0 ? size_at(lfs, "size") : size_at(s, "size");
    file.hash_kind = HashKind::sha256;
    file.hash = text_at(lfs, "sha256");
    if (file.hash.empty()) {
      file.hash_kind = HashKind::git_sha1;
      file.hash = text_at(s, "blobId");
    }
    if (file.size < 0 || !is_hex(file.hash, file.hash_kind == HashKind::sha256 ? 64 : 40))
      return fail("hub.bad_answer", {{"host", out.host}});
    file.url = fmt::format("{}/{}/resolve/{}/{}", base, out.name.repository(), out.commit,
                           percent_encode(file.path, "/"));
    out.files.push_back(std::move(file));
  }
  return out;
}

// ---- ModelScope

Result<Listing> list_modelscope(const Network& network, const Endpoints& endpoints, const ModelName& name) {
  Listing out{.name = name};
  const std::string& base = endpoints.modelscope;
  QW_TRY(const Url url, parse_url(base));
  out.host = url.host;
  out.page = base + "/models/" + name.repository();
  out.has_token = !endpoints.modelscope_token.empty();
  if (out.has_token) out.secret_headers = {"Cookie: m_session_id=" + endpoints.modelscope_token};
  const std::string api = fmt::format("{}/api/v1/models/{}/repo", base, name.repository());
  const std::string revision = percent_encode(name.revision.empty() ? "master" : name.revision);
  const std::string list = fmt::format("{}/files?Revision={}&Recursive=true", api, revision);
  QW_TRY(const Json json, get_json(network, out, {.url = list, .secret_headers = out.secret_headers}));
  const Json& files = object_at(object_at(json, "Data"), "Files");
  if (!files.is_array()) return fail("hub.bad_answer", {{"host", out.host}});
  for (const Json& f : files) {
    if (text_at(f, "Type") == "tree") continue;
    RemoteFile file{.path = text_at(f, "Path"), .size = size_at(f, "Size"), .hash = text_at(f, "Sha256")};
    file.hash_kind = is_hex(file.hash, 64) ? HashKind::sha256 : HashKind::none;
    if (file.hash_kind == HashKind::none) file.hash.clear();
    if (file.size < 0) return fail("hub.bad_answer", {{"host", out.host}});
    file.url = fmt::format("{}?Revision={}&FilePath={}", api, revision, percent_encode(file.path));
    out.files.push_back(std::move(file));
  }
  return out;
}

// ---- Ollama

constexpr std::string_view kLayer = "application/vnd.ollama.image.";

// The name that a layer's file gets here; "" for one that is not needed.
std::string layer_file(std::string_view kind, int n) {
  const std::string number = n > 1 ? fmt::format("-{}", n) : std::string();
  if (kind == "model") return "model" + number + ".gguf";
  if (kind == "template") return "template" + number + ".ollama";
  if (kind == "params") return "params" + number + ".json";
  if (kind == "license") return "LICENSE" + number;
  if (kind == "system") return "system" + number + ".txt";
  return {};
}

Result<Listing> list_ollama(const Network& network, const Endpoints& endpoints, const ModelName& name) {
  Listing out{.name = name};
  const std::string& base = endpoints.ollama;
  QW_TRY(const Url url, parse_url(base));
  out.host = url.host;
  out.page = "https://ollama.com/" + name.repository();
  const std::string api = fmt::format("{}/v2/{}", base, name.repository());
  HttpRequest request{.url = api + "/manifests/" + name.revision};
  request.headers = {"Accept: application/vnd.docker.distribution.manifest.v2+json"};
  QW_TRY(const Json json, get_json(network, out, request));
  const Json& layers = object_at(json, "layers");
  if (!layers.is_array()) return fail("hub.bad_answer", {{"host", out.host}});
  std::map<std::string, int> n_of_kind;
  for (const Json& layer : layers) {
    std::string kind = text_at(layer, "mediaType");
    if (!kind.starts_with(kLayer)) continue;
    kind.erase(0, kLayer.size());
    RemoteFile file{.path = layer_file(kind, ++n_of_kind[kind]), .size = size_at(layer, "size")};
    if (file.path.empty()) continue;
    const std::string digest = text_at(layer, "digest");
    file.hash_kind = HashKind::sha256;
    file.hash = digest.starts_with("sha256:") ? digest.substr(7) : std::string();
    if (file.size < 0 || !is_hex(file.hash, 64)) return fail("hub.bad_answer", {{"host", out.host}});
    file.url = api + "/blobs/" + digest;
    if (kind == "model" && out.commit.empty()) out.commit = file.hash;
    out.files.push_back(std::move(file));
  }
  return out;
}

// ---- one address

// The size behind the "/" of "bytes 0-0/1234"; −1 where there is none.
int64_t total_of(std::string_view content_range) {
  const size_t slash = content_range.find('/');
  if (slash == content_range.npos) return -1;
  int64_t n = -1;
  const std::string_view digits = content_range.substr(slash + 1);
  const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), n);
  return error == std::errc() && end == digits.data() + digits.size() && n < kMaxFileBytes ? n : -1;
}

// Takes the head of a response alone.
class HeadSink : public HttpSink {
 public:
  bool head(int status, const HttpHeaders&) override { return status < 200 || status >= 300; }
  bool body(std::span<const std::byte>) override { return false; }
};

Result<HttpOutcome> probe(const Network& network, const std::string& url) {
  HttpClient client(network.http);
  const std::stop_callback wake(network.stop, [&client] { client.wake(); });
  for (int failures = 1;; ++failures) {
    HeadSink sink;
    std::optional<HttpOutcome> outcome;
    client.start({.url = url, .range = ByteRange{0, 1}}, sink, [&](const HttpOutcome& o) { outcome = o; });
    while (!outcome && !network.stop.stop_requested()) client.poll(Milliseconds(200));
    if (!outcome) return fail("hub.cancelled");
    if (outcome->fault == HttpFault::refused_by_sink) outcome->fault = HttpFault::none;
    const bool nobody = outcome->fault == HttpFault::no_host || outcome->fault == HttpFault::no_connection;
    if (!may_retry(*outcome)) return *std::move(outcome);
    if (nobody || failures == network.retry.attempts || asks_too_much(network.retry, *outcome))
      return tl::unexpected<Error>(transfer_error(*outcome));
    if (!sleep_unless(network.stop, wait_before(network.retry, failures, *outcome)))
      return fail("hub.cancelled");
  }
}

Result<Listing> list_address(const Network& network, const ModelName& name) {
  Listing out{.name = name, .host = name.org, .page = name.place};
  QW_TRY(const HttpOutcome answer, probe(network, name.place));
  if (answer.fault != HttpFault::none) return tl::unexpected<Error>(transfer_error(answer));
  if (!answer.ok()) return tl::unexpected<Error>(status_error(out, answer, name.repo));
  RemoteFile file{.path = name.repo, .url = name.place};
  file.size = total_of(answer.header("content-range"));
  if (answer.status == 200) file.size = total_of("/" + std::string(answer.header("content-length")));
  if (file.size < 0) return fail("hub.no_size", {{"url", name.place}});
  out.etag = answer.header("etag").empty() ? answer.header("last-modified") : answer.header("etag");
  out.files.push_back(std::move(file));
  return out;
}

}  // namespace

Result<Listing> list_files(const Network& network, const Endpoints& endpoints, const ModelName& name) {
  if (!endpoints.offline.empty()) return fail("hub.offline", {{"variable", endpoints.offline}});
  Result<Listing> out = name.source == Source::huggingface  ? list_huggingface(network, endpoints, name)
                        : name.source == Source::modelscope ? list_modelscope(network, endpoints, name)
                        : name.source == Source::ollama     ? list_ollama(network, endpoints, name)
                                                            : list_address(network, name);
  if (out) QW_TRY(check_paths(*out));
  return out;
}

Error file_error(const Listing& listing, const RemoteFile& file, const HttpOutcome& outcome) {
  const bool final_status = outcome.fault == HttpFault::none && !may_retry(outcome);
  return final_status ? status_error(listing, outcome, file.path) : transfer_error(outcome);
}

}  // namespace qw::hub
