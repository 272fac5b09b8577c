// Filters that make or read JSON and HTML. Spec: jinja2.filters, markupsafe, transformers' tojson.
// Test: tests/text/chat_template_test.cc
#include <algorithm>

#include "text/jinja/args.h"
#include "text/jinja/builtins.h"
#include "text/jinja/html_unescape.h"
#include "text/jinja/markup.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"
#include "text/jinja/unicode.h"

namespace qw::text::jinja {
namespace {

Value tojson(Interpreter& in, const Value& v, const Args& args) {
  const auto [ascii, indent, separators, sort_keys] =
      bind({"tojson"}, args, {"ensure_ascii", "indent", "separators", "sort_keys"});
  JsonStyle style;
  style.ensure_ascii = truth_or(ascii, false);
  style.sort_keys = truth_or(sort_keys, false);
  if (given(indent)) {
    style.pretty = true;
    style.item_separator.assign(1, ',');
    if (indent.is_string()) {
      style.indent = indent.text();
    } else {
      style.indent = repeat_text(in, in.heap().string_view(" "), to_index(indent)).text();
    }
  }
  if (given(separators)) {
    const List* pair = in.to_list(separators);
    if (pair->items.size() != 2) value_error("separators must be a pair");
    style.item_separator = need_text(pair->items[0], "item separator");
    style.key_separator = need_text(pair->items[1], "key separator");
  }
  return in.heap().string(dump_json(in, v, style));
}

Value escaped(Interpreter& in, const Value& v, const Args& args) {
  bind_none("escape", args);
  return escape(in, v);
}

Value force_escaped(Interpreter& in, const Value& v, const Args& args) {
  bind_none("forceescape", args);
  return in.heap().string(escape_text(to_str(in, v).text()), true);
}

Value safe(Interpreter& in, const Value& v, const Args& args) {
  bind_none("safe", args);
  return make_markup(in, v);
}

// Removes everything between `open` and the next `close`, as long as both are found.
std::string remove_between(std::string_view text, std::string_view open, std::string_view close) {
  std::string out;
  size_t i = 0;
  while (true) {
    const size_t start = text.find(open, i);
    const size_t end = start == std::string_view::npos ? start : text.find(close, start);
    if (end == std::string_view::npos) return out.append(text.substr(i));
    out += text.substr(i, start - i);
    i = end + close.size();
  }
}

Value striptags(Interpreter& in, const Value& v, const Args& args) {
  bind_none("striptags", args);
  const Value subject = to_str(in, v);
  in.heap().touch(subject.text().size() * 8);
  const std::string plain = remove_between(remove_between(subject.text(), "<!--", "-->"), "<", ">");
  std::string out;
  for (const std::string_view word : split_space(plain, -1)) {
    if (!out.empty()) out += ' ';
    out += word;
  }
  return in.heap().string(html_unescape(out));
}

Value xmlattr(Interpreter& in, const Value& v, const Args& args) {
  const auto [autospace] = bind({"xmlattr"}, args, {"autospace"});
  if (v.is(Kind::undefined)) fail_runtime(PyClass::undefined, "{}", v.undefined->message());
  if (!v.is(Kind::dict)) type_error("'{}' object has no attribute 'items'", type_name(v));
  std::string out;
  for (const auto& [key, value] : v.dict->items) {
    in.heap().step();
    if (value.is(Kind::none) || value.is(Kind::undefined)) continue;
    if (need_text(key, "attribute name").find_first_of(" \t\n\r\f\v/>=") != std::string_view::npos)
      value_error("Invalid character in attribute name: {}", repr(key));
    if (!out.empty()) out += ' ';
    out += fmt::format("{}=\"{}\"", escape(in, key).text(), escape(in, value).text());
    in.heap().reserve(out.size());
  }
  if (truth_or(autospace, true) && !out.empty()) out.insert(out.begin(), ' ');
  return in.heap().string(out, in.autoescape());
}

Value urlize(Interpreter&, const Value&, const Args&) {
  fail_runtime(PyClass::other, "the filter 'urlize' is not supported: it makes HTML links");
}

constexpr FilterRow kRows[] = {
    {"tojson", tojson},
    {"safe", safe},
    {"escape", escaped},
    {"e", escaped},
    {"forceescape", force_escaped},
    {"xmlattr", xmlattr},
    {"striptags", striptags},
    {"urlize", urlize},
};

}  // namespace

FilterFunction find_markup_filter(std::string_view name) {
  const auto* it =
      std::find_if(std::begin(kRows), std::end(kRows), [&](const FilterRow& r) { return r.name == name; });
  return it == std::end(kRows) ? nullptr : it->function;
}

}  // namespace qw::text::jinja
