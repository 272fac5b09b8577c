// Visits the direct parts of an expression, in the order of jinja2's nodes.
#pragma once

#include "text/jinja/ast.h"

namespace qw::text::jinja {

template <class F>
void for_each_argument(const CallArgs& args, F&& f) {
  for (const ExprPtr& part : args.positional) f(*part);
  for (const auto& [key, part] : args.keywords) f(*part);
  if (args.more_positional) f(*args.more_positional);
  if (args.more_keywords) f(*args.more_keywords);
}

template <class F>
void for_each_optional(F&& f, std::initializer_list<Expr*> parts) {
  for (Expr* part : parts)
    if (part != nullptr) f(*part);
}

template <class F>
void for_each_part(Expr& e, F&& f) {
  switch (e.kind) {
    case ExprKind::constant:
    case ExprKind::name:
    case ExprKind::namespace_ref:
      break;
    case ExprKind::tuple:
    case ExprKind::list:
      for (const ExprPtr& part : static_cast<Sequence&>(e).items) f(*part);
      break;
    case ExprKind::dict:
      for (const auto& [key, value] : static_cast<DictLiteral&>(e).items) f(*key), f(*value);
      break;
    case ExprKind::unary:
    case ExprKind::negation:
      f(*static_cast<Unary&>(e).operand);
      break;
    case ExprKind::binary:
    case ExprKind::logic:
      f(*static_cast<Binary&>(e).left), f(*static_cast<Binary&>(e).right);
      break;
    case ExprKind::compare:
      f(*static_cast<Compare&>(e).first);
      for (const auto& [op, part] : static_cast<Compare&>(e).rest) f(*part);
      break;
    case ExprKind::concat:
      for (const ExprPtr& part : static_cast<Concat&>(e).parts) f(*part);
      break;
    case ExprKind::condition: {
      auto& c = static_cast<Condition&>(e);
      for_each_optional(f, {c.test.get(), c.then.get(), c.otherwise.get()});
      break;
    }
    case ExprKind::attribute:
      f(*static_cast<Attribute&>(e).object);
      break;
    case ExprKind::item:
      f(*static_cast<Item&>(e).object), f(*static_cast<Item&>(e).key);
      break;
    case ExprKind::slice: {
      auto& s = static_cast<Slice&>(e);
      for_each_optional(f, {s.start.get(), s.stop.get(), s.step.get()});
      break;
    }
    case ExprKind::call:
      f(*static_cast<Call&>(e).function);
      for_each_argument(static_cast<Call&>(e).args, f);
      break;
    case ExprKind::filter:
      for_each_optional(f, {static_cast<Filter&>(e).subject.get()});
      for_each_argument(static_cast<Filter&>(e).args, f);
      break;
    case ExprKind::test:
      f(*static_cast<Test&>(e).subject);
      for_each_argument(static_cast<Test&>(e).args, f);
      break;
  }
}

}  // namespace qw::text::jinja
