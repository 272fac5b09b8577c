#include "io/hf/pattern.h"

#include <cctype>
#include <optional>
#include <utility>

namespace qw {
namespace {

constexpr size_t kMaxLength = 4096;
constexpr int kMaxDepth = 100;

using Bytes = std::bitset<256>;

Bytes of(bool (*holds)(int c)) {
  Bytes b;
  for (int c = 0; c < 128; ++c) b[static_cast<size_t>(c)] = holds(c);
  return b;
}

// The class that a letter after "\" names; none for a letter that has another meaning, or none.
std::optional<Bytes> escaped(char c) {
  switch (c) {
    case 'd':
      return of([](int x) { return std::isdigit(x) != 0; });
    case 'D':
      return ~of([](int x) { return std::isdigit(x) != 0; });
    case 'w':
      return of([](int x) { return std::isalnum(x) != 0 || x == '_'; });
    case 'W':
      return ~of([](int x) { return std::isalnum(x) != 0 || x == '_'; });
    case 's':
      return of([](int x) { return std::isspace(x) != 0; });
    case 'S':
      return ~of([](int x) { return std::isspace(x) != 0; });
    default:
      if (std::isalnum(static_cast<unsigned char>(c)) != 0) return std::nullopt;
      Bytes b;
      b.set(static_cast<unsigned char>(c));
      return b;
  }
}

}  // namespace

// Recursive descent; a piece of the machine is its first state and one state whose `next` is still open.
class Pattern::Parser {
 public:
  Parser(std::string_view text, std::vector<State>& states) : text_(text), states_(states) {}

  std::optional<int> parse() {
    const std::optional<Piece> all = alternatives(0);
    if (!all || at_ < text_.size()) return std::nullopt;
    states_[static_cast<size_t>(all->last)].next = add({});
    return all->first;
  }
  size_t offset() const { return at_; }

 private:
  struct Piece {
    int first, last;
  };

  bool is(char c) const { return at_ < text_.size() && text_[at_] == c; }
  int add(State s) {
    states_.push_back(s);
    return static_cast<int>(states_.size()) - 1;
  }
  State& at(int i) { return states_[static_cast<size_t>(i)]; }
  // A state that only leads on.
  int pass() { return add({.kind = State::split}); }
  Piece one(State s) {
    const int i = add(s);
    return {i, i};
  }

  std::optional<Piece> alternatives(int depth) {
    std::optional<Piece> left = sequence(depth);
    while (left && is('|')) {
      ++at_;
      const std::optional<Piece> right = sequence(depth);
      if (!right) return std::nullopt;
      const int first = add({.kind = State::split, .next = left->first, .other = right->first});
      const int last = pass();
      at(left->last).next = last;
      at(right->last).next = last;
      left = Piece{first, last};
    }
    return left;
  }

  std::optional<Piece> sequence(int depth) {
    const int empty = pass();
    Piece all{empty, empty};
    while (at_ < text_.size() && !is('|') && !is(')')) {
      const std::optional<Piece> item = repeated(depth);
      if (!item) return std::nullopt;
      at(all.last).next = item->first;
      all.last = item->last;
    }
    return all;
  }

  std::optional<Piece> repeated(int depth) {
    const std::optional<Piece> item = single(depth);
    if (!item || at_ >= text_.size()) return item;
    const char c = text_[at_];
    if (c == '{') return std::nullopt;
    if (c != '*' && c != '+' && c != '?') return item;
    ++at_;
    if (is('?')) ++at_;  // lazy: the same texts match
    if (is('+') || is('*') || is('{')) return std::nullopt;
    const int last = pass();
    const int choice = add({.kind = State::split, .next = item->first, .other = last});
    at(item->last).next = c == '?' ? last : choice;
    return Piece{c == '+' ? item->first : choice, last};
  }

  std::optional<Piece> single(int depth) {
    const char c = text_[at_++];
    switch (c) {
      case '(':
        return group(depth);
      case '[':
        return set();
      case '^':
        return one({.kind = State::begin});
      case '$':
        return one({.kind = State::end});
      case '.': {
        State any{.kind = State::byte, .bytes = ~Bytes()};
        any.bytes.reset('\n');
        return one(any);
      }
      case '\\': {
        const std::optional<Bytes> bytes = at_ < text_.size() ? escaped(text_[at_]) : std::nullopt;
        if (!bytes) return std::nullopt;
        ++at_;
        return one({.kind = State::byte, .bytes = *bytes});
      }
      case '*':
      case '+':
      case '?':
      case '{':
        --at_;
        return std::nullopt;
      default: {
        State literal{.kind = State::byte};
        literal.bytes.set(static_cast<unsigned char>(c));
        return one(literal);
      }
    }
  }

  std::optional<Piece> group(int depth) {
    if (depth >= kMaxDepth) return std::nullopt;
    if (is('?')) {
      if (at_ + 1 >= text_.size() || text_[at_ + 1] != ':') return std::nullopt;
      at_ += 2;
    }
    const std::optional<Piece> inner = alternatives(depth + 1);
    if (!inner || !is(')')) return std::nullopt;
    ++at_;
    return inner;
  }

  std::optional<Piece> set() {
    const bool negated = is('^');
    if (negated) ++at_;
    Bytes bytes;
    for (bool first = true; at_ < text_.size() && (first || !is(']')); first = false) {
      const char low = text_[at_++];
      if (low == '\\') {
        const std::optional<Bytes> more = at_ < text_.size() ? escaped(text_[at_]) : std::nullopt;
        if (!more) return std::nullopt;
        ++at_;
        bytes |= *more;
        continue;
      }
      auto to = static_cast<unsigned char>(low);
      if (is('-') && at_ + 1 < text_.size() && text_[at_ + 1] != ']') {
        to = static_cast<unsigned char>(text_[at_ + 1]);
        if (to == '\\' || to < static_cast<unsigned char>(low)) return std::nullopt;
        at_ += 2;
      }
      for (unsigned b = static_cast<unsigned char>(low); b <= to; ++b) bytes.set(b);
    }
    if (!is(']')) return std::nullopt;
    ++at_;
    return one({.kind = State::byte, .bytes = negated ? ~bytes : bytes});
  }

  std::string_view text_;
  std::vector<State>& states_;
  size_t at_ = 0;
};

Result<Pattern> Pattern::parse(std::string_view text) {
  Pattern p;
  Parser parser(text.substr(0, kMaxLength), p.states_);
  const std::optional<int> start = text.size() > kMaxLength ? std::nullopt : parser.parse();
  if (!start) return fail("pattern.unsupported", {{"pattern", text}, {"offset", parser.offset()}});
  p.start_ = *start;
  return p;
}

// Adds the states that `state` reaches without a byte.
void Pattern::reach(int state, bool at_begin, bool at_end, std::vector<int>& list,
                    std::vector<bool>& seen) const {
  std::vector<int> open{state};
  while (!open.empty()) {
    const int i = open.back();
    open.pop_back();
    if (i < 0 || seen[static_cast<size_t>(i)]) continue;
    seen[static_cast<size_t>(i)] = true;
    const State& s = states_[static_cast<size_t>(i)];
    if (s.kind == State::byte || s.kind == State::accept) list.push_back(i);
    if (s.kind == State::split || (s.kind == State::begin && at_begin) || (s.kind == State::end && at_end)) {
      open.push_back(s.next);
      open.push_back(s.other);
    }
  }
}

bool Pattern::matches_start(std::string_view text) const {
  std::vector<int> now, next;
  std::vector<bool> seen(states_.size(), false);
  reach(start_, true, text.empty(), now, seen);
  for (size_t i = 0;; ++i) {
    for (const int s : now)
      if (states_[static_cast<size_t>(s)].kind == State::accept) return true;
    if (now.empty() || i == text.size()) return false;
    next.clear();
    seen.assign(states_.size(), false);
    for (const int s : now) {
      const State& state = states_[static_cast<size_t>(s)];
      if (state.bytes[static_cast<unsigned char>(text[i])])
        reach(state.next, false, i + 1 == text.size(), next, seen);
    }
    std::swap(now, next);
  }
}

}  // namespace qw
