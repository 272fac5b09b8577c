#include "text/jinja/print.h"

#include <charconv>
#include <cmath>

#include "text/jinja/interpreter.h"
#include "text/jinja/unicode.h"

namespace qw::text::jinja {
namespace {

constexpr size_t kMaxIntegerDigits = 4300;  // sys.get_int_max_str_digits()

class Printer {
 public:
  // `in` null: for messages, one level deep, objects by their type.
  explicit Printer(Interpreter* in) : in_(in) {}

  void print(const Value& v) {
    if (in_ != nullptr) {
      in_->heap().step();
      in_->heap().reserve(out_.size());
    }
    if (++depth_ > kMaxValueDepth) fail_limit("values nested too deeply");
    print_one(v);
    --depth_;
  }
  std::string take() { return std::move(out_); }

 private:
  void print_one(const Value& v) {
    switch (v.kind) {
      case Kind::none:
        out_ += "None";
        break;
      case Kind::boolean:
        out_ += v.boolean ? "True" : "False";
        break;
      case Kind::integer:
      case Kind::big_integer:
        out_ += repr_integer(v);
        break;
      case Kind::real:
        out_ += repr_real(v.real);
        break;
      case Kind::string:
        if (in_ != nullptr) in_->heap().touch(v.text().size());
        if (v.str->markup) out_ += "Markup(";
        append_repr(out_, v.text());
        if (v.str->markup) out_ += ")";
        break;
      case Kind::missing:
      case Kind::undefined:
        out_ += "Undefined";
        break;
      default:
        print_compound(v);
    }
  }

  void print_compound(const Value& v) {
    if (in_ == nullptr) {
      out_ += fmt::format("<{} object>", type_name(v));
      return;
    }
    switch (v.kind) {
      case Kind::list:
        print_items(v.list->items, '[', ']');
        break;
      case Kind::tuple:
        print_items(v.list->items, '(', v.list->items.size() == 1 ? ',' : ')');
        if (v.list->items.size() == 1) out_ += ')';
        break;
      case Kind::dict:
        print_dict(*v.dict);
        break;
      case Kind::dict_view:
        print_view(*v.view);
        break;
      case Kind::range:
        out_ += fmt::format("range({}, {}", v.range->start, v.range->stop);
        out_ += v.range->step == 1 ? ")" : fmt::format(", {})", v.range->step);
        break;
      case Kind::name_space:
        out_ += "<Namespace ";
        print_dict(v.name_space->attributes);
        out_ += ">";
        break;
      case Kind::object:
        out_ += v.object->repr(*in_);
        break;
      default:
        out_ += fmt::format("<{} object>", type_name(v));
    }
  }

  void print_items(const ValueVector& items, char open, char close) {
    out_ += open;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += ", ";
      print(items[i]);
    }
    out_ += close;
  }

  void print_dict(const Dict& dict) {
    out_ += '{';
    for (size_t i = 0; i < dict.items.size(); ++i) {
      if (i > 0) out_ += ", ";
      print(dict.items[i].first);
      out_ += ": ";
      print(dict.items[i].second);
    }
    out_ += '}';
  }

  void print_view(const DictView& view) {
    const bool items = view.what == DictView::What::items;
    out_ += items ? "dict_items([" : view.what == DictView::What::keys ? "dict_keys([" : "dict_values([";
    bool first = true;
    for (const auto& [key, value] : view.dict->items) {
      if (!first) out_ += ", ";
      first = false;
      if (items) out_ += '(';
      if (view.what != DictView::What::values) print(key);
      if (items) out_ += ", ";
      if (view.what != DictView::What::keys) print(value);
      if (items) out_ += ')';
    }
    out_ += "])";
  }

  Interpreter* in_;
  std::string out_;
  int depth_ = 0;
};

void append_escape(std::string& out, char32_t cp) {
  const auto v = static_cast<uint32_t>(cp);
  out += v < 0x100     ? fmt::format("\\x{:02x}", v)
         : v < 0x10000 ? fmt::format("\\u{:04x}", v)
                       : fmt::format("\\U{:08x}", v);
}

}  // namespace

std::string repr_real(double v) {
  if (std::isnan(v)) return "nan";
  if (std::isinf(v)) return v > 0 ? "inf" : "-inf";
  char buffer[40];
  // Shortest digits with an exponent: d[.ddd]e±xx
  const auto end = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::scientific).ptr;
  const std::string_view text(buffer, static_cast<size_t>(end - buffer));
  const size_t e = text.find('e');
  int exponent = 0;
  std::from_chars(text.data() + e + (text[e + 1] == '+' ? 2 : 1), end, exponent);
  if (exponent < -4 || exponent >= 16) return std::string(text);
  const auto fixed = std::to_chars(buffer, buffer + sizeof buffer, v, std::chars_format::fixed).ptr;
  std::string out(buffer, fixed);
  if (out.find('.') == std::string::npos) out += ".0";
  return out;
}

std::string repr_integer(const Value& v) {
  if (v.is(Kind::integer)) return fmt::format_int(v.integer).str();
  if (v.is(Kind::boolean)) return v.boolean ? "1" : "0";
  std::string out = to_big(v).digits();
  if (out.size() - (out[0] == '-') > kMaxIntegerDigits)
    value_error("Exceeds the limit ({} digits) for integer string conversion", kMaxIntegerDigits);
  return out;
}

void append_repr(std::string& out, std::string_view text) {
  const bool doubled = text.find('\'') != std::string_view::npos && text.find('"') == std::string_view::npos;
  const char quote = doubled ? '"' : '\'';
  out += quote;
  for (size_t i = 0; i < text.size();) {
    const size_t at = i;
    const char32_t cp = next_cp(text, i);
    if (cp == static_cast<char32_t>(quote) || cp == '\\') {
      out += '\\';
      out += static_cast<char>(cp);
    } else if (cp == '\n') {
      out += "\\n";
    } else if (cp == '\r') {
      out += "\\r";
    } else if (cp == '\t') {
      out += "\\t";
    } else if (has(cp, kPrintable)) {
      out += text.substr(at, i - at);
    } else {
      append_escape(out, cp);
    }
  }
  out += quote;
}

std::string escape_non_ascii(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    const char32_t cp = next_cp(text, i);
    if (cp < 0x80) {
      out += static_cast<char>(cp);
    } else {
      append_escape(out, cp);
    }
  }
  return out;
}

std::string repr(const Value& v) {
  Printer printer(nullptr);
  printer.print(v);
  return printer.take();
}

std::string repr(Interpreter& in, const Value& v) {
  Printer printer(&in);
  printer.print(v);
  return printer.take();
}

std::string str(Interpreter& in, const Value& v) {
  if (v.is_string()) return std::string(v.text());
  if (v.is(Kind::undefined)) return "";
  return repr(in, v);
}

Value to_str(Interpreter& in, const Value& v) {
  if (v.is_string()) return v.str->markup ? in.heap().string_view(v.text(), v.str->n_chars, false) : v;
  return in.heap().string(str(in, v));
}

Value to_soft_str(Interpreter& in, const Value& v) {
  return v.is_string() ? v : in.heap().string(str(in, v));
}

}  // namespace qw::text::jinja
