// json.dumps with the arguments that transformers' tojson passes on.
#include <algorithm>
#include <cmath>

#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"
#include "text/jinja/sort.h"
#include "text/jinja/unicode.h"

namespace qw::text::jinja {
namespace {

class Dumper {
 public:
  Dumper(Interpreter& in, const JsonStyle& style) : in_(in), style_(style) {}

  void dump(const Value& v) {
    in_.heap().step();
    in_.heap().reserve(out_.size());
    if (depth_ > kMaxValueDepth) fail_limit("values nested too deeply");
    switch (v.kind) {
      case Kind::string:
        text(v.text());
        break;
      case Kind::none:
      case Kind::boolean:
      case Kind::integer:
      case Kind::big_integer:
      case Kind::real:
        out_ += scalar(v);
        break;
      case Kind::list:
      case Kind::tuple:
        array(v.list->items);
        break;
      case Kind::dict:
        object(*v.dict);
        break;
      default:
        type_error("Object of type {} is not JSON serializable", type_name(v));
    }
  }
  std::string take() { return std::move(out_); }

 private:
  static std::string scalar(const Value& v) {
    if (v.is(Kind::none)) return "null";
    if (v.is(Kind::boolean)) return v.boolean ? "true" : "false";
    if (!v.is(Kind::real)) return repr_integer(v);
    if (std::isnan(v.real)) return "NaN";
    if (std::isinf(v.real)) return v.real > 0 ? "Infinity" : "-Infinity";
    return repr_real(v.real);
  }

  void newline() {
    if (!style_.pretty) return;
    out_ += '\n';
    in_.heap().reserve(style_.indent.size() * static_cast<size_t>(depth_) + out_.size());
    for (int i = 0; i < depth_; ++i) out_ += style_.indent;
  }

  void array(const ValueVector& items) {
    if (items.empty()) {
      out_ += "[]";
      return;
    }
    out_ += '[';
    ++depth_;
    for (size_t i = 0; i < items.size(); ++i) {
      if (i > 0) out_ += style_.item_separator;
      newline();
      dump(items[i]);
    }
    --depth_;
    newline();
    out_ += ']';
  }

  void object(const Dict& dict) {
    if (dict.items.empty()) {
      out_ += "{}";
      return;
    }
    std::vector<std::pair<Value, Value>> items(dict.items.begin(), dict.items.end());
    if (style_.sort_keys)
      stable_sort(items, [&](const auto& a, const auto& b) {
        return a.first.kind == b.first.kind && equal(in_.heap(), a.first, b.first)
                   ? false
                   : ordered(in_.heap(), a.first, b.first, Order::lt);
      });
    out_ += '{';
    ++depth_;
    bool first = true;
    for (const auto& [key, value] : items) {
      if (!std::exchange(first, false)) out_ += style_.item_separator;
      newline();
      text(key.is_string() ? std::string(key.text()) : key_text(key));
      out_ += style_.key_separator;
      dump(value);
    }
    --depth_;
    newline();
    out_ += '}';
  }

  static std::string key_text(const Value& key) {
    if (!key.is(Kind::none) && !key.is_number())
      type_error("keys must be str, int, float, bool or None, not {}", type_name(key));
    return scalar(key);
  }

  void text(std::string_view s) {
    in_.heap().touch(s.size());
    out_ += '"';
    size_t plain = 0;  // begin of what can be copied as it is
    for (size_t i = 0; i < s.size();) {
      const auto c = static_cast<unsigned char>(s[i]);
      const bool special = c < 0x20 || c == '"' || c == '\\' || (style_.ensure_ascii && c >= 0x7F);
      if (!special) {
        ++i;
        continue;
      }
      out_ += s.substr(plain, i - plain);
      escaped(next_cp(s, i));
      plain = i;
    }
    out_ += s.substr(plain);
    out_ += '"';
  }

  void escaped(char32_t cp) {
    static constexpr std::string_view kFrom = "\"\\\n\r\t\b\f", kTo = "\"\\nrtbf";
    const size_t k = cp < 0x80 ? kFrom.find(static_cast<char>(cp)) : kFrom.npos;
    if (k != kFrom.npos) {
      out_ += '\\';
      out_ += kTo[k];
    } else if (cp >= 0x10000) {
      const uint32_t rest = static_cast<uint32_t>(cp) - 0x10000;
      out_ += fmt::format("\\u{:04x}\\u{:04x}", 0xD800 + (rest >> 10), 0xDC00 + (rest & 0x3FF));
    } else {
      out_ += fmt::format("\\u{:04x}", static_cast<uint32_t>(cp));
    }
  }

  Interpreter& in_;
  const JsonStyle& style_;
  std::string out_;
  int depth_ = 0;
};

}  // namespace

std::string dump_json(Interpreter& in, const Value& v, const JsonStyle& style) {
  Dumper dumper(in, style);
  dumper.dump(v);
  return dumper.take();
}

}  // namespace qw::text::jinja
