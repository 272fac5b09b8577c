#include "hub/http.h"

#include <curl/curl.h>

#include <algorithm>
#include <list>

#include "base/check.h"
#include "hub/url.h"

namespace qw::hub {
namespace {

constexpr int kMaxRedirects = 10;

struct FreeEasy {
  void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
};
struct FreeMulti {
  void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
};
struct FreeList {
  void operator()(curl_slist* list) const { curl_slist_free_all(list); }
};
using HeaderList = std::unique_ptr<curl_slist, FreeList>;

bool is_redirect(int status) {
  return status == 301 || status == 302 || status == 303 || status == 307 || status == 308;
}

std::string_view trim(std::string_view s) {
  const size_t begin = s.find_first_not_of(" \t\r\n");
  if (begin == s.npos) return {};
  return s.substr(begin, s.find_last_not_of(" \t\r\n") - begin + 1);
}

HttpFault fault_of(CURLcode code) {
  switch (code) {
    case CURLE_OK:
      return HttpFault::none;
    case CURLE_COULDNT_RESOLVE_HOST:
    case CURLE_COULDNT_RESOLVE_PROXY:
      return HttpFault::no_host;
    case CURLE_COULDNT_CONNECT:
      return HttpFault::no_connection;
    case CURLE_OPERATION_TIMEDOUT:
      return HttpFault::timeout;
    case CURLE_SSL_CONNECT_ERROR:
    case CURLE_PEER_FAILED_VERIFICATION:
    case CURLE_SSL_CACERT_BADFILE:
    case CURLE_SSL_CERTPROBLEM:
      return HttpFault::tls;
    default:
      return HttpFault::broken;
  }
}

}  // namespace

std::string_view HttpOutcome::header(std::string_view name) const {
  const auto it = headers.find(std::string(name));
  return it == headers.end() ? std::string_view() : std::string_view(it->second);
}

struct HttpClient::Impl {
  struct Transfer {
    Impl& owner;
    HttpRequest request;
    HttpSink& sink;
    std::function<void(const HttpOutcome&)> done;
    std::unique_ptr<CURL, FreeEasy> easy = {};
    HeaderList headers = {};
    char words[CURL_ERROR_SIZE] = {};
    std::string url = {};  // of this hop
    int n_redirects = 0;
    bool head_shown = false, refused = false;
    HttpOutcome outcome = {};
  };

  HttpOptions options;
  std::unique_ptr<CURLM, FreeMulti> multi;
  std::list<Transfer> transfers;

  static size_t on_header(char* bytes, size_t, size_t n, void* context);
  static size_t on_body(char* bytes, size_t, size_t n, void* context);
  static bool show_head(Transfer& t);
  void begin_hop(Transfer& t);
  bool redirect(Transfer& t);
  void finish(CURL* easy, CURLcode code);
};

size_t HttpClient::Impl::on_header(char* bytes, size_t, size_t n, void* context) {
  Transfer& t = *static_cast<Transfer*>(context);
  const std::string_view line = trim({bytes, n});
  if (line.starts_with("HTTP/")) {
    t.outcome.headers.clear();
    return n;
  }
  const size_t colon = line.find(':');
  if (colon == line.npos) return n;
  std::string name(line.substr(0, colon));
  std::transform(name.begin(), name.end(), name.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  t.outcome.headers[std::move(name)] = std::string(trim(line.substr(colon + 1)));
  return n;
}

// Once a response, and not for a redirect. False: the sink wants none of it.
bool HttpClient::Impl::show_head(Transfer& t) {
  long status = 0;
  curl_easy_getinfo(t.easy.get(), CURLINFO_RESPONSE_CODE, &status);
  t.outcome.status = static_cast<int>(status);
  if (t.head_shown || (is_redirect(t.outcome.status) && t.outcome.headers.contains("location"))) return true;
  t.head_shown = true;
  t.refused = !t.sink.head(t.outcome.status, t.outcome.headers);
  return !t.refused;
}

size_t HttpClient::Impl::on_body(char* bytes, size_t, size_t n, void* context) {
  Transfer& t = *static_cast<Transfer*>(context);
  if (!show_head(t)) return n + 1;  // any other number than n ends the transfer
  if (!t.head_shown) return n;
  t.refused = !t.sink.body(std::as_bytes(std::span(bytes, n)));
  return t.refused ? n + 1 : n;
}

void HttpClient::Impl::begin_hop(Transfer& t) {
  t.easy.reset(curl_easy_init());
  QW_CHECK(t.easy != nullptr);
  CURL* easy = t.easy.get();
  curl_slist* list = nullptr;
  for (const std::string& h : t.request.headers) list = curl_slist_append(list, h.c_str());
  for (const std::string& h : t.request.secret_headers) list = curl_slist_append(list, h.c_str());
  t.headers.reset(list);
  const auto set = [easy](CURLoption option, auto value) {
    QW_CHECK(curl_easy_setopt(easy, option, value) == CURLE_OK);
  };
  set(CURLOPT_URL, t.url.c_str());
  set(CURLOPT_PROTOCOLS_STR, "http,https");
  // One connection a range: several of them on one would share its window.
  set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
  set(CURLOPT_HTTPHEADER, list);
  set(CURLOPT_USERAGENT, options.user_agent.c_str());
  set(CURLOPT_ERRORBUFFER, static_cast<char*>(t.words));
  set(CURLOPT_NOSIGNAL, 1L);
  set(CURLOPT_FOLLOWLOCATION, 0L);
  set(CURLOPT_CONNECTTIMEOUT, static_cast<long>(options.connect_s));
  set(CURLOPT_LOW_SPEED_LIMIT, 1L);
  set(CURLOPT_LOW_SPEED_TIME, static_cast<long>(options.stall_s));
  set(CURLOPT_BUFFERSIZE, 256L << 10);
  set(CURLOPT_HEADERFUNCTION, &on_header);
  set(CURLOPT_HEADERDATA, static_cast<void*>(&t));
  set(CURLOPT_WRITEFUNCTION, &on_body);
  set(CURLOPT_WRITEDATA, static_cast<void*>(&t));
  set(CURLOPT_PRIVATE, static_cast<void*>(&t));
  if (t.request.range)
    set(CURLOPT_RANGE, fmt::format("{}-{}", t.request.range->begin, t.request.range->end - 1).c_str());
  QW_CHECK(curl_multi_add_handle(multi.get(), easy) == CURLM_OK);
}

// The next hop of a redirect; false where there is none to be made.
bool HttpClient::Impl::redirect(Transfer& t) {
  const auto location = t.outcome.headers.find("location");
  if (!is_redirect(t.outcome.status) || location == t.outcome.headers.end()) return false;
  const Result<Url> from = parse_url(t.url);
  const Result<std::string> next = resolve_url(t.url, location->second);
  const Result<Url> to = next ? parse_url(*next) : tl::unexpected<Error>(next.error());
  if (!from || !to || ++t.n_redirects > kMaxRedirects || (from->scheme == "https" && to->scheme != "https")) {
    t.outcome.fault = HttpFault::bad_redirect;
    t.outcome.reason = location->second;
    return false;
  }
  if (!to->same_origin(*from)) {
    t.request.secret_headers.clear();
    t.outcome.redirected = true;
  }
  t.url = *next;
  t.outcome.host = to->host;
  t.outcome.status = 0;
  begin_hop(t);
  return true;
}

void HttpClient::Impl::finish(CURL* easy, CURLcode code) {
  Transfer* t = nullptr;
  curl_easy_getinfo(easy, CURLINFO_PRIVATE, &t);
  QW_CHECK(curl_multi_remove_handle(multi.get(), easy) == CURLM_OK);
  if (code == CURLE_OK) {
    if (!show_head(*t)) code = CURLE_WRITE_ERROR;  // a response without a body
    if (code == CURLE_OK && redirect(*t)) return;
  }
  if (t->outcome.fault == HttpFault::none) {
    t->outcome.fault = t->refused ? HttpFault::refused_by_sink : fault_of(code);
    if (code != CURLE_OK) t->outcome.reason = t->words[0] != '\0' ? t->words : curl_easy_strerror(code);
  }
  const auto at =
      std::find_if(transfers.begin(), transfers.end(), [t](const Transfer& x) { return &x == t; });
  std::list<Transfer> gone;
  gone.splice(gone.begin(), transfers, at);
  gone.front().done(gone.front().outcome);  // may start others
}

HttpClient::HttpClient(HttpOptions options) : impl_(std::make_unique<Impl>()) {
  impl_->options = std::move(options);
  impl_->multi.reset(curl_multi_init());
  QW_CHECK(impl_->multi != nullptr);
}

HttpClient::~HttpClient() {
  for (const Impl::Transfer& t : impl_->transfers) curl_multi_remove_handle(impl_->multi.get(), t.easy.get());
}

void HttpClient::start(HttpRequest request, HttpSink& sink, std::function<void(const HttpOutcome&)> done) {
  Impl::Transfer& t = impl_->transfers.emplace_back(
      Impl::Transfer{.owner = *impl_, .request = std::move(request), .sink = sink, .done = std::move(done)});
  t.url = t.request.url;
  if (const Result<Url> url = parse_url(t.url)) t.outcome.host = url->host;
  impl_->begin_hop(t);
}

void HttpClient::poll(std::chrono::milliseconds wait) {
  int running = 0;
  QW_CHECK(curl_multi_perform(impl_->multi.get(), &running) == CURLM_OK);
  const auto collect = [this] {
    int left = 0;
    bool any = false;
    while (const CURLMsg* message = curl_multi_info_read(impl_->multi.get(), &left)) {
      if (message->msg != CURLMSG_DONE) continue;
      any = true;
      impl_->finish(message->easy_handle, message->data.result);
    }
    return any;
  };
  if (collect()) return;
  QW_CHECK(curl_multi_poll(impl_->multi.get(), nullptr, 0, static_cast<int>(wait.count()), nullptr) ==
           CURLM_OK);
  QW_CHECK(curl_multi_perform(impl_->multi.get(), &running) == CURLM_OK);
  collect();
}

int HttpClient::running() const {
  return static_cast<int>(impl_->transfers.size());
}

void HttpClient::wake() {
  curl_multi_wakeup(impl_->multi.get());
}

}  // namespace qw::hub
