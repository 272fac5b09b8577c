#include "text/jinja/resolver.h"

#include <deque>

#include "text/jinja/builtins.h"
#include "text/jinja/symbols.h"
#include "text/jinja/walk.h"

namespace qw::text::jinja {
namespace {

// Notes the names of a scope: jinja2's FrameSymbolVisitor. Scopes inside are not entered, but what they
// evaluate outside (the sequence of a loop, the values of a with) is.
class Collector {
 public:
  explicit Collector(Symbols& symbols) : symbols_(&symbols) {}

  void expr(Expr& e, bool as_param = false) {
    if (e.kind == ExprKind::name) {
      auto& name = static_cast<Name&>(e);
      if (as_param || name.use == NameUse::param) {
        symbols_->declare_parameter(name.name, e.offset);
      } else if (name.use == NameUse::store) {
        symbols_->store(name.name, e.offset);
      } else {
        symbols_->load(name.name, e.offset);
      }
    } else if (e.kind == ExprKind::namespace_ref) {
      symbols_->load(static_cast<NamespaceRef&>(e).name, e.offset);
    } else {
      for_each_part(e, [&](Expr& part) { expr(part, as_param); });
    }
  }
  void body(const Body& statements) {
    for (const StmtPtr& s : statements) statement(*s);
  }

 private:
  void statement(Stmt& s) {
    switch (s.kind) {
      case StmtKind::output:
        for (const Output::Part& part : static_cast<Output&>(s).parts)
          if (part.expr) expr(*part.expr);
        break;
      case StmtKind::branch:
        branch(static_cast<Branch&>(s));
        break;
      case StmtKind::loop:
        expr(*static_cast<Loop&>(s).iterable);
        break;
      case StmtKind::assign:
        expr(*static_cast<Assign&>(s).value);
        expr(*static_cast<Assign&>(s).target);
        break;
      case StmtKind::assign_block:
        expr(*static_cast<AssignBlock&>(s).target);
        break;
      case StmtKind::macro:
        symbols_->store(static_cast<Macro&>(s).name->name, s.offset);
        break;
      case StmtKind::call_block:
        expr(*static_cast<CallBlock&>(s).call);
        break;
      case StmtKind::filter_block:
        expr(*static_cast<FilterBlock&>(s).filter);
        break;
      case StmtKind::with:
        for (const auto& [target, value] : static_cast<With&>(s).targets) expr(*value);
        break;
      case StmtKind::unsupported:
        expr(*static_cast<Unsupported&>(s).source);
        for (const auto& name : static_cast<Unsupported&>(s).stores) symbols_->store(name->name, s.offset);
        break;
      default:
        break;
    }
  }

  void branch(Branch& node) {
    expr(*node.arms[0].test);
    Symbols* const around = symbols_;
    std::vector<Symbols> branches(3, *around);
    symbols_ = &branches[0];
    body(node.arms[0].body);
    symbols_ = &branches[1];
    for (size_t i = 1; i < node.arms.size(); ++i) {
      expr(*node.arms[i].test);
      Symbols* const chain = symbols_;
      std::vector<Symbols> inner(1, *chain);
      symbols_ = &inner[0];
      body(node.arms[i].body);
      symbols_ = chain;
      chain->merge_branches(inner);
    }
    symbols_ = &branches[2];
    body(node.otherwise);
    symbols_ = around;
    around->merge_branches(branches);
  }

  Symbols* symbols_;
};

// Walks the tree as jinja2's code generator does and writes the slots into it.
class Resolver {
 public:
  explicit Resolver(Tree& tree) : tree_(tree) {}

  void run() {
    FunctionContext* function = new_function(nullptr);
    Symbols symbols(function, nullptr);
    Collector(symbols).body(tree_.body);
    body(tree_.body, {&symbols, tree_.has_blocks, false});
    tree_.loads = symbols.loads();
    tree_.function.n_slots = function->slots.size();
  }

 private:
  struct Frame {
    const Symbols* symbols;
    bool exporting;  // top level of a template with blocks: what is set, blocks can see
    bool soft;       // in a condition: unknown filters are an error only when reached

    Frame softened() const { return {symbols, exporting, true}; }
    Frame inner(const Symbols& s) const { return {&s, false, false}; }
  };

  FunctionContext* new_function(FunctionContext* parent) {
    functions_.push_back({parent, {}});
    return &functions_.back();
  }

  SlotRef place(std::string_view name, size_t offset, const Frame& frame) const {
    const Place* found = frame.symbols->find(name);
    if (found == nullptr)
      fail_syntax(offset, "'{}' cannot be used here before it is used outside of this block", name);
    SlotRef ref;
    ref.slot = found->slot;
    for (const FunctionContext* f = frame.symbols->function(); f != found->owner; f = f->parent) ++ref.hops;
    return ref;
  }

  void expr(Expr& e, const Frame& frame) {
    switch (e.kind) {
      case ExprKind::name: {
        auto& name = static_cast<Name&>(e);
        name.ref = place(name.name, e.offset, frame);
        return;
      }
      case ExprKind::namespace_ref: {
        auto& name = static_cast<NamespaceRef&>(e);
        name.ref = place(name.name, e.offset, frame);
        return;
      }
      case ExprKind::filter: {
        auto& filter = static_cast<Filter&>(e);
        filter.function = find_filter(filter.name);
        if (filter.function == nullptr && !frame.soft)
          fail_syntax(e.offset, "No filter named '{}'.", filter.name);
        break;
      }
      case ExprKind::test: {
        auto& test = static_cast<Test&>(e);
        test.function = find_test(test.name);
        if (test.function == nullptr && !frame.soft) fail_syntax(e.offset, "No test named '{}'.", test.name);
        break;
      }
      default:
        break;
    }
    const Frame inside = e.kind == ExprKind::condition ? frame.softened() : frame;
    for_each_part(e, [&](Expr& part) { expr(part, inside); });
  }

  void body(const Body& statements, const Frame& frame) {
    for (const StmtPtr& s : statements) statement(*s, frame);
  }

  void statement(Stmt& s, const Frame& frame) {
    switch (s.kind) {
      case StmtKind::output:
        for (const Output::Part& part : static_cast<Output&>(s).parts)
          if (part.expr) expr(*part.expr, frame);
        break;
      case StmtKind::branch:
        for (const Branch::Arm& arm : static_cast<Branch&>(s).arms) {
          expr(*arm.test, frame.softened());
          body(arm.body, frame.softened());
        }
        body(static_cast<Branch&>(s).otherwise, frame.softened());
        break;
      case StmtKind::loop:
        loop(static_cast<Loop&>(s), frame);
        break;
      case StmtKind::assign:
        expr(*static_cast<Assign&>(s).target, frame);
        expr(*static_cast<Assign&>(s).value, frame);
        static_cast<Assign&>(s).exported = frame.exporting;
        break;
      case StmtKind::macro:
        macro(static_cast<Macro&>(s).macro, frame, s.offset);
        static_cast<Macro&>(s).name->ref = place(static_cast<Macro&>(s).name->name, s.offset, frame);
        static_cast<Macro&>(s).exported = frame.exporting;
        break;
      case StmtKind::call_block:
        macro(static_cast<CallBlock&>(s).caller, frame, s.offset);
        expr(*static_cast<CallBlock&>(s).call, frame);
        break;
      case StmtKind::generation:
        macro(static_cast<Generation&>(s).body, frame, s.offset);
        break;
      default:
        scoped_statement(s, frame);
    }
  }

  void scoped_statement(Stmt& s, const Frame& frame) {
    Symbols symbols(frame.symbols->function(), frame.symbols);
    const Frame inside = frame.inner(symbols);
    switch (s.kind) {
      case StmtKind::assign_block: {
        auto& node = static_cast<AssignBlock&>(s);
        Collector(symbols).body(node.body);
        body(node.body, inside);
        expr(*node.target, frame);
        if (node.filter) expr(*node.filter, inside);
        node.loads = symbols.loads();
        node.exported = frame.exporting;
        break;
      }
      case StmtKind::filter_block: {
        auto& node = static_cast<FilterBlock&>(s);
        Collector(symbols).body(node.body);
        Collector(symbols).expr(*node.filter);
        body(node.body, inside);
        expr(*node.filter, inside);
        node.loads = symbols.loads();
        break;
      }
      case StmtKind::with: {
        auto& node = static_cast<With&>(s);
        for (const auto& [target, value] : node.targets) Collector(symbols).expr(*target);
        Collector(symbols).body(node.body);
        for (const auto& [target, value] : node.targets) expr(*target, inside), expr(*value, frame);
        body(node.body, inside);
        node.loads = symbols.loads();
        break;
      }
      case StmtKind::autoescape: {
        auto& node = static_cast<Autoescape&>(s);
        Collector(symbols).expr(*node.enabled);
        Collector(symbols).body(node.body);
        expr(*node.enabled, inside);
        body(node.body, inside);
        node.loads = symbols.loads();
        break;
      }
      case StmtKind::block:
        block(static_cast<Block&>(s));
        break;
      case StmtKind::unsupported:
        expr(*static_cast<Unsupported&>(s).source, frame);
        break;
      default:
        break;
    }
  }

  void block(Block& node) {
    FunctionContext* function = new_function(nullptr);
    Symbols symbols(function, nullptr);
    Collector(symbols).body(node.body);
    body(node.body, {&symbols, false, false});
    node.loads = symbols.loads();
    node.function.n_slots = function->slots.size();
  }

  void loop(Loop& node, const Frame& frame) {
    FunctionContext* const outside = frame.symbols->function();
    FunctionContext* const inside = node.recursive ? new_function(outside) : outside;
    Symbols symbols(inside, frame.symbols), else_symbols(inside, frame.symbols);
    node.extended = node.recursive || !find_undeclared(node.body, {"loop"}).empty();
    if (node.extended) node.loop_ref = {0, symbols.declare_parameter("loop", node.offset).slot};
    Collector(symbols).expr(*node.target, true);
    Collector(symbols).body(node.body);
    Collector(else_symbols).body(node.otherwise);
    if (node.test) {
      FunctionContext* const filter = new_function(outside);
      Symbols test_symbols(filter, frame.symbols);
      Collector(test_symbols).expr(*node.test_target, true);
      Collector(test_symbols).expr(*node.test);
      expr(*node.test_target, frame.inner(test_symbols));
      expr(*node.test, frame.inner(test_symbols));
      node.test_loads = test_symbols.loads();
      node.test_function.n_slots = filter->slots.size();
    }
    expr(*node.target, frame.inner(symbols));
    expr(*node.iterable, frame);
    body(node.body, frame.inner(symbols));
    body(node.otherwise, frame.inner(else_symbols));
    node.loads = symbols.loads();
    node.else_loads = else_symbols.loads();
    if (node.recursive) node.recursive_function.n_slots = inside->slots.size();
  }

  void collect_macro(MacroBody& node, Symbols& symbols) {
    Collector collector(symbols);
    for (const MacroParam& p : node.params) collector.expr(*p.name);
    for (const MacroParam& p : node.params)
      if (p.fallback) collector.expr(*p.fallback);
    collector.body(node.body);
  }

  void macro(MacroBody& node, const Frame& frame, size_t offset) {
    FunctionContext* function = new_function(frame.symbols->function());
    Symbols symbols(function, frame.symbols);
    collect_macro(node, symbols);
    const auto undeclared = find_undeclared(node.body, {"caller", "kwargs", "varargs"});
    const auto param = [&](std::string_view name) -> const MacroParam* {
      for (const MacroParam& p : node.params)
        if (p.name->name == name) return &p;
      return nullptr;
    };
    node.explicit_caller = param("caller") != nullptr;
    node.takes_caller = undeclared.contains("caller");
    if (node.takes_caller && node.explicit_caller && !param("caller")->fallback)
      fail_syntax(offset, "the special \"caller\" argument must be omitted or be given a default");
    if (node.takes_caller && !node.explicit_caller)
      node.caller_slot = symbols.declare_parameter("caller", offset).slot;
    node.takes_kwargs = undeclared.contains("kwargs") && param("kwargs") == nullptr;
    if (node.takes_kwargs) node.kwargs_slot = symbols.declare_parameter("kwargs", offset).slot;
    node.takes_varargs = undeclared.contains("varargs") && param("varargs") == nullptr;
    if (node.takes_varargs) node.varargs_slot = symbols.declare_parameter("varargs", offset).slot;
    collect_macro(node, symbols);
    const Frame inside = frame.inner(symbols);
    for (const MacroParam& p : node.params) {
      expr(*p.name, inside);
      if (p.fallback) expr(*p.fallback, inside);
    }
    body(node.body, inside);
    node.loads = symbols.loads();
    node.function.n_slots = function->slots.size();
  }

  Tree& tree_;
  std::deque<FunctionContext> functions_;
};

}  // namespace

void resolve(Tree& tree) {
  Resolver(tree).run();
}

}  // namespace qw::text::jinja
