#include "text/jinja/html_unescape.h"

#include <algorithm>
#include <iterator>

#include "text/jinja/unicode.h"

namespace qw::text::jinja {
namespace {

struct Named {
  std::string_view name;
  char32_t cp;
};
constexpr Named kNames[] = {
    {"amp", '&'},      {"lt", '<'},       {"gt", '>'},       {"quot", '"'},     {"apos", '\''},
    {"nbsp", 0xA0},    {"iexcl", 0xA1},   {"cent", 0xA2},    {"pound", 0xA3},   {"yen", 0xA5},
    {"sect", 0xA7},    {"copy", 0xA9},    {"laquo", 0xAB},   {"reg", 0xAE},     {"deg", 0xB0},
    {"plusmn", 0xB1},  {"micro", 0xB5},   {"para", 0xB6},    {"middot", 0xB7},  {"raquo", 0xBB},
    {"frac12", 0xBD},  {"iquest", 0xBF},  {"times", 0xD7},   {"divide", 0xF7},  {"szlig", 0xDF},
    {"auml", 0xE4},    {"ouml", 0xF6},    {"uuml", 0xFC},    {"Auml", 0xC4},    {"Ouml", 0xD6},
    {"Uuml", 0xDC},    {"eacute", 0xE9},  {"egrave", 0xE8},  {"agrave", 0xE0},  {"aacute", 0xE1},
    {"ccedil", 0xE7},  {"ntilde", 0xF1},  {"ndash", 0x2013}, {"mdash", 0x2014}, {"lsquo", 0x2018},
    {"rsquo", 0x2019}, {"ldquo", 0x201C}, {"rdquo", 0x201D}, {"bull", 0x2022},  {"hellip", 0x2026},
    {"euro", 0x20AC},  {"trade", 0x2122}, {"larr", 0x2190},  {"uarr", 0x2191},  {"rarr", 0x2192},
    {"darr", 0x2193},  {"ne", 0x2260},    {"le", 0x2264},    {"ge", 0x2265},    {"infin", 0x221E},
};

// The number of "#123" or "#x1F" at the front of text, and its length; length 0 where there is none.
char32_t numeric(std::string_view text, size_t& length) {
  const bool hex = text.size() > 1 && (text[1] | 32) == 'x';
  size_t i = hex ? 2 : 1;
  const size_t begin = i;
  uint64_t v = 0;
  for (; i < text.size(); ++i) {
    const char c = text[i];
    const char lower = static_cast<char>(c | 32);
    int d = c >= '0' && c <= '9' ? c - '0' : hex && lower >= 'a' && lower <= 'f' ? lower - 'a' + 10 : -1;
    if (d < 0) break;
    v = std::min<uint64_t>(v * (hex ? 16 : 10) + static_cast<uint64_t>(d), 0x110000);
  }
  length = i == begin ? 0 : i;
  const bool bad = v == 0 || v > 0x10FFFF || (v >= 0xD800 && v < 0xE000);
  return bad ? 0xFFFD : static_cast<char32_t>(v);
}

}  // namespace

std::string html_unescape(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    if (text[i] != '&') {
      out += text[i++];
      continue;
    }
    const std::string_view rest = text.substr(i + 1);
    size_t length = 0;
    char32_t cp = 0;
    if (rest.starts_with("#")) {
      cp = numeric(rest, length);
    } else {
      const auto* it = std::find_if(std::begin(kNames), std::end(kNames), [&](const Named& n) {
        return rest.starts_with(n.name) && rest.substr(n.name.size()).starts_with(";");
      });
      if (it != std::end(kNames)) cp = it->cp, length = it->name.size();
    }
    if (length == 0) {
      out += text[i++];
      continue;
    }
    append_cp(out, cp);
    i += 1 + length;
    if (i < text.size() && text[i] == ';') ++i;
  }
  return out;
}

}  // namespace qw::text::jinja
