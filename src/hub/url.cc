#include "hub/url.h"

#include <curl/curl.h>

#include <algorithm>
#include <memory>

namespace qw::hub {
namespace {

struct FreeUrl {
  void operator()(CURLU* url) const { curl_url_cleanup(url); }
};
using Handle = std::unique_ptr<CURLU, FreeUrl>;

// "" where the part is absent.
std::string part(CURLU* url, CURLUPart which, unsigned flags = 0) {
  char* text = nullptr;
  if (curl_url_get(url, which, &text, flags) != CURLUE_OK) return {};
  std::string out(text);
  curl_free(text);
  return out;
}

bool is_plain(char c) {
  return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '-' || c == '.' ||
         c == '_' || c == '~';
}

int hex_value(char c) {
  if (c >= '0' && c <= '9') return c - '0';
  if (c >= 'a' && c <= 'f') return c - 'a' + 10;
  if (c >= 'A' && c <= 'F') return c - 'A' + 10;
  return -1;
}

}  // namespace

Result<Url> parse_url(std::string_view text) {
  const std::string copy(text);
  const Handle url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, copy.c_str(), 0) != CURLUE_OK)
    return fail("hub.bad_url", {{"url", text}});
  Url out{.scheme = part(url.get(), CURLUPART_SCHEME),
          .host = part(url.get(), CURLUPART_HOST),
          .port = part(url.get(), CURLUPART_PORT, CURLU_DEFAULT_PORT),
          .path = part(url.get(), CURLUPART_PATH),
          .query = part(url.get(), CURLUPART_QUERY)};
  std::transform(out.host.begin(), out.host.end(), out.host.begin(),
                 [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
  const bool web = out.scheme == "http" || out.scheme == "https";
  if (!web || out.host.empty() || !part(url.get(), CURLUPART_USER).empty())
    return fail("hub.bad_url", {{"url", text}});
  return out;
}

Result<std::string> resolve_url(const std::string& base, const std::string& location) {
  const Handle url(curl_url());
  if (curl_url_set(url.get(), CURLUPART_URL, base.c_str(), 0) != CURLUE_OK ||
      curl_url_set(url.get(), CURLUPART_URL, location.c_str(), CURLU_URLENCODE) != CURLUE_OK)
    return fail("hub.bad_url", {{"url", location}});
  std::string out = part(url.get(), CURLUPART_URL);
  QW_TRY(parse_url(out));
  return out;
}

std::string percent_encode(std::string_view text, std::string_view keep) {
  std::string out;
  for (const char c : text) {
    if (is_plain(c) || keep.find(c) != keep.npos)
      out += c;
    else
      out += fmt::format("%{:02X}", static_cast<unsigned char>(c));
  }
  return out;
}

Result<std::string> percent_decode(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] != '%') {
      out += text[i];
      continue;
    }
    const int high = i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
    const int low = i + 2 < text.size() ? hex_value(text[i + 2]) : -1;
    if (high < 0 || low < 0 || high + low == 0) return fail("hub.bad_url", {{"url", text}});
    out += static_cast<char>(high * 16 + low);
    i += 2;
  }
  return out;
}

}  // namespace qw::hub
