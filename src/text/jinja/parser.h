// Tokens → syntax tree: the grammar of jinja2.parser with the extensions that transformers enables (break,
// continue, generation). Nesting is bounded. Test: tests/text/chat_template_test.cc
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/lexer.h"

namespace qw::text::jinja {

// Depth of expressions, and of statements; CPython refuses about as much in the code that jinja2 generates.
inline constexpr int kMaxNesting = 200;

// Throws Failure (syntax). The tree refers to the source and to the constants of `heap`.
Tree parse_template(std::string_view source, Heap& heap);

class Parser {
 public:
  Parser(std::vector<Token> tokens, Heap& heap) : tokens_(std::move(tokens)), heap_(heap) {}
  Tree run();

 private:
  using Ends = std::initializer_list<std::string_view>;
  class Nest;

  // Token access (parser.cc)
  const Token& peek(size_t ahead = 0) const { return tokens_[std::min(pos_ + ahead, tokens_.size() - 1)]; }
  bool at(Tok kind) const { return peek().kind == kind; }
  bool at_name(std::string_view name, size_t ahead = 0) const {
    return peek(ahead).kind == Tok::name && peek(ahead).text == name;
  }
  const Token& next();
  bool skip(Tok kind);
  bool skip_name(std::string_view name);
  const Token& expect(Tok kind);
  void expect_name(std::string_view name);

  // Statements (parser.cc)
  Body subparse(Ends ends);
  Body statements(Ends ends, bool drop = false);
  StmtPtr statement();
  StmtPtr parse_loop();
  StmtPtr parse_branch();
  StmtPtr parse_set();
  StmtPtr parse_macro();
  StmtPtr parse_call_block();
  StmtPtr parse_filter_block();
  StmtPtr parse_with();
  StmtPtr parse_autoescape();
  StmtPtr parse_block();
  StmtPtr parse_print();
  StmtPtr parse_generation();
  StmtPtr parse_loop_control();
  StmtPtr parse_foreign(std::string_view tag);
  void parse_foreign_import(Unsupported& node);
  void skip_context_words();
  void signature(MacroBody& macro);
  Body function_body(std::string_view end);
  std::unique_ptr<Name> name_target(NameUse use);
  ExprPtr assign_target(bool with_namespace, std::string_view end = {});
  void mark_target(Expr& target, NameUse use);

  // Expressions (parser_expr.cc)
  ExprPtr expression(bool with_condition = true);
  ExprPtr condition();
  ExprPtr disjunction();
  ExprPtr conjunction();
  ExprPtr negation();
  ExprPtr comparison();
  ExprPtr sum();
  ExprPtr concat();
  ExprPtr product();
  ExprPtr power();
  ExprPtr unary(bool with_filter = true);
  ExprPtr primary(bool with_namespace = false);
  ExprPtr name_or_constant(bool with_namespace);
  ExprPtr postfix(ExprPtr node);
  ExprPtr filter_expr(ExprPtr node);
  ExprPtr filters(ExprPtr node, bool start_inline = false);
  ExprPtr test(ExprPtr node);
  ExprPtr call(ExprPtr function);
  CallArgs call_args();
  ExprPtr subscript(ExprPtr node);
  ExprPtr subscribed();
  ExprPtr list_literal();
  ExprPtr dict_literal();
  std::string_view dotted_name();
  struct TupleRules {
    bool simplified = false;  // targets: names and literals only
    bool with_condition = true;
    bool with_namespace = false;
    bool explicit_parentheses = false;
    std::string_view end = {};  // a name that also ends the tuple
  };
  ExprPtr tuple(const TupleRules& rules);
  bool tuple_ends(std::string_view end) const;
  // Sets the depth from the parts, and refuses too much of it.
  ExprPtr finish(ExprPtr node, std::initializer_list<const Expr*> parts) const;
  ExprPtr finish(ExprPtr node, const ExprList& parts) const;
  void measure(Expr& node, const CallArgs& args) const;
  void raise_depth(Expr& node, const Expr* part) const;
  ExprPtr binary(ExprKind kind, ExprPtr left, ExprPtr right, size_t offset) const;

  std::vector<Token> tokens_;
  Heap& heap_;
  size_t pos_ = 0;
  int nesting_ = 0;
  int loops_ = 0;      // inside the present function: break and continue are allowed
  int any_loops_ = 0;  // around, functions included: `loop` may not be assigned
  bool has_blocks_ = false;
  std::vector<std::string_view> block_names_;
};

}  // namespace qw::text::jinja
