// Addresses of the web: taken apart, put together, compared by origin. Test: tests/hub/name_test.cc
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace qw::hub {

struct Url {
  std::string scheme;  // "http" or "https"
  std::string host;    // lower case
  std::string port;    // "443", also where the text has none
  std::string path;    // "/a/b", still percent-encoded
  std::string query;   // without "?"; "" where there is none

  bool same_origin(const Url& other) const {
    return scheme == other.scheme && host == other.host && port == other.port;
  }
};

// Errors: hub.bad_url (args url): no http or https address, or one with a user name in it.
Result<Url> parse_url(std::string_view text);
// The address that `location` means on a page at `base` (RFC 3986, section 5). Errors: hub.bad_url.
Result<std::string> resolve_url(const std::string& base, const std::string& location);

// Everything but letters, digits, "-._~" and the characters of `keep` as %XX.
std::string percent_encode(std::string_view text, std::string_view keep = {});
// None of its escapes broken, and no NUL. Errors: hub.bad_url.
Result<std::string> percent_decode(std::string_view text);

}  // namespace qw::hub
