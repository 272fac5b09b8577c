// Runs a resolved tree. One Interpreter is one rendering; the tree, its constants and the variables are only
// read. Spec: the code that jinja2.compiler generates, and jinja2.runtime. Test:
// tests/text/jinja_template_test.cc
#pragma once

#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"
#include "text/jinja/heap.h"
#include "text/local_time.h"

namespace qw::text::jinja {

struct Activation {
  Activation* parent;
  Value* slots;
};

// Bounds the recursion of macros, recursive loops and values; a level takes up to about 1 KiB of stack.
inline constexpr int kMaxEvalDepth = 1500;

class Interpreter {
 public:
  Interpreter(Heap& heap, const Dict& variables, const qw::LocalTime& now)
      : heap_(heap), variables_(variables), now_(now) {}

  // Throws Failure.
  std::string run(const Tree& tree);
  // Byte ranges of the output inside {% generation %} blocks.
  std::vector<std::pair<size_t, size_t>> take_spans() { return std::move(spans_); }
  // Where a failure without a place of its own happened.
  size_t offset() const { return offset_; }

  Heap& heap() { return heap_; }
  const qw::LocalTime& now() const { return now_; }
  bool autoescape() const { return autoescape_; }

  // environment.getattr and environment.getitem: undefined where there is nothing, or nothing safe.
  Value attribute(const Value& object, std::string_view name);
  Value item(const Value& object, const Value& key);
  Value call(const Value& function, const Args& args);
  // By name, for map, select and their kin. An unknown name is a runtime failure.
  Value call_filter(std::string_view name, const Value& subject, const Args& args);
  bool call_test(std::string_view name, const Value& subject, const Args& args);
  // iter(): a type error for what cannot be iterated.
  Iterator* iterate(const Value& v);
  // list()
  List* to_list(const Value& v);

  Value call_macro(const MacroBody& macro, Activation* closure, std::string_view name, const Args& args);
  Value call_recursive_loop(const Loop& loop, Activation* closure, const Value& items, int depth);
  // One pull of a loop's filter: does `item` pass?
  bool loop_test(const Loop& loop, Activation* activation, const Value& item);
  Activation* activate(const Function& function, Activation* parent);

  // Lives while one level of recursion lasts.
  class Deeper {
   public:
    explicit Deeper(Interpreter& in) : in_(in) {
      if (++in_.depth_ > kMaxEvalDepth) fail_limit("recursion too deep");
    }
    ~Deeper() { --in_.depth_; }
    Deeper(const Deeper&) = delete;
    Deeper& operator=(const Deeper&) = delete;

   private:
    Interpreter& in_;
  };

 private:
  enum class Flow { on, loop_break, loop_continue };

  // Statements (interpreter.cc)
  Flow run_body(const Body& body);
  Flow run_statement(const Stmt& s);
  Flow run_scoped_statement(const Stmt& s);
  void run_output(const Output& s);
  Flow run_branch(const Branch& s);
  Flow run_loop(const Loop& s, const Value& items, int depth);
  Flow loop_iterations(const Loop& s, Iterator& items, Object* loop, bool& completed);
  Flow run_assign_block(const AssignBlock& s);
  Flow run_filter_block(const FilterBlock& s);
  Flow run_with(const With& s);
  Flow run_autoescape(const Autoescape& s);
  void run_call_block(const CallBlock& s);
  void run_generation(const Generation& s);
  Flow run_block(const Block& s);
  void emit(std::string_view text);
  void emit_value(const Value& v);
  // Emits what a call or filter block gave, which must be a string.
  void emit_string(const Value& v);
  void assign(const Expr& target, const Value& v);
  void unpack(const Sequence& target, const Value& v);
  void export_names(const Expr& target);
  void enter(const ScopeLoads& loads);
  void leave(const ScopeLoads& loads);
  Value lookup(std::string_view name);
  Value& slot(SlotRef ref);
  Value as_markup_if_escaping(std::string_view text);
  void bind_macro_arguments(const MacroBody& macro, Activation& frame, std::string_view name,
                            const Args& args);
  void bind_special_arguments(const MacroBody& macro, Activation& frame, std::string_view name,
                              const Args& args, std::vector<bool>& used);

  // Expressions (eval.cc)
  Value eval(const Expr& e);
  Value eval_now(const Expr& e);
  Value eval_name(const Name& e);
  Value eval_sequence(const Sequence& e);
  Value eval_dict(const DictLiteral& e);
  Value eval_logic(const Binary& e);
  Value eval_compare(const Compare& e);
  Value eval_concat(const Concat& e);
  Value eval_condition(const Condition& e);
  Value eval_item(const Item& e);
  Value eval_call(const Call& e, const Value* caller);
  Value eval_filter(const Filter& e);
  Value eval_test(const Test& e);
  struct Arguments {
    std::vector<Value> positional;
    std::vector<Keyword> keywords;
    Args view() const { return {positional, keywords}; }
  };
  Arguments eval_args(const CallArgs& args);
  void spread_keywords(const Value& mapping, Arguments& out);

  Heap& heap_;
  const Dict& variables_;
  const qw::LocalTime& now_;
  std::string root_output_;
  std::string* out_ = &root_output_;
  Activation* frame_ = nullptr;
  Value filter_input_;  // the text of the filter block whose filter is about to be evaluated
  std::vector<std::pair<std::string_view, Value>> exported_;
  std::vector<std::pair<size_t, size_t>> spans_;
  size_t offset_ = 0;
  int depth_ = 0;
  bool autoescape_ = false;
};

}  // namespace qw::text::jinja
