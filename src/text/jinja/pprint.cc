// pprint.pformat: lines of at most 80 columns, dicts sorted by key. Spec: Python's pprint.
#include <algorithm>

#include "text/jinja/interpreter.h"
#include "text/jinja/print.h"
#include "text/jinja/sort.h"
#include "text/jinja/strings.h"
#include "text/jinja/unicode.h"

namespace qw::text::jinja {
namespace {

constexpr int64_t kWidth = 80;

int64_t width_of(std::string_view text) {
  return static_cast<int64_t>(count_cps(text));
}

std::string in_quotes(std::string_view text) {
  std::string out;
  append_repr(out, text);
  return out;
}

class Pretty {
 public:
  explicit Pretty(Interpreter& in) : in_(in) {}

  void format(const Value& v, int64_t indent, int64_t allowance, int level) {
    in_.heap().step();
    if (level > kMaxValueDepth) fail_limit("values nested too deeply");
    const Value shown = with_sorted_dicts(v, 0);
    const std::string plain = repr(in_, shown);
    if (width_of(plain) <= kWidth - indent - allowance) {
      write(plain);
      return;
    }
    if (v.is(Kind::dict)) {
      dict(*shown.dict, indent, allowance, level + 1);
    } else if (v.is_sequence() && !v.list->group) {
      sequence(v, indent, allowance, level + 1);
    } else if (v.is_string() && !v.str->markup) {
      string(v.text(), indent, allowance, level + 1);
    } else {
      write(plain);
    }
  }
  std::string take() { return std::move(out_); }

 private:
  void write(std::string_view text) {
    in_.heap().touch(text.size());
    out_ += text;
    in_.heap().reserve(out_.size());
  }

  bool before(const Value& a, const Value& b) {
    try {
      return ordered(in_.heap(), a, b, Order::lt);
    } catch (const Failure& failure) {
      if (failure.py != PyClass::type) throw;
      return type_name(a) < type_name(b);
    }
  }

  Value with_sorted_dicts(const Value& v, int depth) {
    if (depth > kMaxValueDepth) fail_limit("values nested too deeply");
    in_.heap().step();
    if (v.is_sequence()) {
      List* out = in_.heap().list();
      for (const Value& item : v.list->items) out->items.push_back(with_sorted_dicts(item, depth + 1));
      return Value::of(out, v.kind);
    }
    if (!v.is(Kind::dict)) return v;
    std::vector<std::pair<Value, Value>> items(v.dict->items.begin(), v.dict->items.end());
    stable_sort(items, [&](const auto& a, const auto& b) { return before(a.first, b.first); });
    Dict* out = in_.heap().dict();
    for (const auto& [key, value] : items) out->set(in_.heap(), key, with_sorted_dicts(value, depth + 1));
    return Value::of(out);
  }

  void next_line(int64_t indent) {
    write("\n");
    write(std::string(static_cast<size_t>(indent), ' '));
  }

  void dict(const Dict& dict, int64_t indent, int64_t allowance, int level) {
    write("{");
    for (size_t i = 0; i < dict.items.size(); ++i) {
      const bool last = i + 1 == dict.items.size();
      const std::string key = repr(in_, dict.items[i].first);
      write(key + ": ");
      format(dict.items[i].second, indent + 1 + width_of(key) + 2, last ? allowance + 1 : 1, level);
      if (last) break;
      write(",");
      next_line(indent + 1);
    }
    write("}");
  }

  void sequence(const Value& v, int64_t indent, int64_t allowance, int level) {
    const bool tuple = v.is(Kind::tuple);
    const ValueVector& items = v.list->items;
    const std::string_view end = !tuple ? "]" : items.size() == 1 ? ",)" : ")";
    write(tuple ? "(" : "[");
    for (size_t i = 0; i < items.size(); ++i) {
      const bool last = i + 1 == items.size();
      format(items[i], indent + 1, last ? allowance + static_cast<int64_t>(end.size()) : 1, level);
      if (last) break;
      write(",");
      next_line(indent + 1);
    }
    write(end);
  }

  // Pieces of words with the blanks behind them.
  static std::vector<std::string_view> pieces(std::string_view line) {
    std::vector<std::string_view> out;
    for (size_t i = 0; i < line.size();) {
      const size_t begin = i;
      bool blanks = false;
      while (i < line.size()) {
        size_t next = i;
        const bool space = has(next_cp(line, next), kSpace);
        if (blanks && !space) break;
        blanks = space;
        i = next;
      }
      out.push_back(line.substr(begin, i - begin));
    }
    return out;
  }

  static void break_line(std::string_view line, int64_t width, int64_t last_width,
                         std::vector<std::string>& chunks) {
    std::string current;
    const auto parts = pieces(line);
    for (size_t j = 0; j < parts.size(); ++j) {
      const std::string candidate = current + std::string(parts[j]);
      if (width_of(in_quotes(candidate)) > (j + 1 == parts.size() ? last_width : width)) {
        if (!current.empty()) chunks.push_back(in_quotes(current));
        current = parts[j];
      } else {
        current = candidate;
      }
    }
    if (!current.empty()) chunks.push_back(in_quotes(current));
  }

  void string(std::string_view text, int64_t indent, int64_t allowance, int level) {
    const bool outer = level == 1;
    if (outer) ++indent, ++allowance;
    const auto lines = split_lines(text, true);
    const int64_t width = kWidth - indent;
    std::vector<std::string> chunks;
    for (size_t i = 0; i < lines.size(); ++i) {
      const int64_t room = i + 1 == lines.size() ? width - allowance : width;
      in_.heap().touch(lines[i].size() * 16);
      const std::string whole = in_quotes(lines[i]);
      if (width_of(whole) <= room) {
        chunks.push_back(whole);
      } else {
        break_line(lines[i], width, room, chunks);
      }
    }
    if (chunks.size() == 1) {
      write(in_quotes(lines.back()));
      return;
    }
    if (outer) write("(");
    for (size_t i = 0; i < chunks.size(); ++i) {
      if (i > 0) next_line(indent);
      write(chunks[i]);
    }
    if (outer) write(")");
  }

  Interpreter& in_;
  std::string out_;
};

}  // namespace

std::string pretty(Interpreter& in, const Value& v) {
  Pretty printer(in);
  printer.format(v, 0, 0, 0);
  return printer.take();
}

}  // namespace qw::text::jinja
