// Template source → tokens, as jinja2.lexer does with trim_blocks and lstrip_blocks: whitespace control, raw,
// comments, brackets that hide end tags, adjacent newline forms made one. Test:
// tests/text/jinja_template_test.cc
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "text/jinja/heap.h"

namespace qw::text::jinja {

enum class Tok : uint8_t {
  eof,
  data,
  variable_begin,
  variable_end,
  block_begin,
  block_end,
  name,
  string,
  integer,
  real,
  add,
  sub,
  mul,
  div,
  floordiv,
  mod,
  pow,
  tilde,
  lbracket,
  rbracket,
  lparen,
  rparen,
  lbrace,
  rbrace,
  eq,
  ne,
  gt,
  gteq,
  lt,
  lteq,
  assign,
  dot,
  colon,
  pipe,
  comma,
  semicolon,
};

struct Token {
  Tok kind;
  size_t offset;          // byte in the normalised source
  std::string_view text;  // data, name: as written; others: the source text
  Value value;            // string, integer, real: the constant
};

// "'name'" or the operator, for messages.
std::string describe(const Token& token);
std::string_view describe(Tok kind);

// \r\n and \r become \n, and one newline at the end is dropped.
std::string normalize_source(std::string_view source);

// The tokens of a normalised source, which must outlive them; constants go to `heap`. Throws Failure
// (syntax).
std::vector<Token> tokenize(std::string_view source, Heap& heap);

}  // namespace qw::text::jinja
