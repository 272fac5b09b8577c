// Expressions of the Interpreter.
#include "text/jinja/builtins.h"
#include "text/jinja/interpreter.h"
#include "text/jinja/iterate.h"
#include "text/jinja/markup.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"

namespace qw::text::jinja {

Value Interpreter::eval(const Expr& e) {
  if (e.kind == ExprKind::constant) return static_cast<const Constant&>(e).value;
  const Deeper deeper(*this);
  heap_.step();
  return eval_now(e);
}

Value Interpreter::eval_now(const Expr& e) {
  switch (e.kind) {
    case ExprKind::constant:
      return static_cast<const Constant&>(e).value;
    case ExprKind::name:
      return eval_name(static_cast<const Name&>(e));
    case ExprKind::tuple:
    case ExprKind::list:
      return eval_sequence(static_cast<const Sequence&>(e));
    case ExprKind::dict:
      return eval_dict(static_cast<const DictLiteral&>(e));
    case ExprKind::unary: {
      const auto& node = static_cast<const Unary&>(e);
      const Value v = eval(*node.operand);
      offset_ = e.offset;
      return sign(*this, v, node.minus);
    }
    case ExprKind::negation:
      return Value::of(!truth(eval(*static_cast<const Unary&>(e).operand)));
    case ExprKind::binary: {
      const auto& node = static_cast<const Binary&>(e);
      const Value left = eval(*node.left);
      const Value right = eval(*node.right);
      offset_ = e.offset;
      return binary_op(*this, node.op, left, right);
    }
    case ExprKind::logic:
      return eval_logic(static_cast<const Binary&>(e));
    case ExprKind::compare:
      return eval_compare(static_cast<const Compare&>(e));
    case ExprKind::concat:
      return eval_concat(static_cast<const Concat&>(e));
    case ExprKind::condition:
      return eval_condition(static_cast<const Condition&>(e));
    case ExprKind::attribute: {
      const auto& node = static_cast<const Attribute&>(e);
      const Value object = eval(*node.object);
      offset_ = e.offset;
      return attribute(object, node.name);
    }
    case ExprKind::item:
      return eval_item(static_cast<const Item&>(e));
    case ExprKind::call:
      return eval_call(static_cast<const Call&>(e), nullptr);
    case ExprKind::filter:
      return eval_filter(static_cast<const Filter&>(e));
    case ExprKind::test:
      return eval_test(static_cast<const Test&>(e));
    case ExprKind::namespace_ref:
    case ExprKind::slice:
      break;
  }
  fail_runtime(PyClass::other, "not an expression");
}

Value Interpreter::eval_name(const Name& e) {
  const Value& v = slot(e.ref);
  return v.is(Kind::missing) ? heap_.undefined(heap_.string_view(e.name)) : v;
}

Value Interpreter::eval_sequence(const Sequence& e) {
  List* out = heap_.list();
  out->items.reserve(e.items.size());
  for (const ExprPtr& item : e.items) out->items.push_back(eval(*item));
  return Value::of(out, e.kind == ExprKind::tuple ? Kind::tuple : Kind::list);
}

Value Interpreter::eval_dict(const DictLiteral& e) {
  Dict* out = heap_.dict();
  for (const auto& [key_expr, value_expr] : e.items) {
    const Value key = eval(*key_expr);
    const Value value = eval(*value_expr);
    offset_ = key_expr->offset;
    out->set(heap_, key, value);
  }
  return Value::of(out);
}

Value Interpreter::eval_logic(const Binary& e) {
  const Value left = eval(*e.left);
  return truth(left) == e.conjunction ? eval(*e.right) : left;
}

Value Interpreter::eval_compare(const Compare& e) {
  Value left = eval(*e.first);
  for (const auto& [op, expr] : e.rest) {
    const Value right = eval(*expr);
    offset_ = e.offset;
    if (!compare_op(*this, op, left, right)) return Value::of(false);
    left = right;
  }
  return Value::of(true);
}

Value Interpreter::eval_concat(const Concat& e) {
  std::vector<Value> parts;
  parts.reserve(e.parts.size());
  bool markup = false;
  for (const ExprPtr& part : e.parts) {
    parts.push_back(eval(*part));
    markup |= parts.back().is_string() && parts.back().str->markup;
  }
  offset_ = e.offset;
  markup &= autoescape_;
  std::string out;
  for (const Value& part : parts) {
    if (markup) {
      out += escape(*this, part).text();
    } else if (part.is_string()) {
      out += part.text();
    } else {
      out += str(*this, part);
    }
    heap_.reserve(out.size());
  }
  return heap_.string(out, markup);
}

Value Interpreter::eval_condition(const Condition& e) {
  if (truth(eval(*e.test))) return eval(*e.then);
  if (e.otherwise) return eval(*e.otherwise);
  return heap_.undefined_hint("the inline if-expression evaluated to false and no else section was defined.");
}

Value Interpreter::eval_item(const Item& e) {
  const Value object = eval(*e.object);
  if (e.key->kind == ExprKind::slice) {
    const auto& node = static_cast<const Slice&>(*e.key);
    const auto bound = [&](const ExprPtr& expr) { return expr ? eval(*expr) : Value::none(); };
    const Value start = bound(node.start), stop = bound(node.stop), step = bound(node.step);
    offset_ = e.offset;
    return slice_op(*this, object, start, stop, step);
  }
  const Value key = eval(*e.key);
  offset_ = e.offset;
  return item(object, key);
}

void Interpreter::spread_keywords(const Value& mapping, Arguments& out) {
  if (!mapping.is(Kind::dict)) type_error("argument after ** must be a mapping, not {}", type_name(mapping));
  for (const auto& [key, value] : mapping.dict->items) {
    if (!key.is_string()) type_error("keywords must be strings");
    for (const Keyword& other : out.keywords)
      if (other.name == key.text()) type_error("got multiple values for keyword argument '{}'", key.text());
    out.keywords.push_back({key.text(), value});
  }
}

Interpreter::Arguments Interpreter::eval_args(const CallArgs& args) {
  Arguments out;
  out.positional.reserve(args.positional.size());
  for (const ExprPtr& arg : args.positional) out.positional.push_back(eval(*arg));
  out.keywords.reserve(args.keywords.size());
  for (const auto& [name, value] : args.keywords) out.keywords.push_back({name, eval(*value)});
  if (args.more_positional) {
    Iterator* more = iterate(eval(*args.more_positional));
    for (Value v; more->next(*this, v);) {
      heap_.step();
      heap_.spend(sizeof(Value));
      out.positional.push_back(v);
    }
  }
  if (args.more_keywords) spread_keywords(eval(*args.more_keywords), out);
  return out;
}

Value Interpreter::eval_call(const Call& e, const Value* caller) {
  const Value function = eval(*e.function);
  Arguments args = eval_args(e.args);
  if (caller != nullptr) args.keywords.push_back({"caller", *caller});
  offset_ = e.offset;
  return call(function, args.view());
}

Value Interpreter::eval_filter(const Filter& e) {
  const Value subject = e.subject ? eval(*e.subject) : filter_input_;
  const Arguments args = eval_args(e.args);
  offset_ = e.offset;
  if (e.function == nullptr) fail_runtime(PyClass::other, "No filter named '{}' found.", e.name);
  return e.function(*this, subject, args.view());
}

Value Interpreter::eval_test(const Test& e) {
  const Value subject = eval(*e.subject);
  const Arguments args = eval_args(e.args);
  offset_ = e.offset;
  if (e.function == nullptr) fail_runtime(PyClass::other, "No test named '{}' found.", e.name);
  return Value::of(e.function(*this, subject, args.view()));
}

Value Interpreter::call(const Value& function, const Args& args) {
  if (function.is(Kind::undefined)) fail_runtime(PyClass::undefined, "{}", function.undefined->message());
  if (!function.is(Kind::object)) type_error("'{}' object is not callable", type_name(function));
  return function.object->call(*this, args);
}

Value Interpreter::call_filter(std::string_view name, const Value& subject, const Args& args) {
  const FilterFunction function = find_filter(name);
  if (function == nullptr) fail_runtime(PyClass::other, "No filter named '{}'.", name);
  heap_.step();
  return function(*this, subject, args);
}

bool Interpreter::call_test(std::string_view name, const Value& subject, const Args& args) {
  const TestFunction function = find_test(name);
  if (function == nullptr) fail_runtime(PyClass::other, "No test named '{}'.", name);
  heap_.step();
  return function(*this, subject, args);
}

Iterator* Interpreter::iterate(const Value& v) {
  Iterator* it = make_iterator(heap_, v);
  if (it == nullptr) type_error("'{}' object is not iterable", type_name(v));
  return it;
}

List* Interpreter::to_list(const Value& v) {
  List* out = heap_.list();
  if (v.is_sequence()) {
    out->items = v.list->items;
    heap_.step(out->items.size() / 8);
    return out;
  }
  Iterator* it = iterate(v);
  for (Value item; it->next(*this, item);) {
    heap_.step();
    out->items.push_back(item);
  }
  return out;
}

}  // namespace qw::text::jinja
