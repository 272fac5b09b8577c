// The methods of str. Positions and widths count code points. Spec: Python 3.14. Test:
// tests/text/jinja_template_test.cc
#include <algorithm>

#include "text/jinja/args.h"
#include "text/jinja/builtins.h"
#include "text/jinja/format.h"
#include "text/jinja/markup.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/strings.h"
#include "text/jinja/unicode.h"

namespace qw::text::jinja {
namespace {

using MapFunction = std::string (*)(std::string_view);

Value text_like(Interpreter& in, const Value& self, std::string_view text) {
  return in.heap().string(text, self.str->markup);
}
// A part of the subject: no copy.
Value part_of(Interpreter& in, const Value& self, std::string_view text) {
  return in.heap().string_view(text, self.str->markup);
}

template <MapFunction F>
Value mapped(Interpreter& in, const Value& self, const Args& args) {
  bind_none("str method", args);
  in.heap().touch(self.text().size() * 4);
  in.heap().reserve(self.text().size() * 3);
  return text_like(in, self, F(self.text()));
}

template <bool Left, bool Right>
Value stripped(Interpreter& in, const Value& self, const Args& args) {
  const auto [chars] = bind({"strip", 0, 1}, args, {"chars"});
  in.heap().touch(self.text().size());
  if (!given(chars)) return part_of(in, self, strip_space(self.text(), Left, Right));
  return part_of(in, self, strip_chars(self.text(), need_text(chars, "strip arg"), Left, Right));
}

template <bool FromRight>
Value split(Interpreter& in, const Value& self, const Args& args) {
  const auto [sep, max] = bind({"split"}, args, {"sep", "maxsplit"});
  const int64_t limit = max.is(Kind::missing) ? -1 : to_index(max);
  in.heap().touch(self.text().size());
  std::vector<std::string_view> parts;
  if (given(sep)) {
    const std::string_view by = need_text(sep, "sep");
    if (by.empty()) value_error("empty separator");
    parts = FromRight ? rsplit_text(self.text(), by, limit) : split_text(self.text(), by, limit);
  } else {
    parts = FromRight ? rsplit_space(self.text(), limit) : split_space(self.text(), limit);
  }
  List* out = in.heap().list();
  out->items.reserve(parts.size());
  in.heap().step(parts.size());
  for (const std::string_view part : parts) out->items.push_back(part_of(in, self, part));
  return Value::of(out);
}

Value splitlines(Interpreter& in, const Value& self, const Args& args) {
  const auto [keep] = bind({"splitlines"}, args, {"keepends"});
  List* out = in.heap().list();
  in.heap().touch(self.text().size());
  for (const std::string_view line : split_lines(self.text(), truth_or(keep, false))) {
    in.heap().step();
    out->items.push_back(part_of(in, self, line));
  }
  return Value::of(out);
}

// The bytes of self[start:end], and where they begin in code points.
struct Window {
  std::string_view text;
  size_t first_char;
  bool valid;  // start is not behind the end of the string
};

Window window(Interpreter& in, const Value& self, const Value& start, const Value& end) {
  const auto n = static_cast<int64_t>(self.str->n_chars);
  const auto bound = [&](const Value& v, int64_t fallback) {
    if (!given(v)) return fallback;
    const int64_t i = to_index(v);
    return i < 0 ? std::max<int64_t>(i + n, 0) : i;
  };
  const int64_t from = bound(start, 0);
  const int64_t to = std::min(bound(end, n), n);
  in.heap().touch(self.text().size());
  if (from > n || from > to) return {{}, static_cast<size_t>(std::min(from, n)), false};
  const size_t begin = offset_of_cp(self.text(), static_cast<size_t>(from));
  const std::string_view rest = self.text().substr(begin);
  return {rest.substr(0, offset_of_cp(rest, static_cast<size_t>(to - from))), static_cast<size_t>(from),
          true};
}

template <bool Suffix>
Value has_affix(Interpreter& in, const Value& self, const Args& args) {
  const auto [affix, start, end] = bind({"startswith", 1, 3}, args, {"prefix", "start", "end"});
  const Window w = window(in, self, start, end);
  const auto fits = [&](const Value& v) {
    const std::string_view text = need_text(v, "startswith/endswith arg");
    return w.valid && (Suffix ? w.text.ends_with(text) : w.text.starts_with(text));
  };
  if (!affix.is(Kind::tuple)) return Value::of(fits(affix));
  bool any = false;
  for (const Value& v : affix.list->items) any = any || fits(v);
  return Value::of(any);
}

int64_t find_in(Interpreter& in, const Value& self, const Args& args, bool last) {
  const auto [needle, start, end] = bind({"find", 1, 3}, args, {"sub", "start", "end"});
  const std::string_view text = need_text(needle, "argument 1");
  const Window w = window(in, self, start, end);
  if (!w.valid) return -1;
  const size_t at = last ? w.text.rfind(text) : w.text.find(text);
  if (at == std::string_view::npos) return -1;
  return static_cast<int64_t>(w.first_char + count_cps(w.text.substr(0, at)));
}

template <bool Last>
Value find(Interpreter& in, const Value& self, const Args& args) {
  return Value::of(find_in(in, self, args, Last));
}

template <bool Last>
Value index(Interpreter& in, const Value& self, const Args& args) {
  const int64_t at = find_in(in, self, args, Last);
  if (at < 0) value_error("substring not found");
  return Value::of(at);
}

Value count(Interpreter& in, const Value& self, const Args& args) {
  const auto [needle, start, end] = bind({"count", 1, 3}, args, {"sub", "start", "end"});
  const std::string_view text = need_text(needle, "argument 1");
  const Window w = window(in, self, start, end);
  if (!w.valid) return Value::of(0);
  if (text.empty()) return Value::of(count_cps(w.text) + 1);
  int64_t n = 0;
  for (size_t at = w.text.find(text); at != std::string_view::npos; at = w.text.find(text, at + text.size()))
    ++n;
  return Value::of(n);
}

Value replace(Interpreter& in, const Value& self, const Args& args) {
  const auto [old, with, max] = bind({"replace", 2, 2}, args, {"old", "new", "count"});
  const Value to = self.str->markup ? escape(in, with) : with;
  const int64_t limit = max.is(Kind::missing) ? -1 : to_index(max);
  return text_like(in, self,
                   replace_text(in.heap(), self.text(), need_text(old, "replace() argument 1"),
                                need_text(to, "replace() argument 2"), limit));
}

Value join(Interpreter& in, const Value& self, const Args& args) {
  const auto [items] = bind({"join", 1, 1}, args, {"iterable"});
  std::string out;
  bool first = true;
  Iterator* it = in.iterate(items);
  for (Value v; it->next(in, v);) {
    in.heap().step();
    if (self.str->markup) v = escape(in, v);
    if (!std::exchange(first, false)) out += self.text();
    out += need_text(v, "sequence item");
    in.heap().reserve(out.size());
  }
  return text_like(in, self, out);
}

enum class Side { left, right, both };

template <Side S>
Value justified(Interpreter& in, const Value& self, const Args& args) {
  const auto [width, fill] = bind({"center", 1, 2}, args, {"width", "fillchar"});
  std::string_view by = " ";
  if (!fill.is(Kind::missing)) {
    by = need_text(fill, "the fill character");
    if (count_cps(by) != 1) type_error("The fill character must be exactly one character long");
    if (self.str->markup) by = in.heap().copy(escape_text(by));
  }
  const int64_t pad = to_index(width) - static_cast<int64_t>(self.str->n_chars);
  if (pad <= 0) return self;
  const int64_t left = S == Side::right ? pad : S == Side::left ? 0 : center_left(pad, to_index(width));
  return text_like(in, self, padded(in.heap(), self.text(), by, left, pad - left));
}

Value zfill(Interpreter& in, const Value& self, const Args& args) {
  const auto [width] = bind({"zfill", 1, 1}, args, {"width"});
  const int64_t pad = to_index(width) - static_cast<int64_t>(self.str->n_chars);
  if (pad <= 0) return self;
  const std::string_view text = self.text();
  const bool sign = !text.empty() && (text[0] == '-' || text[0] == '+');
  std::string out(text.substr(0, sign));
  out += padded(in.heap(), text.substr(sign), "0", pad, 0);
  return text_like(in, self, out);
}

template <bool Suffix>
Value remove_affix(Interpreter& in, const Value& self, const Args& args) {
  const auto [affix] = bind({"removeprefix", 1, 1}, args, {"prefix"});
  const std::string_view text = need_text(affix, "the affix");
  std::string_view rest = self.text();
  if (Suffix && rest.ends_with(text)) rest.remove_suffix(text.size());
  if (!Suffix && rest.starts_with(text)) rest.remove_prefix(text.size());
  return part_of(in, self, rest);
}

template <bool Last>
Value partition(Interpreter& in, const Value& self, const Args& args) {
  const auto [sep] = bind({"partition", 1, 1}, args, {"sep"});
  const std::string_view by = need_text(sep, "sep"), text = self.text();
  if (by.empty()) value_error("empty separator");
  in.heap().touch(text.size());
  const size_t at = Last ? text.rfind(by) : text.find(by);
  std::string_view parts[3] = {text, {}, {}};
  if (at != std::string_view::npos) {
    parts[0] = text.substr(0, at), parts[1] = text.substr(at, by.size()),
    parts[2] = text.substr(at + by.size());
  } else if (Last) {
    std::swap(parts[0], parts[2]);
  }
  return in.heap().tuple(
      {part_of(in, self, parts[0]), part_of(in, self, parts[1]), part_of(in, self, parts[2])});
}

template <uint16_t Mask, bool EmptyIs = false>
Value all_have(Interpreter& in, const Value& self, const Args& args) {
  bind_none("str method", args);
  const std::string_view text = self.text();
  in.heap().touch(text.size());
  for (size_t i = 0; i < text.size();)
    if (!has(next_cp(text, i), Mask)) return Value::of(false);
  return Value::of(EmptyIs || !text.empty());
}

Value isdigit(Interpreter& in, const Value& self, const Args& args) {
  return all_have<kDecimal | kDigit>(in, self, args);
}

Value isascii(Interpreter&, const Value& self, const Args& args) {
  bind_none("isascii", args);
  return Value::of(self.str->ascii());
}

Value islower(Interpreter& in, const Value& self, const Args& args) {
  bind_none("islower", args);
  in.heap().touch(self.text().size());
  return Value::of(is_lower(self.text()));
}

Value isupper(Interpreter& in, const Value& self, const Args& args) {
  bind_none("isupper", args);
  in.heap().touch(self.text().size());
  return Value::of(is_upper(self.text()));
}

Value istitle(Interpreter& in, const Value& self, const Args& args) {
  bind_none("istitle", args);
  const std::string_view text = self.text();
  in.heap().touch(text.size());
  bool any = false, before_cased = false;
  for (size_t i = 0; i < text.size();) {
    const char32_t cp = next_cp(text, i);
    const bool upper = has(cp, kUpper | kTitle), lower = has(cp, kLower);
    if ((upper && before_cased) || (lower && !before_cased)) return Value::of(false);
    before_cased = upper || lower;
    any |= before_cased;
  }
  return Value::of(any);
}

Value isidentifier(Interpreter& in, const Value& self, const Args& args) {
  bind_none("isidentifier", args);
  const std::string_view text = self.text();
  in.heap().touch(text.size());
  for (size_t i = 0; i < text.size();) {
    const bool start = i == 0;
    if (!has(next_cp(text, i), start ? kIdStart : kIdContinue)) return Value::of(false);
  }
  return Value::of(!text.empty());
}

Value expandtabs(Interpreter& in, const Value& self, const Args& args) {
  const auto [size] = bind({"expandtabs"}, args, {"tabsize"});
  const int64_t tab = size.is(Kind::missing) ? 8 : to_index(size);
  std::string out;
  int64_t column = 0;
  const std::string_view text = self.text();
  for (size_t i = 0; i < text.size();) {
    const size_t at = i;
    const char32_t cp = next_cp(text, i);
    if (cp != '\t') {
      out += text.substr(at, i - at);
      column = cp == '\n' || cp == '\r' ? 0 : column + 1;
    } else if (tab > 0) {
      const int64_t n = tab - column % tab;
      in.heap().reserve(out.size() + static_cast<size_t>(n));
      out.append(static_cast<size_t>(n), ' ');
      column += n;
    }
  }
  return text_like(in, self, out);
}

Value format(Interpreter& in, const Value& self, const Args& args) {
  return brace_format(in, self, args);
}

Value format_map(Interpreter& in, const Value& self, const Args& args) {
  const auto [mapping] = bind({"format_map", 1, 1}, args, {"mapping"});
  return brace_format_map(in, self, mapping);
}

constexpr MethodRow kRows[] = {
    {"strip", stripped<true, true>},
    {"split", split<false>},
    {"lstrip", stripped<true, false>},
    {"rstrip", stripped<false, true>},
    {"startswith", has_affix<false>},
    {"endswith", has_affix<true>},
    {"replace", replace},
    {"upper", mapped<to_upper>},
    {"lower", mapped<to_lower>},
    {"title", mapped<to_title>},
    {"capitalize", mapped<to_capitalized>},
    {"swapcase", mapped<to_swapped>},
    {"casefold", mapped<to_folded>},
    {"rsplit", split<true>},
    {"splitlines", splitlines},
    {"join", join},
    {"find", find<false>},
    {"rfind", find<true>},
    {"index", index<false>},
    {"rindex", index<true>},
    {"count", count},
    {"format", format},
    {"format_map", format_map},
    {"isdigit", isdigit},
    {"isdecimal", all_have<kDecimal>},
    {"isnumeric", all_have<kNumeric | kDigit | kDecimal>},
    {"isalpha", all_have<kAlpha>},
    {"isalnum", all_have<kAlnum>},
    {"isspace", all_have<kSpace>},
    {"isprintable", all_have<kPrintable, true>},
    {"isascii", isascii},
    {"islower", islower},
    {"isupper", isupper},
    {"istitle", istitle},
    {"isidentifier", isidentifier},
    {"removeprefix", remove_affix<false>},
    {"removesuffix", remove_affix<true>},
    {"zfill", zfill},
    {"center", justified<Side::both>},
    {"ljust", justified<Side::left>},
    {"rjust", justified<Side::right>},
    {"partition", partition<false>},
    {"rpartition", partition<true>},
    {"expandtabs", expandtabs},
};

}  // namespace

MethodFunction find_string_method(std::string_view name) {
  const auto* it =
      std::find_if(std::begin(kRows), std::end(kRows), [&](const MethodRow& r) { return r.name == name; });
  return it == std::end(kRows) ? nullptr : it->function;
}

}  // namespace qw::text::jinja
