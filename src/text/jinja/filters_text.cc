// Filters over text. Spec: jinja2.filters. Test: tests/text/chat_template_test.cc
#include <algorithm>

#include "text/jinja/args.h"
#include "text/jinja/builtins.h"
#include "text/jinja/format.h"
#include "text/jinja/iterate.h"
#include "text/jinja/markup.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"
#include "text/jinja/textwrap.h"
#include "text/jinja/unicode.h"

namespace qw::text::jinja {
namespace {

// The subject as soft_str(), and a method of str applied to it.
Value by_method(Interpreter& in, const Value& v, std::string_view method, const Args& args) {
  return find_string_method(method)(in, to_soft_str(in, v), args);
}

Value upper(Interpreter& in, const Value& v, const Args& args) {
  return by_method(in, v, "upper", args);
}
Value lower(Interpreter& in, const Value& v, const Args& args) {
  return by_method(in, v, "lower", args);
}
Value capitalize(Interpreter& in, const Value& v, const Args& args) {
  return by_method(in, v, "capitalize", args);
}

Value trim(Interpreter& in, const Value& v, const Args& args) {
  const auto [chars] = bind({"trim"}, args, {"chars"});
  const Value given_chars = value_or(chars, Value::none());
  return by_method(in, v, "strip", {{&given_chars, 1}, {}});
}

Value center(Interpreter& in, const Value& v, const Args& args) {
  const auto [width] = bind({"center"}, args, {"width"});
  const Value columns = value_or(width, Value::of(80));
  return by_method(in, v, "center", {{&columns, 1}, {}});
}

Value string(Interpreter& in, const Value& v, const Args& args) {
  bind_none("string", args);
  return to_soft_str(in, v);
}

// Words begin behind blanks and - ( { [ <
Value title(Interpreter& in, const Value& v, const Args& args) {
  bind_none("title", args);
  const Value subject = to_soft_str(in, v);
  const std::string_view text = subject.text();
  in.heap().touch(text.size() * 4);
  std::string out;
  const auto separator = [](char32_t cp) {
    return has(cp, kSpace) || cp == '-' || cp == '(' || cp == '{' || cp == '[' || cp == '<';
  };
  for (size_t i = 0; i < text.size();) {
    const size_t begin = i;
    size_t next = i;
    const bool gap = separator(next_cp(text, next));
    while (i < text.size()) {
      next = i;
      if (separator(next_cp(text, next)) != gap) break;
      i = next;
    }
    const std::string_view word = text.substr(begin, i - begin);
    size_t first = 0;
    append_case(out, next_cp(word, first), CaseForm::upper);
    out += to_lower(word.substr(first));
  }
  return in.heap().string(out);
}

Value replace(Interpreter& in, const Value& v, const Args& args) {
  const auto [old, with, count] = bind({"replace", 2}, args, {"old", "new", "count"});
  const int64_t limit = given(count) ? to_index(count) : -1;
  Value subject = v;
  const auto markup = [](const Value& x) { return x.is_string() && x.str->markup; };
  bool escaped = false;
  if (in.autoescape()) {
    if (markup(old) || (markup(with) && !markup(v))) subject = escape(in, v);
    escaped = markup(subject);
  }
  const Value from = to_str(in, old);
  const Value to = escaped ? escape(in, with) : to_str(in, with);
  subject = to_soft_str(in, subject);
  return in.heap().string(replace_text(in.heap(), subject.text(), from.text(), to.text(), limit), escaped);
}

Value format(Interpreter& in, const Value& v, const Args& args) {
  return percent_format(in, to_soft_str(in, v), args);
}

Value indent(Interpreter& in, const Value& v, const Args& args) {
  const auto [width, first, blank] = bind({"indent"}, args, {"width", "first", "blank"});
  if (v.is(Kind::undefined)) fail_runtime(PyClass::undefined, "{}", v.undefined->message());
  need_text(v, "indent() subject");
  Value pad = value_or(width, Value::of(4));
  if (!pad.is_string()) pad = repeat_text(in, in.heap().string_view(" "), to_index(pad));
  const std::string_view by = pad.text();
  const std::string whole = std::string(v.text()) + "\n";
  std::string out(truth_or(first, false) ? by : "");
  size_t n = 0;
  for (const std::string_view line : split_lines(whole, false)) {
    if (n > 0) out += '\n';
    if (n++ > 0 && (!line.empty() || truth_or(blank, false))) out += by;
    out += line;
    in.heap().step();
    in.heap().reserve(out.size());
  }
  return in.heap().string(out, v.str->markup);
}

Value truncate(Interpreter& in, const Value& v, const Args& args) {
  const auto [length, killwords, end, leeway] =
      bind({"truncate"}, args, {"length", "killwords", "end", "leeway"});
  const int64_t limit = length.is(Kind::missing) ? 255 : to_index(length);
  const int64_t slack = given(leeway) ? to_index(leeway) : 5;
  const Value tail = end.is(Kind::missing) ? in.heap().string_view("...") : end;
  need_text(tail, "end");
  const auto tail_length = static_cast<int64_t>(tail.str->n_chars);
  if (limit < tail_length) fail_runtime(PyClass::other, "expected length >= {}, got {}", tail_length, limit);
  if (slack < 0) fail_runtime(PyClass::other, "expected leeway >= 0, got {}", slack);
  const auto n = length_of(v);
  if (!n) type_error("object of type '{}' has no len()", type_name(v));
  if (*n - slack <= limit) return v;
  need_text(v, "truncate() subject");
  const Value cut = slice_op(in, v, Value::none(), Value::of(limit - tail_length), Value::none());
  std::string_view text = cut.text();
  if (!truth_or(killwords, false)) text = rsplit_text(text, " ", 1)[0];
  return binary_op(in, BinaryOp::add, in.heap().string_view(text, v.str->markup), tail);
}

Value wordcount(Interpreter& in, const Value& v, const Args& args) {
  bind_none("wordcount", args);
  const Value subject = to_soft_str(in, v);
  const std::string_view text = subject.text();
  in.heap().touch(text.size());
  int64_t n = 0;
  bool inside = false;
  for (size_t i = 0; i < text.size();) {
    const char32_t cp = next_cp(text, i);
    const bool word = cp == '_' || has(cp, kAlnum);
    n += word && !inside;
    inside = word;
  }
  return Value::of(n);
}

Value wordwrap(Interpreter& in, const Value& v, const Args& args) {
  const auto [width, break_long, by, hyphens] =
      bind({"wordwrap"}, args, {"width", "break_long_words", "wrapstring", "break_on_hyphens"});
  if (v.is(Kind::undefined)) fail_runtime(PyClass::undefined, "{}", v.undefined->message());
  WrapOptions options;
  if (!width.is(Kind::missing)) options.width = to_index(width);
  options.break_long_words = truth_or(break_long, true);
  options.break_on_hyphens = truth_or(hyphens, true);
  const std::string_view newline = given(by) ? need_text(by, "wrapstring") : "\n";
  std::string out;
  bool first = true;
  for (const std::string_view line : split_lines(need_text(v, "wordwrap() subject"), false)) {
    in.heap().touch(line.size() * 16);
    const auto wrapped = wrap_text(line, options);
    if (!std::exchange(first, false)) out += newline;
    for (size_t i = 0; i < wrapped.size(); ++i) {
      if (i > 0) out += newline;
      out += wrapped[i];
      in.heap().reserve(out.size());
    }
  }
  return in.heap().string(out);
}

std::string url_quote(std::string_view text, bool query) {
  std::string out;
  for (const char c : text) {
    const auto b = static_cast<unsigned char>(c);
    const bool plain =
        std::isalnum(b) != 0 || c == '_' || c == '.' || c == '-' || c == '~' || (c == '/' && !query);
    if (plain) {
      out += c;
    } else if (c == ' ' && query) {
      out += '+';
    } else {
      out += fmt::format("%{:02X}", b);
    }
  }
  return out;
}

Value urlencode(Interpreter& in, const Value& v, const Args& args) {
  bind_none("urlencode", args);
  if (v.is_string() || !iterable(v)) return in.heap().string(url_quote(str(in, v), false));
  Iterator* it = in.iterate(v.is(Kind::dict) ? make_view(in.heap(), v.dict, DictView::What::items) : v);
  std::string out;
  bool first = true;
  for (Value pair; it->next(in, pair);) {
    in.heap().step();
    const List* parts = in.to_list(pair);
    if (parts->items.size() != 2) value_error("urlencode needs pairs");
    if (!std::exchange(first, false)) out += '&';
    out += url_quote(str(in, parts->items[0]), true) + "=" + url_quote(str(in, parts->items[1]), true);
    in.heap().reserve(out.size());
  }
  return in.heap().string(out);
}

Value pprint(Interpreter& in, const Value& v, const Args& args) {
  bind_none("pprint", args);
  return in.heap().string(pretty(in, v));
}

constexpr FilterRow kRows[] = {
    {"trim", trim},         {"upper", upper},           {"lower", lower},       {"string", string},
    {"replace", replace},   {"capitalize", capitalize}, {"title", title},       {"indent", indent},
    {"center", center},     {"format", format},         {"truncate", truncate}, {"wordcount", wordcount},
    {"wordwrap", wordwrap}, {"urlencode", urlencode},   {"pprint", pprint},
};

}  // namespace

FilterFunction find_text_filter(std::string_view name) {
  const auto* it =
      std::find_if(std::begin(kRows), std::end(kRows), [&](const FilterRow& r) { return r.name == name; });
  return it == std::end(kRows) ? nullptr : it->function;
}

FilterFunction find_filter(std::string_view name) {
  for (const auto find : {find_text_filter, find_sequence_filter, find_selection_filter, find_number_filter,
                          find_markup_filter})
    if (const FilterFunction function = find(name)) return function;
  return nullptr;
}

}  // namespace qw::text::jinja
