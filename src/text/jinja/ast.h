// The syntax tree of a template. Names are resolved to slots by resolver.cc before the tree is run; a tree is
// immutable afterwards and shared by all renderings. Depth is bounded by the parser, so recursive walks are
// safe.
#pragma once

#include <cstdint>
#include <memory>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/value.h"

namespace qw::text::jinja {

enum class ExprKind : uint8_t {
  constant,
  name,
  namespace_ref,  // target "ns.attr" of an assignment
  tuple,
  list,
  dict,
  unary,
  binary,
  logic,
  negation,
  compare,
  concat,
  condition,
  attribute,
  item,
  slice,
  call,
  filter,
  test,
};

enum class BinaryOp : uint8_t { add, sub, mul, div, floordiv, mod, pow };
enum class CompareOp : uint8_t { eq, ne, lt, le, gt, ge, in, not_in };
enum class NameUse : uint8_t { load, store, param };

// A slot of this activation (hops 0) or of an enclosing one.
struct SlotRef {
  uint16_t hops = 0;
  uint16_t slot = 0;
};

struct Expr {
  Expr(ExprKind k, size_t at) : kind(k), offset(at) {}
  virtual ~Expr() = default;
  ExprKind kind;
  int depth = 1;  // of the tree below
  size_t offset;
};
using ExprPtr = std::unique_ptr<Expr>;
using ExprList = std::vector<ExprPtr>;

struct Constant : Expr {
  Constant(size_t at, Value v) : Expr(ExprKind::constant, at), value(v) {}
  Value value;
};
struct Name : Expr {
  Name(size_t at, std::string_view n, NameUse u) : Expr(ExprKind::name, at), name(n), use(u) {}
  std::string_view name;
  NameUse use;
  SlotRef ref;
};
struct NamespaceRef : Expr {
  NamespaceRef(size_t at, std::string_view n, std::string_view a)
      : Expr(ExprKind::namespace_ref, at), name(n), attribute(a) {}
  std::string_view name, attribute;
  SlotRef ref;
};
struct Sequence : Expr {  // tuple, list
  using Expr::Expr;
  ExprList items;
};
struct DictLiteral : Expr {
  explicit DictLiteral(size_t at) : Expr(ExprKind::dict, at) {}
  std::vector<std::pair<ExprPtr, ExprPtr>> items;
};
struct Unary : Expr {  // unary: - or +; negation: not
  using Expr::Expr;
  bool minus = false;
  ExprPtr operand;
};
struct Binary : Expr {  // binary, logic
  using Expr::Expr;
  BinaryOp op = BinaryOp::add;
  bool conjunction = false;  // logic: and
  ExprPtr left, right;
};
struct Compare : Expr {
  explicit Compare(size_t at) : Expr(ExprKind::compare, at) {}
  ExprPtr first;
  std::vector<std::pair<CompareOp, ExprPtr>> rest;
};
struct Concat : Expr {
  explicit Concat(size_t at) : Expr(ExprKind::concat, at) {}
  ExprList parts;
};
struct Condition : Expr {
  explicit Condition(size_t at) : Expr(ExprKind::condition, at) {}
  ExprPtr test, then, otherwise;  // otherwise may be null
};
struct Attribute : Expr {
  Attribute(size_t at, ExprPtr o, std::string_view n)
      : Expr(ExprKind::attribute, at), object(std::move(o)), name(n) {}
  ExprPtr object;
  std::string_view name;
};
struct Item : Expr {
  Item(size_t at, ExprPtr o, ExprPtr k) : Expr(ExprKind::item, at), object(std::move(o)), key(std::move(k)) {}
  ExprPtr object, key;
};
struct Slice : Expr {
  explicit Slice(size_t at) : Expr(ExprKind::slice, at) {}
  ExprPtr start, stop, step;  // each may be null
};
struct CallArgs {
  ExprList positional;
  std::vector<std::pair<std::string_view, ExprPtr>> keywords;
  ExprPtr more_positional, more_keywords;  // *args, **kwargs; may be null
};
struct Call : Expr {
  Call(size_t at, ExprPtr f) : Expr(ExprKind::call, at), function(std::move(f)) {}
  ExprPtr function;
  CallArgs args;
};
using FilterFunction = Value (*)(Interpreter& in, const Value& subject, const Args& args);
using TestFunction = bool (*)(Interpreter& in, const Value& subject, const Args& args);
struct Filter : Expr {
  explicit Filter(size_t at) : Expr(ExprKind::filter, at) {}
  ExprPtr subject;  // null at the start of a filter block
  std::string_view name;
  FilterFunction function = nullptr;  // null: unknown, an error when it is reached
  CallArgs args;
};
struct Test : Expr {
  explicit Test(size_t at) : Expr(ExprKind::test, at) {}
  ExprPtr subject;
  std::string_view name;
  TestFunction function = nullptr;
  CallArgs args;
};

// What happens to the slots of a scope when it is entered; all of them become unbound when it is left.
struct ScopeLoad {
  enum class How : uint8_t { param, resolve, alias, undefined } how;
  uint16_t slot;          // in this activation
  SlotRef source;         // alias
  std::string_view name;  // resolve: from the variables of the rendering
};
using ScopeLoads = std::vector<ScopeLoad>;

enum class StmtKind : uint8_t {
  output,
  branch,
  loop,
  assign,
  assign_block,
  macro,
  call_block,
  filter_block,
  with,
  autoescape,
  block,
  generation,
  loop_break,
  loop_continue,
  unsupported,
};

struct Stmt {
  Stmt(StmtKind k, size_t at) : kind(k), offset(at) {}
  virtual ~Stmt() = default;
  StmtKind kind;
  size_t offset;
};
using StmtPtr = std::unique_ptr<Stmt>;
using Body = std::vector<StmtPtr>;

struct Output : Stmt {
  explicit Output(size_t at) : Stmt(StmtKind::output, at) {}
  struct Part {
    std::string_view data;  // template text, where expr is null
    ExprPtr expr;
  };
  std::vector<Part> parts;
};
struct Branch : Stmt {
  explicit Branch(size_t at) : Stmt(StmtKind::branch, at) {}
  struct Arm {
    ExprPtr test;
    Body body;
  };
  std::vector<Arm> arms;  // if, elif …
  Body otherwise;
};
// The slots of one activation: a macro, a caller, a loop filter, a recursive loop, a block, the template.
struct Function {
  size_t n_slots = 0;
};
struct Loop : Stmt {
  explicit Loop(size_t at) : Stmt(StmtKind::loop, at) {}
  ExprPtr target, iterable, test;  // test may be null
  bool recursive = false;
  Body body, otherwise;
  // Resolved:
  bool extended = false;  // the body uses `loop`
  SlotRef loop_ref;
  ScopeLoads loads, else_loads, test_loads;
  Function test_function;       // of the filter, with a target of its own
  ExprPtr test_target;          // the target again, in the slots of the filter
  Function recursive_function;  // of a recursive loop
};
struct Assign : Stmt {
  explicit Assign(size_t at) : Stmt(StmtKind::assign, at) {}
  ExprPtr target, value;
  bool exported = false;  // at the top level of a template with blocks
};
struct AssignBlock : Stmt {
  explicit AssignBlock(size_t at) : Stmt(StmtKind::assign_block, at) {}
  ExprPtr target, filter;  // filter may be null; its innermost subject is the body
  Body body;
  ScopeLoads loads;
  bool exported = false;
};
struct MacroParam {
  std::unique_ptr<Name> name;
  ExprPtr fallback;  // null: required in the sense of jinja2 (undefined where absent)
};
struct MacroBody {
  std::vector<MacroParam> params;
  Body body;
  // Resolved:
  Function function;
  ScopeLoads loads;
  bool takes_caller = false, takes_kwargs = false, takes_varargs = false, explicit_caller = false;
  uint16_t caller_slot = 0, kwargs_slot = 0, varargs_slot = 0;
};
struct Macro : Stmt {
  explicit Macro(size_t at) : Stmt(StmtKind::macro, at) {}
  std::unique_ptr<Name> name;
  MacroBody macro;
  bool exported = false;
};
struct CallBlock : Stmt {
  explicit CallBlock(size_t at) : Stmt(StmtKind::call_block, at) {}
  ExprPtr call;
  MacroBody caller;
};
struct Generation : Stmt {
  explicit Generation(size_t at) : Stmt(StmtKind::generation, at) {}
  MacroBody body;
};
struct FilterBlock : Stmt {
  explicit FilterBlock(size_t at) : Stmt(StmtKind::filter_block, at) {}
  ExprPtr filter;
  Body body;
  ScopeLoads loads;
};
struct With : Stmt {
  explicit With(size_t at) : Stmt(StmtKind::with, at) {}
  std::vector<std::pair<ExprPtr, ExprPtr>> targets;
  Body body;
  ScopeLoads loads;
};
struct Autoescape : Stmt {
  explicit Autoescape(size_t at) : Stmt(StmtKind::autoescape, at) {}
  ExprPtr enabled;
  Body body;
  ScopeLoads loads;
};
struct Block : Stmt {
  explicit Block(size_t at) : Stmt(StmtKind::block, at) {}
  std::string_view name;
  bool required = false;
  Body body;
  Function function;
  ScopeLoads loads;
};
struct Unsupported : Stmt {  // include, import, from, extends: no other templates exist here
  Unsupported(size_t at, std::string_view t) : Stmt(StmtKind::unsupported, at), tag(t) {}
  std::string_view tag;
  ExprPtr source;
  std::vector<std::unique_ptr<Name>> stores;
};

struct Tree {
  Body body;
  Function function;
  ScopeLoads loads;
  bool has_blocks = false;
};

}  // namespace qw::text::jinja
