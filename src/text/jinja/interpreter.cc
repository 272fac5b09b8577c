// Statements. Expressions: eval.cc; macros: macro.cc.
#include "text/jinja/interpreter.h"

#include "text/jinja/builtins.h"
#include "text/jinja/iterate.h"
#include "text/jinja/loop.h"
#include "text/jinja/macro.h"
#include "text/jinja/markup.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace qw::text::jinja {

std::string Interpreter::run(const Tree& tree) {
  frame_ = activate(tree.function, nullptr);
  enter(tree.loads);
  run_body(tree.body);
  return std::move(root_output_);
}

Activation* Interpreter::activate(const Function& function, Activation* parent) {
  auto* slots =
      static_cast<Value*>(heap_.memory()->allocate(function.n_slots * sizeof(Value) + 1, alignof(Value)));
  std::uninitialized_fill_n(slots, function.n_slots, Value::missing());
  return heap_.make<Activation>(parent, slots);
}

Value& Interpreter::slot(SlotRef ref) {
  Activation* frame = frame_;
  for (int i = 0; i < ref.hops; ++i) frame = frame->parent;
  return frame->slots[ref.slot];
}

Value Interpreter::lookup(std::string_view name) {
  for (auto it = exported_.rbegin(); it != exported_.rend(); ++it)
    if (it->first == name) return it->second;
  if (const Value* v = variables_.find(name)) return *v;
  return find_global(*this, name).value_or(Value::missing());
}

void Interpreter::enter(const ScopeLoads& loads) {
  for (const ScopeLoad& load : loads) {
    switch (load.how) {
      case ScopeLoad::How::param:
        break;
      case ScopeLoad::How::resolve:
        frame_->slots[load.slot] = lookup(load.name);
        break;
      case ScopeLoad::How::alias:
        frame_->slots[load.slot] = slot(load.source);
        break;
      case ScopeLoad::How::undefined:
        frame_->slots[load.slot] = Value::missing();
        break;
    }
  }
}

void Interpreter::leave(const ScopeLoads& loads) {
  for (const ScopeLoad& load : loads) frame_->slots[load.slot] = Value::missing();
}

void Interpreter::emit(std::string_view text) {
  heap_.spend(text.size());
  out_->append(text);
}

void Interpreter::emit_value(const Value& v) {
  if (autoescape_) {
    emit(escape(*this, v).text());
  } else if (v.is_string()) {
    emit(v.text());
  } else if (!v.is(Kind::undefined)) {
    emit(repr(*this, v));
  }
}

void Interpreter::emit_string(const Value& v) {
  if (!v.is_string()) type_error("expected str instance, {} found", type_name(v));
  emit(v.text());
}

Value Interpreter::as_markup_if_escaping(std::string_view text) {
  return heap_.string(text, autoescape_);
}

Interpreter::Flow Interpreter::run_body(const Body& body) {
  for (const StmtPtr& s : body) {
    const Flow flow = run_statement(*s);
    if (flow != Flow::on) return flow;
  }
  return Flow::on;
}

Interpreter::Flow Interpreter::run_statement(const Stmt& s) {
  heap_.step();
  offset_ = s.offset;
  switch (s.kind) {
    case StmtKind::output:
      run_output(static_cast<const Output&>(s));
      return Flow::on;
    case StmtKind::branch:
      return run_branch(static_cast<const Branch&>(s));
    case StmtKind::loop: {
      const auto& loop = static_cast<const Loop&>(s);
      const Value items = eval(*loop.iterable);
      if (loop.recursive) {
        emit_string(call_recursive_loop(loop, frame_, items, 0));
        return Flow::on;
      }
      return run_loop(loop, items, 0);
    }
    case StmtKind::assign: {
      const auto& node = static_cast<const Assign&>(s);
      assign(*node.target, eval(*node.value));
      if (node.exported) export_names(*node.target);
      return Flow::on;
    }
    case StmtKind::macro: {
      const auto& node = static_cast<const Macro&>(s);
      const Value v =
          Value::of(static_cast<Object*>(heap_.make<MacroObject>(node.macro, frame_, node.name->name)));
      slot(node.name->ref) = v;
      if (node.exported) exported_.emplace_back(node.name->name, v);
      return Flow::on;
    }
    case StmtKind::loop_break:
      return Flow::loop_break;
    case StmtKind::loop_continue:
      return Flow::loop_continue;
    default:
      return run_scoped_statement(s);
  }
}

Interpreter::Flow Interpreter::run_scoped_statement(const Stmt& s) {
  switch (s.kind) {
    case StmtKind::assign_block:
      return run_assign_block(static_cast<const AssignBlock&>(s));
    case StmtKind::filter_block:
      return run_filter_block(static_cast<const FilterBlock&>(s));
    case StmtKind::with:
      return run_with(static_cast<const With&>(s));
    case StmtKind::autoescape:
      return run_autoescape(static_cast<const Autoescape&>(s));
    case StmtKind::block:
      return run_block(static_cast<const Block&>(s));
    case StmtKind::call_block:
      run_call_block(static_cast<const CallBlock&>(s));
      return Flow::on;
    case StmtKind::generation:
      run_generation(static_cast<const Generation&>(s));
      return Flow::on;
    default:
      fail_runtime(PyClass::other, "'{}' is not supported: a chat template cannot load other templates",
                   static_cast<const Unsupported&>(s).tag);
  }
}

void Interpreter::run_output(const Output& s) {
  for (const Output::Part& part : s.parts) {
    if (part.expr) {
      const Value v = eval(*part.expr);
      offset_ = part.expr->offset;
      emit_value(v);
    } else {
      emit(part.data);
    }
  }
}

Interpreter::Flow Interpreter::run_branch(const Branch& s) {
  for (const Branch::Arm& arm : s.arms)
    if (truth(eval(*arm.test))) {
      const Deeper deeper(*this);
      return run_body(arm.body);
    }
  return run_body(s.otherwise);
}

Interpreter::Flow Interpreter::run_loop(const Loop& s, const Value& items, int depth) {
  const Deeper deeper(*this);
  Iterator* it = iterate(items);
  Value source = items;
  if (s.test) {
    it = heap_.make<LoopFilter>(s, activate(s.test_function, s.recursive ? frame_->parent : frame_), it);
    source = Value::missing();
  }
  LoopContext* loop = nullptr;
  if (s.extended) {
    loop = heap_.make<LoopContext>(s, s.recursive ? frame_->parent : frame_, it, source, depth);
    it = loop;
  }
  bool completed = false;  // an iteration ran to its end; jinja2 takes "else" for anything less
  const Flow flow = loop_iterations(s, *it, loop, completed);
  leave(s.loads);
  if (completed || s.otherwise.empty()) return flow;
  enter(s.else_loads);
  const Flow out = run_body(s.otherwise);
  leave(s.else_loads);
  return out;
}

Interpreter::Flow Interpreter::loop_iterations(const Loop& s, Iterator& items, Object* loop,
                                               bool& completed) {
  for (Value v; items.next(*this, v);) {
    heap_.step();
    assign(*s.target, v);
    if (loop != nullptr) slot(s.loop_ref) = Value::of(loop);
    enter(s.loads);
    const Flow flow = run_body(s.body);
    if (flow == Flow::loop_break) break;
    if (flow == Flow::on) completed = true;
  }
  return Flow::on;
}

bool Interpreter::loop_test(const Loop& loop, Activation* activation, const Value& item) {
  Activation* const around = std::exchange(frame_, activation);
  enter(loop.test_loads);
  assign(*loop.test_target, item);
  const bool passes = truth(eval(*loop.test));
  frame_ = around;
  return passes;
}

Value Interpreter::call_recursive_loop(const Loop& loop, Activation* closure, const Value& items, int depth) {
  const Deeper deeper(*this);
  std::string buffer;
  std::string* const sink = std::exchange(out_, &buffer);
  Activation* const around = std::exchange(frame_, activate(loop.recursive_function, closure));
  run_loop(loop, items, depth);
  frame_ = around;
  out_ = sink;
  return as_markup_if_escaping(buffer);
}

void Interpreter::assign(const Expr& target, const Value& v) {
  switch (target.kind) {
    case ExprKind::name:
      slot(static_cast<const Name&>(target).ref) = v;
      break;
    case ExprKind::namespace_ref: {
      const auto& ref = static_cast<const NamespaceRef&>(target);
      const Value object = slot(ref.ref);
      offset_ = target.offset;
      if (!object.is(Kind::name_space))
        fail_runtime(PyClass::other, "cannot assign attribute on non-namespace object");
      object.name_space->attributes.set(heap_, heap_.string_view(ref.attribute), v);
      break;
    }
    default:
      unpack(static_cast<const Sequence&>(target), v);
  }
}

void Interpreter::unpack(const Sequence& target, const Value& v) {
  offset_ = target.offset;
  const size_t n = target.items.size();
  Iterator* it = iterate(v);
  std::vector<Value> parts;
  for (Value part; parts.size() <= n && it->next(*this, part);) parts.push_back(part);
  if (parts.size() > n) value_error("too many values to unpack (expected {})", n);
  if (parts.size() < n) value_error("not enough values to unpack (expected {}, got {})", n, parts.size());
  for (size_t i = 0; i < n; ++i) assign(*target.items[i], parts[i]);
}

void Interpreter::export_names(const Expr& target) {
  if (target.kind == ExprKind::name) {
    exported_.emplace_back(static_cast<const Name&>(target).name, slot(static_cast<const Name&>(target).ref));
  } else if (target.kind == ExprKind::tuple) {
    for (const ExprPtr& item : static_cast<const Sequence&>(target).items) export_names(*item);
  }
}

// The three statements that gather their body as text hand its flow on: a break inside discards what was
// gathered.
Interpreter::Flow Interpreter::run_assign_block(const AssignBlock& s) {
  enter(s.loads);
  std::string buffer;
  std::string* const sink = std::exchange(out_, &buffer);
  const Flow flow = run_body(s.body);
  out_ = sink;
  if (flow != Flow::on) return flow;
  Value v = as_markup_if_escaping(buffer);
  if (s.filter) {
    filter_input_ = v;
    v = eval(*s.filter);
    if (autoescape_) v = make_markup(*this, v);
  }
  assign(*s.target, v);
  if (s.exported) export_names(*s.target);
  leave(s.loads);
  return Flow::on;
}

Interpreter::Flow Interpreter::run_filter_block(const FilterBlock& s) {
  enter(s.loads);
  std::string buffer;
  std::string* const sink = std::exchange(out_, &buffer);
  const Flow flow = run_body(s.body);
  out_ = sink;
  if (flow != Flow::on) return flow;
  filter_input_ = as_markup_if_escaping(buffer);
  emit_string(eval(*s.filter));
  leave(s.loads);
  return Flow::on;
}

Interpreter::Flow Interpreter::run_with(const With& s) {
  enter(s.loads);
  for (const auto& [target, value] : s.targets) assign(*target, eval(*value));
  const Flow flow = run_body(s.body);
  if (flow == Flow::on) leave(s.loads);
  return flow;
}

Interpreter::Flow Interpreter::run_autoescape(const Autoescape& s) {
  enter(s.loads);
  const bool before = std::exchange(autoescape_, truth(eval(*s.enabled)));
  const Flow flow = run_body(s.body);
  autoescape_ = before;
  leave(s.loads);
  return flow;
}

void Interpreter::run_call_block(const CallBlock& s) {
  const Value caller =
      Value::of(static_cast<Object*>(heap_.make<MacroObject>(s.caller, frame_, std::string_view())));
  emit_string(eval_call(static_cast<const Call&>(*s.call), &caller));
}

void Interpreter::run_generation(const Generation& s) {
  const Value text = call_macro(s.body, frame_, "caller", {});
  const size_t begin = root_output_.size();
  spans_.emplace_back(begin, begin + text.text().size());
  emit(text.text());
}

Interpreter::Flow Interpreter::run_block(const Block& s) {
  if (s.required) fail_runtime(PyClass::other, "Required block '{}' not found", s.name);
  const Deeper deeper(*this);
  Activation* const around = std::exchange(frame_, activate(s.function, nullptr));
  enter(s.loads);
  run_body(s.body);
  frame_ = around;
  return Flow::on;
}

}  // namespace qw::text::jinja
