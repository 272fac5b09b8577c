#include "text/jinja/format.h"

#include <algorithm>

#include "text/jinja/arithmetic.h"
#include "text/jinja/markup.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/unicode.h"

namespace qw::text::jinja {
namespace {

// "…" % args
class Percent {
 public:
  Percent(Interpreter& in, const Value& format, std::span<const Value> args, const Value* mapping)
      : in_(in), text_(format.text()), markup_(format.str->markup), args_(args), mapping_(mapping) {}

  Value run(bool extra_allowed) {
    for (size_t i = 0; i < text_.size();) {
      const size_t percent = std::min(text_.find('%', i), text_.size());
      out_ += text_.substr(i, percent - i);
      i = percent;
      if (i == text_.size()) break;
      ++i;
      conversion(i);
      in_.heap().step();
      in_.heap().reserve(out_.size());
    }
    if (used_ < args_.size() && !extra_allowed)
      type_error("not all arguments converted during string formatting");
    return in_.heap().string(out_, markup_);
  }

 private:
  char at(size_t i) const {
    if (i >= text_.size()) value_error("incomplete format");
    return text_[i];
  }

  const Value& next_arg() {
    if (used_ >= args_.size()) type_error("not enough arguments for format string");
    return args_[used_++];
  }

  Value key(size_t& i) {
    if (mapping_ == nullptr) type_error("format requires a mapping");
    const size_t begin = ++i;
    for (int depth = 1; depth > 0; ++i) {
      const char c = at(i);
      depth += c == '(' ? 1 : c == ')' ? -1 : 0;
    }
    const std::string_view name = text_.substr(begin, i - 1 - begin);
    if (!mapping_->is(Kind::dict)) type_error("format requires a mapping");
    const Value* v = mapping_->dict->find(name);
    if (v == nullptr) fail_runtime(PyClass::lookup, "'{}'", name);
    return *v;
  }

  int64_t number(size_t& i) {
    if (at(i) == '*') {
      ++i;
      const Value& v = next_arg();
      if (!v.is_integral()) type_error("* wants int");
      return to_index(v);
    }
    int64_t n = 0;
    for (; at(i) >= '0' && at(i) <= '9'; ++i)
      n = std::min<int64_t>(n * 10 + (text_[i] - '0'), int64_t{1} << 40);
    return n;
  }

  void conversion(size_t& i) {
    FormatSpec spec;
    Value keyed = Value::missing();
    if (at(i) == '(') keyed = key(i);
    bool left = false, zero = false;
    for (;; ++i) {
      const char c = at(i);
      if (c == '-') {
        left = true;
      } else if (c == '+') {
        spec.sign = '+';
      } else if (c == ' ') {
        if (spec.sign == '-') spec.sign = ' ';
      } else if (c == '#') {
        spec.alternate = true;
      } else if (c == '0') {
        zero = true;
      } else {
        break;
      }
    }
    spec.width = number(i);
    if (spec.width < 0) left = true, spec.width = -std::max<int64_t>(spec.width, -(int64_t{1} << 40));
    if (at(i) == '.') {
      ++i;
      spec.precision = std::max<int64_t>(number(i), 0);
    }
    if (at(i) == 'h' || at(i) == 'l' || at(i) == 'L') ++i;
    spec.type = at(i++);
    spec.align = left ? '<' : '>';
    if (spec.type == '%') {
      out_ += '%';
      return;
    }
    if (keyed.is(Kind::missing)) keyed = next_arg();
    convert(spec, keyed, zero && !left);
  }

  void convert(FormatSpec& spec, const Value& v, bool zero) {
    switch (spec.type) {
      case 's':
      case 'r':
      case 'a': {
        std::string text = spec.type == 's' ? str(in_, v) : repr(in_, v);
        if (spec.type == 'a') text = escape_non_ascii(text);
        if (markup_) text = spec.type == 's' ? std::string(escape(in_, v).text()) : escape_text(text);
        if (spec.precision >= 0) text.resize(offset_of_cp(text, static_cast<size_t>(spec.precision)));
        out_ += pad_text(in_.heap(), spec, text, '>');
        break;
      }
      case 'c':
        out_ += pad_text(in_.heap(), spec, character(v), '>');
        break;
      case 'd':
      case 'i':
      case 'u':
      case 'o':
      case 'x':
      case 'X':
        if (zero) spec.align = '=', spec.fill.assign(1, '0');
        integer(spec, v);
        break;
      case 'e':
      case 'E':
      case 'f':
      case 'F':
      case 'g':
      case 'G': {
        if (zero) spec.align = '=', spec.fill.assign(1, '0');
        if (v.is(Kind::undefined)) fail_runtime(PyClass::undefined, "{}", v.undefined->message());
        if (!v.is_number()) type_error("must be real number, not {}", type_name(v));
        const double real = to_real(v);
        std::string digits = real_digits(in_.heap(), real, spec.type, spec.precision, spec.alternate, false);
        out_ += pad_number(in_.heap(), spec, std::signbit(real) && real == real, "", std::move(digits));
        break;
      }
      default:
        value_error("unsupported format character '{}'", spec.type);
    }
  }

  std::string character(const Value& v) const {
    std::string out;
    if (v.is_string()) {
      if (v.str->n_chars != 1) type_error("%c requires an int or a unicode character");
      return std::string(v.text());
    }
    if (!v.is_integral()) type_error("%c requires an int or a unicode character");
    const int64_t cp = to_index(v);
    if (cp < 0 || cp > 0x10FFFF) fail_runtime(PyClass::overflow, "%c arg not in range(0x110000)");
    append_cp(out, static_cast<char32_t>(cp));
    return out;
  }

  void integer(FormatSpec spec, Value v) {
    const bool decimal = spec.type == 'd' || spec.type == 'i' || spec.type == 'u';
    if (v.is(Kind::undefined)) fail_runtime(PyClass::undefined, "{}", v.undefined->message());
    if (v.is(Kind::real) && decimal) v = truncate(in_.heap(), v.real);
    if (!v.is_integral())
      type_error("%{} format: a real number is required, not {}", spec.type, type_name(v));
    const BigInt big = to_big(v);
    const int base = decimal ? 10 : spec.type == 'o' ? 8 : 16;
    std::string digits = base == 10 ? repr_integer(v) : big.digits(base);
    if (digits[0] == '-') digits.erase(0, 1);
    if (spec.type == 'X') digits = to_upper(digits);
    if (spec.precision > static_cast<int64_t>(digits.size())) {
      in_.heap().reserve(static_cast<size_t>(spec.precision));
      digits.insert(0, static_cast<size_t>(spec.precision) - digits.size(), '0');
    }
    const std::string_view prefix = !spec.alternate || decimal ? ""
                                    : spec.type == 'o'         ? "0o"
                                    : spec.type == 'x'         ? "0x"
                                                               : "0X";
    out_ += pad_number(in_.heap(), spec, big.negative(), prefix, std::move(digits));
  }

  Interpreter& in_;
  std::string_view text_;
  bool markup_;
  std::span<const Value> args_;
  const Value* mapping_;
  size_t used_ = 0;
  std::string out_;
};

// "…".format(args), as string.Formatter with the look-ups of the sandbox.
class Brace {
 public:
  Brace(Interpreter& in, bool markup, const Args& args, const Value* mapping)
      : in_(in), markup_(markup), args_(args), mapping_(mapping) {}

  std::string run(std::string_view text, int depth) {
    if (depth < 0) value_error("Max string recursion exceeded");
    std::string out;
    for (size_t i = 0; i < text.size();) {
      const char c = text[i];
      if (c != '{' && c != '}') {
        const size_t end = std::min(text.find_first_of("{}", i), text.size());
        out += text.substr(i, end - i);
        i = end;
      } else if (i + 1 < text.size() && text[i + 1] == c) {
        out += c;
        i += 2;
      } else if (c == '}') {
        value_error("Single '}}' encountered in format string");
      } else {
        field(text, i, depth, out);
      }
      in_.heap().step();
      in_.heap().reserve(out.size());
    }
    return out;
  }

 private:
  void field(std::string_view text, size_t& i, int depth, std::string& out) {
    const size_t begin = ++i;
    size_t end = begin, nested = 1;
    for (; end < text.size() && nested > 0; ++end)
      nested += text[end] == '{' ? 1 : text[end] == '}' ? size_t(-1) : 0;
    if (nested > 0) value_error("expected '}}' before end of string");
    const std::string_view inside = text.substr(begin, end - 1 - begin);
    i = end;
    // The name ends at the first ! or : outside of brackets.
    size_t k = 0;
    for (bool bracket = false; k < inside.size() && (bracket || (inside[k] != '!' && inside[k] != ':')); ++k)
      bracket = bracket ? inside[k] != ']' : inside[k] == '[';
    const std::string_view name = inside.substr(0, k);
    char conversion = 0;
    if (k < inside.size() && inside[k] == '!') {
      if (k + 1 >= inside.size()) value_error("unmatched '{{' in format spec");
      conversion = inside[k + 1];
      k += 2;
      if (k < inside.size() && inside[k] != ':') value_error("expected ':' after conversion specifier");
    }
    const std::string_view spec = k < inside.size() ? inside.substr(k + 1) : std::string_view();
    Value v = resolve(name);
    if (conversion == 's') {
      v = to_str(in_, v);
    } else if (conversion == 'r' || conversion == 'a') {
      const std::string shown = repr(in_, v);
      v = in_.heap().string(conversion == 'a' ? escape_non_ascii(shown) : shown);
    } else if (conversion != 0) {
      value_error("Unknown conversion specifier {}", conversion);
    }
    insert(v, run(spec, depth - 1), out);
  }

  void insert(const Value& v, const std::string& spec, std::string& out) {
    if (!markup_) {
      out += format_value(in_, v, spec);
    } else if (v.is_string() && v.str->markup) {
      if (!spec.empty()) value_error("Unsupported format specification for Markup.");
      out += v.text();
    } else {
      out += escape_text(format_value(in_, v, spec));
    }
  }

  Value resolve(std::string_view name) {
    const size_t end = std::min(name.find_first_of(".["), name.size());
    Value v = first(name.substr(0, end));
    for (size_t i = end; i < name.size();) {
      if (name[i] == '.') {
        const size_t stop = std::min(name.find_first_of(".[", i + 1), name.size());
        if (stop == i + 1) value_error("Empty attribute in format string");
        v = in_.attribute(v, name.substr(i + 1, stop - i - 1));
        i = stop;
      } else if (name[i] == '[') {
        const size_t stop = name.find(']', i);
        if (stop == std::string_view::npos) value_error("Missing ']' in format string");
        if (stop == i + 1) value_error("Empty attribute in format string");
        v = in_.item(v, key(name.substr(i + 1, stop - i - 1)));
        i = stop + 1;
      } else {
        value_error("Only '.' or '[' may follow ']' in format field specifier");
      }
    }
    return v;
  }

  Value key(std::string_view text) {
    const bool digits = std::all_of(text.begin(), text.end(), [](char c) { return c >= '0' && c <= '9'; });
    return digits ? in_.heap().integer(BigInt::parse(text)) : in_.heap().string(text);
  }

  Value first(std::string_view name) {
    const bool digits = std::all_of(name.begin(), name.end(), [](char c) { return c >= '0' && c <= '9'; });
    if (!digits) return by_name(name);
    size_t i = 0;
    if (name.empty()) {
      if (next_ < 0)
        value_error("cannot switch from manual field specification to automatic field numbering");
      i = static_cast<size_t>(next_++);
    } else {
      if (next_ > 0)
        value_error("cannot switch from automatic field numbering to manual field specification");
      next_ = -1;
      i = static_cast<size_t>(BigInt::parse(name).small().value_or(std::numeric_limits<int64_t>::max()));
    }
    if (i >= args_.positional.size())
      fail_runtime(PyClass::lookup, "Replacement index {} out of range for positional args tuple", i);
    return args_.positional[i];
  }

  Value by_name(std::string_view name) {
    if (mapping_ != nullptr && mapping_->is(Kind::dict)) {
      if (const Value* v = mapping_->dict->find(name)) return *v;
    }
    for (const Keyword& keyword : args_.keywords)
      if (keyword.name == name) return keyword.value;
    fail_runtime(PyClass::lookup, "'{}'", name);
  }

  Interpreter& in_;
  bool markup_;
  Args args_;
  const Value* mapping_;
  int64_t next_ = 0;  // automatic numbering; -1: manual
};

}  // namespace

Value percent_format(Interpreter& in, const Value& format, const Value& arg) {
  if (arg.is(Kind::tuple)) return Percent(in, format, arg.list->items, nullptr).run(false);
  const bool mapping =
      arg.is(Kind::dict) || arg.is(Kind::list) || arg.is(Kind::range) || arg.is(Kind::undefined);
  return Percent(in, format, {&arg, 1}, mapping ? &arg : nullptr).run(mapping);
}

Value percent_format(Interpreter& in, const Value& format, const Args& args) {
  if (!args.positional.empty() && !args.keywords.empty())
    type_error("can't handle positional and keyword arguments at the same time");
  if (args.keywords.empty()) return Percent(in, format, args.positional, nullptr).run(false);
  Dict* mapping = in.heap().dict();
  for (const Keyword& keyword : args.keywords)
    mapping->set(in.heap(), in.heap().string(keyword.name), keyword.value);
  return percent_format(in, format, Value::of(mapping));
}

Value brace_format(Interpreter& in, const Value& format, const Args& args) {
  return in.heap().string(Brace(in, format.str->markup, args, nullptr).run(format.text(), 2),
                          format.str->markup);
}

Value brace_format_map(Interpreter& in, const Value& format, const Value& mapping) {
  return in.heap().string(Brace(in, format.str->markup, {}, &mapping).run(format.text(), 2),
                          format.str->markup);
}

}  // namespace qw::text::jinja
