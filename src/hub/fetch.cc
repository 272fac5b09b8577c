#include "hub/fetch.h"

namespace qw::hub {
namespace {

class TextSink : public HttpSink {
 public:
  explicit TextSink(size_t max_bytes) : max_bytes_(max_bytes) {}
  bool head(int, const HttpHeaders&) override { return true; }
  bool body(std::span<const std::byte> bytes) override {
    if (text.size() + bytes.size() > max_bytes_) return false;
    text.append(reinterpret_cast<const char*>(bytes.data()), bytes.size());
    return true;
  }
  std::string text;

 private:
  size_t max_bytes_;
};

constexpr Milliseconds kPoll{200};

}  // namespace

Result<HttpText> fetch_text(const Network& network, const HttpRequest& request, size_t max_bytes) {
  HttpClient client(network.http);
  const std::stop_callback wake(network.stop, [&client] { client.wake(); });
  for (int failures = 1;; ++failures) {
    TextSink sink(max_bytes);
    std::optional<HttpOutcome> outcome;
    client.start(request, sink, [&outcome](const HttpOutcome& o) { outcome = o; });
    while (!outcome && !network.stop.stop_requested()) client.poll(kPoll);
    if (!outcome) return fail("hub.cancelled");
    if (outcome->fault == HttpFault::refused_by_sink)
      return fail("hub.too_large", {{"host", outcome->host}, {"limit", max_bytes}});
    const bool nobody = outcome->fault == HttpFault::no_host || outcome->fault == HttpFault::no_connection;
    const bool again = may_retry(*outcome) && !nobody && failures < network.retry.attempts &&
                       !asks_too_much(network.retry, *outcome);
    if (!again) {
      if (outcome->fault != HttpFault::none || may_retry(*outcome))
        return tl::unexpected<Error>(transfer_error(*outcome));
      return HttpText{*std::move(outcome), std::move(sink.text)};
    }
    if (!sleep_unless(network.stop, wait_before(network.retry, failures, *outcome)))
      return fail("hub.cancelled");
  }
}

}  // namespace qw::hub
