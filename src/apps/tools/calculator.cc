#include "apps/tools/calculator.h"

#include <cctype>
#include <cmath>
#include <optional>
#include <vector>

#include "apps/tools/rational.h"
#include "text/utf8.h"

namespace qw::tools {
namespace {

constexpr size_t kMaxBytes = 1000;
constexpr int kMaxDepth = 50;
constexpr int kMaxPlaces = 50;  // of round()

using Value = tl::expected<Rational, std::string>;

tl::unexpected<std::string> wrong(std::string text) {
  return tl::unexpected<std::string>(std::move(text));
}

Value checked(std::optional<Rational> value) {
  if (!value) return wrong("number too large");
  return *std::move(value);
}

bool within(int64_t n, int64_t limit) {
  return -limit <= n && n <= limit;
}

// Signs that people and models write, as ASCII; everything else stays.
std::string ascii(std::string_view text) {
  std::string out;
  const std::string valid = text::utf8_lossy(text);
  for (const char *p = valid.data(), *end = p + valid.size(); p < end;) {
    const char* begin = p;
    const char32_t c = text::utf8_next(p);
    if (c >= 0xFF01 && c <= 0xFF5E) {
      out.push_back(static_cast<char>(c - 0xFF01 + 0x21));  // full width
    } else if (c == 0x00D7 || c == 0x00B7 || c == 0x22C5 || c == 0x2217 || c == 0x2715) {
      out.push_back('*');
    } else if (c == 0x00F7 || c == 0x2215 || c == 0x2044) {
      out.push_back('/');
    } else if (c == 0x2212 || c == 0x2013 || c == 0x2014) {
      out.push_back('-');
    } else if (c == 0x00A0 || c == 0x2009 || c == 0x202F || c == 0x3000) {
      out.push_back(' ');
    } else if (c == 0x221A) {
      out += "sqrt";
    } else {
      out.append(begin, p);
    }
  }
  return out;
}

Value power(const Rational& base, const Rational& exponent) {
  if (base.zero() && exponent.negative()) return wrong("division by zero");
  if (!exponent.integer()) {
    if (base.negative()) return wrong("root of a negative number");
    const double value = std::pow(base.to_double(), exponent.to_double());
    if (!std::isfinite(value)) return wrong("number too large");
    // A half is exact where it can be.
    if (exponent.den().small() == 2 && exponent.num().small() == 1) return checked(base.square_root());
    return Rational::from_double(value);
  }
  const std::optional<int64_t> n = exponent.num().small();
  const size_t bits = std::max(base.num().bits(), base.den().bits());
  if (exponent.num().zero()) return Rational(1);
  if (bits <= 1) {  // 0, 1 and −1 have every power
    const bool odd = (exponent.num().limbs().front() & 1) != 0;
    return base.negative() && !odd ? -base : base;
  }
  // Bounded first: beyond that the product of the sizes could overflow.
  if (!n || !within(*n, Rational::kMaxBits) ||
      static_cast<uint64_t>(std::abs(*n)) * (bits - 1) > Rational::kMaxBits)
    return wrong("number too large");
  Rational out(1), square = base;
  for (int64_t left = std::abs(*n); left > 0; left /= 2) {
    if (left % 2 != 0) {
      const auto next = multiply(out, square);
      if (!next) return wrong("number too large");
      out = *next;
    }
    if (left == 1) break;
    const auto next = multiply(square, square);
    if (!next) return wrong("number too large");
    square = *next;
  }
  return *n < 0 ? checked(divide(Rational(1), out)) : Value(out);
}

Value modulo(const Rational& a, const Rational& b) {
  if (b.zero()) return wrong("division by zero");
  const auto ratio = divide(a, b);
  const auto whole = ratio ? Rational::make(ratio->floor(), BigInt(1)) : std::nullopt;
  const auto taken = whole ? multiply(*whole, b) : std::nullopt;
  return checked(taken ? add(a, -*taken) : std::nullopt);
}

Value call(const std::string& name, const std::vector<Rational>& args) {
  const auto needs = [&](const char* count) { return wrong(name + " needs " + count); };
  if (name == "sqrt") {
    if (args.size() != 1) return needs("one number");
    if (args[0].negative()) return wrong("root of a negative number");
    return checked(args[0].square_root());
  }
  if (name == "abs") return args.size() == 1 ? Value(args[0].abs()) : needs("one number");
  if (name == "round") {
    if (args.empty() || args.size() > 2) return needs("one or two numbers");
    const std::optional<int64_t> places = args.size() == 1    ? 0
                                          : args[1].integer() ? args[1].num().small()
                                                              : std::nullopt;
    if (!places || !within(*places, kMaxPlaces)) return wrong("round needs a small whole number of places");
    return checked(args[0].rounded(static_cast<int>(*places)));
  }
  if (name != "min" && name != "max") return wrong("unknown function " + name);
  if (args.empty()) return needs("numbers");
  Rational best = args[0];
  for (const Rational& a : args)
    if ((name == "min" ? compare(a, best) : compare(best, a)) < 0) best = a;
  return best;
}

// Recursive descent: sum → product → signed → power → postfix → primary.
class Parser {
 public:
  explicit Parser(std::string text) : text_(std::move(text)) {}

  Value parse() {
    skip_space();
    if (at_end()) return wrong("empty expression");
    Value value = sum();
    if (!value) return value;
    if (take('=')) skip_space();  // "12*7="
    if (!at_end()) return unexpected();
    return value;
  }

 private:
  bool at_end() const { return at_ >= text_.size(); }
  char peek() const { return at_end() ? '\0' : text_[at_]; }
  void skip_space() {
    while (!at_end() && std::isspace(static_cast<unsigned char>(text_[at_])) != 0) ++at_;
  }
  bool take(char c) {
    if (peek() != c) return false;
    ++at_;
    skip_space();
    return true;
  }
  Value unexpected() const {
    if (at_end()) return wrong("unexpected end");
    const char* p = text_.data() + at_;
    const char* begin = p;
    text::utf8_next(p);
    return wrong("unexpected '" + std::string(begin, p) + "'");
  }

  Value sum() {
    Value left = product();
    while (left && (peek() == '+' || peek() == '-')) {
      const bool minus = peek() == '-';
      take(peek());
      const Value right = product();
      if (!right) return right;
      left = checked(add(*left, minus ? -*right : *right));
    }
    return left;
  }

  Value product() {
    Value left = signed_power();
    while (left && (peek() == '*' || peek() == '/' || peek() == '%')) {
      const char op = peek();
      take(op);
      const Value right = signed_power();
      if (!right) return right;
      if (op != '*' && right->zero()) return wrong("division by zero");
      left = op == '*'   ? checked(multiply(*left, *right))
             : op == '/' ? checked(divide(*left, *right))
                         : modulo(*left, *right);
    }
    return left;
  }

  Value signed_power() {
    bool minus = false;
    while (peek() == '-' || peek() == '+') {
      minus = minus != (peek() == '-');
      take(peek());
    }
    const Value value = power_of();
    return value && minus ? Value(-*value) : value;
  }

  Value power_of() {
    const Value base = postfix();
    const bool stars = peek() == '*' && at_ + 1 < text_.size() && text_[at_ + 1] == '*';
    if (!base || (peek() != '^' && !stars)) return base;
    if (stars) take('*');
    take(peek());
    if (++depth_ > kMaxDepth) return wrong("too deeply nested");
    const Value exponent = signed_power();
    --depth_;
    return exponent ? power(*base, *exponent) : exponent;
  }

  // "15%", where nothing follows that the remainder could be of.
  Value postfix() {
    Value value = primary();
    while (value && peek() == '%' && !operand_at(at_ + 1)) {
      take('%');
      value = checked(divide(*value, Rational(100)));
    }
    return value;
  }
  bool operand_at(size_t i) const {
    while (i < text_.size() && text_[i] == ' ') ++i;
    return i < text_.size() &&
           (std::isalnum(static_cast<unsigned char>(text_[i])) != 0 || text_[i] == '(' || text_[i] == '.');
  }

  Value primary() {
    if (take('(')) {
      if (++depth_ > kMaxDepth) return wrong("too deeply nested");
      const int outside = std::exchange(in_call_, 0);
      const Value value = sum();
      in_call_ = outside;
      --depth_;
      if (!value) return value;
      return take(')') ? value : at_end() ? wrong("missing ')'") : unexpected();
    }
    if (std::isdigit(static_cast<unsigned char>(peek())) != 0 || peek() == '.') return number();
    if (std::isalpha(static_cast<unsigned char>(peek())) != 0) return function();
    return unexpected();
  }

  bool digit_at(size_t i) const {
    return i < text_.size() && std::isdigit(static_cast<unsigned char>(text_[i])) != 0;
  }

  // A comma with exactly three digits behind it parts thousands, but not among the arguments of a function.
  bool thousands_at(size_t i) const {
    return in_call_ == 0 && i < text_.size() && text_[i] == ',' && digit_at(i + 1) && digit_at(i + 2) &&
           digit_at(i + 3) && !digit_at(i + 4);
  }

  Value number() {
    std::string digits;
    bool point = false;
    for (; at_ < text_.size(); ++at_) {
      if (!point && !digits.empty() && thousands_at(at_)) continue;
      if (!digit_at(at_) && (point || text_[at_] != '.')) break;
      point = point || text_[at_] == '.';
      digits.push_back(text_[at_]);
    }
    if (digits == ".") return wrong("unexpected '.'");
    if (peek() == 'e' || peek() == 'E') {
      const size_t sign = at_ + 1 < text_.size() && (text_[at_ + 1] == '+' || text_[at_ + 1] == '-') ? 1 : 0;
      if (digit_at(at_ + 1 + sign)) {
        digits.append(text_, at_, 1 + sign);
        for (at_ += 1 + sign; digit_at(at_); ++at_) digits.push_back(text_[at_]);
      }
    }
    skip_space();
    return checked(Rational::parse(digits));
  }

  Value function() {
    std::string name;
    while (!at_end() && std::isalpha(static_cast<unsigned char>(peek())) != 0)
      name.push_back(static_cast<char>(std::tolower(static_cast<unsigned char>(text_[at_++]))));
    skip_space();
    if (!take('(')) return wrong("unknown name " + name);
    if (++depth_ > kMaxDepth) return wrong("too deeply nested");
    const int outside = std::exchange(in_call_, 1);
    std::vector<Rational> args;
    while (peek() != ')' || !args.empty()) {
      const Value value = sum();
      if (!value) return value;
      args.push_back(*value);
      if (!take(',')) break;
    }
    in_call_ = outside;
    --depth_;
    if (!take(')')) return at_end() ? wrong("missing ')'") : unexpected();
    return call(name, args);
  }

  std::string text_;
  size_t at_ = 0;
  int depth_ = 0;
  int in_call_ = 0;
};

}  // namespace

tl::expected<std::string, std::string> calculate(std::string_view expression) {
  if (expression.size() > kMaxBytes) return wrong("expression too long");
  const Value value = Parser(ascii(expression)).parse();
  if (!value) return wrong(value.error());
  return value->text();
}

}  // namespace qw::tools
