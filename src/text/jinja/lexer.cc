#include "text/jinja/lexer.h"

#include <array>
#include <charconv>
#include <cmath>

#include "text/jinja/unicode.h"

namespace qw::text::jinja {
namespace {

constexpr size_t kMaxLiteralDigits = 4300;

struct Operator {
  std::string_view text;
  Tok kind;
};
constexpr std::array<Operator, 26> kOperators = {{
    {"//", Tok::floordiv}, {"**", Tok::pow},   {"==", Tok::eq},      {"!=", Tok::ne},      {">=", Tok::gteq},
    {"<=", Tok::lteq},     {"+", Tok::add},    {"-", Tok::sub},      {"/", Tok::div},      {"*", Tok::mul},
    {"%", Tok::mod},       {"~", Tok::tilde},  {"[", Tok::lbracket}, {"]", Tok::rbracket}, {"(", Tok::lparen},
    {")", Tok::rparen},    {"{", Tok::lbrace}, {"}", Tok::rbrace},   {">", Tok::gt},       {"<", Tok::lt},
    {"=", Tok::assign},    {".", Tok::dot},    {":", Tok::colon},    {"|", Tok::pipe},     {",", Tok::comma},
    {";", Tok::semicolon},
}};

size_t rstrip(std::string_view s) {
  size_t end = s.size();
  while (end > 0) {
    size_t at = end;
    if (!has(prev_cp(s, at), kSpace)) break;
    end = at;
  }
  return end;
}

bool hex(char c) {
  return (c >= '0' && c <= '9') || ((c | 32) >= 'a' && (c | 32) <= 'f');
}
bool digit(char c) {
  return c >= '0' && c <= '9';
}

class Lexer {
 public:
  Lexer(std::string_view source, Heap& heap) : s_(source), heap_(heap) {}

  std::vector<Token> run() {
    while (root()) {
    }
    push(Tok::eof, s_.size(), s_.size());
    return std::move(out_);
  }

 private:
  char at(size_t i) const { return i < s_.size() ? s_[i] : '\0'; }
  bool starts(size_t i, std::string_view what) const {
    return s_.substr(std::min(i, s_.size())).starts_with(what);
  }
  void push(Tok kind, size_t begin, size_t end, Value value = {}) {
    out_.push_back({kind, begin, s_.substr(begin, end - begin), value});
  }
  size_t skip_space(size_t i) const {
    while (i < s_.size()) {
      size_t next = i;
      if (!has(next_cp(s_, next), kSpace)) break;
      i = next;
    }
    return i;
  }

  // Text up to the next tag, and that tag. False at the end of the source.
  bool root() {
    size_t open = pos_;
    while (open < s_.size()) {
      open = s_.find('{', open);
      if (open == std::string_view::npos || at(open + 1) == '%' || at(open + 1) == '{' || at(open + 1) == '#')
        break;
      ++open;
    }
    if (open >= s_.size()) {
      if (pos_ < s_.size()) push(Tok::data, pos_, s_.size());
      return false;
    }
    const char type = at(open + 1);
    const char sign = at(open + 2) == '-' || at(open + 2) == '+' ? at(open + 2) : '\0';
    push_data(pos_, open, sign, type != '{');
    const size_t inside = open + 2 + (sign != '\0');
    if (const size_t raw = type == '%' ? raw_begin(inside) : 0; raw != 0) {
      lex_raw(open, raw);
    } else if (type == '#') {
      lex_comment(open, inside);
    } else {
      push(type == '%' ? Tok::block_begin : Tok::variable_begin, open, inside);
      pos_ = inside;
      lex_tag(type == '%');
    }
    return pos_ < s_.size();
  }

  // Template text before a tag with that sign. Tags other than {{ swallow the blanks that stand before them
  // on their line.
  void push_data(size_t begin, size_t end, char sign, bool lstrip) {
    const std::string_view text = s_.substr(begin, end - begin);
    if (sign == '-') {
      end = begin + rstrip(text);
    } else if (sign != '+' && lstrip) {
      const size_t newline = text.rfind('\n');
      const size_t line = newline == std::string_view::npos ? 0 : newline + 1;
      if ((line > 0 || line_starting_) && skip_space(begin + line) >= end) end = begin + line;
    }
    if (end > begin) push(Tok::data, begin, end);
  }

  // Where the text of a raw block begins if the tag whose inside starts here is `raw %}`, else 0.
  size_t raw_begin(size_t i) const {
    i = skip_space(i);
    if (!starts(i, "raw")) return 0;
    i = skip_space(i + 3);
    if (starts(i, "-%}")) return skip_space(i + 3);
    return starts(i, "%}") ? i + 2 : 0;
  }

  // The end of a block or comment tag at i: "+%}", "-%}" and the blanks behind it, "%}" and one newline. 0:
  // none here.
  size_t tag_end(size_t i, std::string_view close) const {
    if (at(i) == '+' && starts(i + 1, close)) return i + 1 + close.size();
    if (at(i) == '-' && starts(i + 1, close)) return skip_space(i + 1 + close.size());
    if (!starts(i, close)) return 0;
    i += close.size();
    return at(i) == '\n' ? i + 1 : i;
  }

  void advance(size_t end) {
    pos_ = end;
    line_starting_ = s_[end - 1] == '\n';
  }

  void lex_raw(size_t open, size_t begin) {
    line_starting_ = s_[begin - 1] == '\n';
    for (size_t i = s_.find("{%", begin); i != std::string_view::npos; i = s_.find("{%", i + 1)) {
      const char sign = at(i + 2) == '-' || at(i + 2) == '+' ? at(i + 2) : '\0';
      size_t k = skip_space(i + 2 + (sign != '\0'));
      if (!starts(k, "endraw")) continue;
      const size_t end = tag_end(skip_space(k + 6), "%}");
      if (end == 0) continue;
      push_data(begin, i, sign, true);
      advance(end);
      return;
    }
    if (begin < s_.size()) fail_syntax(open, "Missing end of raw directive");
    pos_ = begin;
  }

  void lex_comment(size_t open, size_t inside) {
    if (const size_t i = s_.find("#}", inside); i != std::string_view::npos) {
      const bool sign = i > inside && (s_[i - 1] == '-' || s_[i - 1] == '+');
      advance(tag_end(i - sign, "#}"));
      return;
    }
    if (inside < s_.size()) fail_syntax(open, "Missing end of comment tag");
    pos_ = inside;
  }

  void lex_tag(bool block) {
    std::string balance;
    while (true) {
      pos_ = skip_space(pos_);
      if (pos_ >= s_.size()) return;
      if (balance.empty() && lex_end(block)) return;
      if (lex_number() || lex_name() || lex_string()) continue;
      lex_operator(balance);
    }
  }

  bool lex_end(bool block) {
    const size_t begin = pos_;
    size_t end = 0;
    if (block) {
      end = tag_end(begin, "%}");
    } else if (starts(begin, "-}}")) {
      end = skip_space(begin + 3);
    } else if (starts(begin, "}}")) {
      end = begin + 2;
    }
    if (end == 0) return false;
    push(block ? Tok::block_end : Tok::variable_end, begin, end);
    advance(end);
    return true;
  }

  // (\d+_)*\d+ from i: the end, or i where there is none.
  size_t digits_from(size_t i) const {
    size_t end = i;
    while (digit(at(end)) || (at(end) == '_' && end > i && digit(at(end - 1)) && digit(at(end + 1)))) ++end;
    return end;
  }

  bool lex_number() {
    if (!digit(at(pos_))) return false;
    const size_t whole = digits_from(pos_);
    const bool after_dot = pos_ > 0 && s_[pos_ - 1] == '.';
    size_t end = whole;
    if (at(whole) == '.' && digit(at(whole + 1))) end = digits_from(whole + 1);
    if ((at(end) | 32) == 'e') {
      const size_t exponent = end + 1 + (at(end + 1) == '+' || at(end + 1) == '-');
      if (digit(at(exponent))) end = digits_from(exponent);
    }
    if (end > whole && !after_dot) {
      push_real(end);
    } else {
      push_integer();
    }
    return true;
  }

  std::string without_underscores(size_t begin, size_t end) const {
    std::string out;
    for (size_t i = begin; i < end; ++i)
      if (s_[i] != '_') out += s_[i];
    return out;
  }

  void push_real(size_t end) {
    const std::string text = without_underscores(pos_, end);
    double v = 0;
    const auto parsed = std::from_chars(text.data(), text.data() + text.size(), v);
    if (parsed.ec == std::errc::result_out_of_range) {
      const size_t e = text.find_first_of("eE");
      v = e != std::string::npos && text[e + 1] == '-' ? 0.0 : HUGE_VAL;
    }
    push(Tok::real, pos_, end, Value::of(v));
    pos_ = end;
  }

  // 0b 0o 0x forms, a decimal that does not begin with 0, or zeros.
  void push_integer() {
    int base = 10;
    size_t begin = pos_, end = pos_;
    const char prefix = static_cast<char>(at(pos_ + 1) | 32);
    const auto run = [&](auto ok) {
      size_t i = begin;
      while (ok(at(i)) || (at(i) == '_' && ok(at(i + 1)))) ++i;
      return i;
    };
    if (at(pos_) == '0' && (prefix == 'b' || prefix == 'o' || prefix == 'x')) {
      begin = pos_ + 2;
      base = prefix == 'b' ? 2 : prefix == 'o' ? 8 : 16;
      end = prefix == 'x' ? run(hex) : run([&](char c) { return c >= '0' && c < '0' + base; });
      if (end == begin) end = begin = pos_;
    }
    if (end == pos_) {
      base = 10;
      begin = pos_;
      end = at(pos_) == '0' ? run([](char c) { return c == '0'; }) : digits_from(pos_);
    }
    const std::string text = without_underscores(begin, end);
    if (text.size() > kMaxLiteralDigits) fail_syntax(pos_, "integer literal too long");
    push(Tok::integer, pos_, end, heap_.integer(BigInt::parse(text, base)));
    pos_ = end;
  }

  bool lex_name() {
    size_t end = pos_;
    while (end < s_.size()) {
      size_t next = end;
      const char32_t cp = next_cp(s_, next);
      if (cp != '_' && !has(cp, kAlnum | kIdContinue)) break;
      end = next;
    }
    if (end == pos_) return false;
    size_t i = pos_;
    bool valid = has(next_cp(s_, i), kIdStart);
    while (valid && i < end) valid = has(next_cp(s_, i), kIdContinue);
    if (!valid) fail_syntax(pos_, "Invalid character in identifier");
    push(Tok::name, pos_, end);
    pos_ = end;
    return true;
  }

  bool lex_string() {
    const char quote = at(pos_);
    if (quote != '\'' && quote != '"') return false;
    size_t end = pos_ + 1;
    while (end < s_.size() && s_[end] != quote) end += s_[end] == '\\' ? 2 : 1;
    if (end >= s_.size()) fail_syntax(pos_, "unexpected char {}", quote == '"' ? "'\"'" : "\"'\"");
    const std::string text = unescape(pos_ + 1, end);
    push(Tok::string, pos_, end + 1, heap_.string(text));
    pos_ = end + 1;
    return true;
  }

  // Python's unicode-escape of the text in which everything beyond ASCII had been escaped first.
  std::string unescape(size_t begin, size_t end) const {
    std::string out;
    for (size_t i = begin; i < end;) {
      if (s_[i] != '\\') {
        out += s_[i++];
        continue;
      }
      ++i;
      escape(i, end, out);
    }
    return out;
  }

  // One escape, whose backslash stands before i.
  void escape(size_t& i, size_t end, std::string& out) const {
    static constexpr std::string_view kFrom = "\\'\"abfnrtv", kTo = "\\'\"\a\b\f\n\r\t\v";
    const char c = s_[i];
    if (const size_t k = kFrom.find(c); k != std::string_view::npos) {
      out += kTo[k];
      ++i;
    } else if (c == '\n') {
      ++i;
    } else if (c >= '0' && c <= '7') {
      char32_t cp = 0;
      for (size_t n = 0; n < 3 && i < end && s_[i] >= '0' && s_[i] <= '7'; ++n)
        cp = cp * 8 + static_cast<char32_t>(s_[i++] - '0');
      append_cp(out, cp);
    } else if (c == 'x' || c == 'u' || c == 'U') {
      escape_hex(i, end, c == 'x' ? 2 : c == 'u' ? 4 : 8, out);
    } else if (c == 'N') {
      fail_syntax(i - 1, "\\N escapes are not supported: write the character itself");
    } else {
      out += '\\';
      const char32_t cp = next_cp(s_, i);
      if (cp < 0x80) {
        out += static_cast<char>(cp);
      } else {
        const auto v = static_cast<uint32_t>(cp);
        out += v < 0x100     ? fmt::format("x{:02x}", v)
               : v < 0x10000 ? fmt::format("u{:04x}", v)
                             : fmt::format("U{:08x}", v);
      }
    }
  }

  void escape_hex(size_t& i, size_t end, size_t n, std::string& out) const {
    const size_t begin = i + 1;
    size_t k = begin;
    while (k < end && k < begin + n && hex(s_[k])) ++k;
    uint32_t cp = 0;
    if (k == begin + n) std::from_chars(s_.data() + begin, s_.data() + k, cp, 16);
    if (k != begin + n || cp > 0x10FFFF) fail_syntax(i - 1, "truncated or illegal \\{} escape", s_[i]);
    append_cp(out, cp);
    i = k;
  }

  void lex_operator(std::string& balance) {
    for (const auto& [text, kind] : kOperators) {
      if (!starts(pos_, text)) continue;
      const char c = text[0];
      if (c == '(' || c == '[' || c == '{') balance += c == '(' ? ')' : c == '[' ? ']' : '}';
      if (c == ')' || c == ']' || c == '}') {
        if (balance.empty()) fail_syntax(pos_, "unexpected '{}'", c);
        if (balance.back() != c) fail_syntax(pos_, "unexpected '{}', expected '{}'", c, balance.back());
        balance.pop_back();
      }
      push(kind, pos_, pos_ + text.size());
      pos_ += text.size();
      return;
    }
    size_t end = pos_;
    next_cp(s_, end);
    fail_syntax(pos_, "unexpected char '{}'", s_.substr(pos_, end - pos_));
  }

  std::string_view s_;
  Heap& heap_;
  size_t pos_ = 0;
  bool line_starting_ = true;
  std::vector<Token> out_;
};

}  // namespace

std::string_view describe(Tok kind) {
  for (const auto& [text, k] : kOperators)
    if (k == kind) return text;
  switch (kind) {
    case Tok::eof:
      return "end of template";
    case Tok::data:
      return "template data / text";
    case Tok::variable_begin:
      return "begin of print statement";
    case Tok::variable_end:
      return "end of print statement";
    case Tok::block_begin:
      return "begin of statement block";
    case Tok::block_end:
      return "end of statement block";
    case Tok::name:
      return "name";
    case Tok::string:
      return "string";
    case Tok::integer:
      return "integer";
    default:
      return "float";
  }
}

std::string describe(const Token& token) {
  return std::string(token.kind == Tok::name ? token.text : describe(token.kind));
}

std::string normalize_source(std::string_view source) {
  std::string out;
  out.reserve(source.size());
  for (size_t i = 0; i < source.size(); ++i) {
    if (source[i] != '\r') {
      out += source[i];
    } else {
      out += '\n';
      if (i + 1 < source.size() && source[i + 1] == '\n') ++i;
    }
  }
  if (!out.empty() && out.back() == '\n') out.pop_back();
  return out;
}

std::vector<Token> tokenize(std::string_view source, Heap& heap) {
  return Lexer(source, heap).run();
}

}  // namespace qw::text::jinja
