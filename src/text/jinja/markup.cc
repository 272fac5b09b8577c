#include "text/jinja/markup.h"

#include "text/jinja/print.h"

namespace qw::text::jinja {

std::string escape_text(std::string_view text) {
  std::string out;
  out.reserve(text.size());
  for (const char c : text) {
    switch (c) {
      case '&':
        out += "&amp;";
        break;
      case '<':
        out += "&lt;";
        break;
      case '>':
        out += "&gt;";
        break;
      case '\'':
        out += "&#39;";
        break;
      case '"':
        out += "&#34;";
        break;
      default:
        out += c;
    }
  }
  return out;
}

Value escape(Interpreter& in, const Value& v) {
  if (!v.is_string()) return in.heap().string(escape_text(str(in, v)), true);
  if (v.str->markup) return v;
  in.heap().reserve(v.text().size());
  return in.heap().string(escape_text(v.text()), true);
}

Value make_markup(Interpreter& in, const Value& v) {
  if (v.is_string()) return in.heap().string_view(v.text(), v.str->n_chars, true);
  return in.heap().string(str(in, v), true);
}

}  // namespace qw::text::jinja
