// The expression half of the parser: precedence as in jinja2 (power binds to the left, filters bind tighter
// than signs).
#include <algorithm>

#include "text/jinja/parser.h"

namespace qw::text::jinja {

void Parser::raise_depth(Expr& node, const Expr* part) const {
  if (part == nullptr) return;
  node.depth = std::max(node.depth, part->depth + 1);
  if (node.depth > kMaxNesting) fail_syntax(node.offset, "expression nested too deeply");
}

ExprPtr Parser::finish(ExprPtr node, std::initializer_list<const Expr*> parts) const {
  for (const Expr* part : parts) raise_depth(*node, part);
  return node;
}

ExprPtr Parser::finish(ExprPtr node, const ExprList& parts) const {
  for (const ExprPtr& part : parts) raise_depth(*node, part.get());
  return node;
}

void Parser::measure(Expr& node, const CallArgs& args) const {
  for (const ExprPtr& part : args.positional) raise_depth(node, part.get());
  for (const auto& [key, part] : args.keywords) raise_depth(node, part.get());
  raise_depth(node, args.more_positional.get());
  raise_depth(node, args.more_keywords.get());
}

ExprPtr Parser::binary(ExprKind kind, ExprPtr left, ExprPtr right, size_t offset) const {
  auto node = std::make_unique<Binary>(kind, offset);
  const Expr* l = left.get();
  const Expr* r = right.get();
  node->left = std::move(left);
  node->right = std::move(right);
  return finish(std::move(node), {l, r});
}

ExprPtr Parser::expression(bool with_condition) {
  return with_condition ? condition() : disjunction();
}

ExprPtr Parser::condition() {
  if (++nesting_ > kMaxNesting) fail_syntax(peek().offset, "nested too deeply");
  ExprPtr value = disjunction();
  while (at_name("if")) {
    auto node = std::make_unique<Condition>(next().offset);
    node->test = disjunction();
    if (skip_name("else")) node->otherwise = condition();
    node->then = std::move(value);
    const Expr* parts[] = {node->test.get(), node->then.get(), node->otherwise.get()};
    value = finish(std::move(node), {parts[0], parts[1], parts[2]});
  }
  --nesting_;
  return value;
}

ExprPtr Parser::disjunction() {
  ExprPtr left = conjunction();
  while (at_name("or")) {
    const size_t offset = next().offset;
    left = binary(ExprKind::logic, std::move(left), conjunction(), offset);
  }
  return left;
}

ExprPtr Parser::conjunction() {
  ExprPtr left = negation();
  while (at_name("and")) {
    const size_t offset = next().offset;
    left = binary(ExprKind::logic, std::move(left), negation(), offset);
    static_cast<Binary&>(*left).conjunction = true;
  }
  return left;
}

ExprPtr Parser::negation() {
  std::vector<size_t> nots;
  while (at_name("not")) nots.push_back(next().offset);
  ExprPtr value = comparison();
  for (; !nots.empty(); nots.pop_back()) {
    auto node = std::make_unique<Unary>(ExprKind::negation, nots.back());
    node->operand = std::move(value);
    const Expr* operand = node->operand.get();
    value = finish(std::move(node), {operand});
  }
  return value;
}

namespace {

bool comparison_op(Tok kind, CompareOp& op) {
  switch (kind) {
    case Tok::eq:
      return op = CompareOp::eq, true;
    case Tok::ne:
      return op = CompareOp::ne, true;
    case Tok::lt:
      return op = CompareOp::lt, true;
    case Tok::lteq:
      return op = CompareOp::le, true;
    case Tok::gt:
      return op = CompareOp::gt, true;
    case Tok::gteq:
      return op = CompareOp::ge, true;
    default:
      return false;
  }
}

bool product_op(Tok kind, BinaryOp& op) {
  switch (kind) {
    case Tok::mul:
      return op = BinaryOp::mul, true;
    case Tok::div:
      return op = BinaryOp::div, true;
    case Tok::floordiv:
      return op = BinaryOp::floordiv, true;
    case Tok::mod:
      return op = BinaryOp::mod, true;
    default:
      return false;
  }
}

}  // namespace

ExprPtr Parser::comparison() {
  ExprPtr first = sum();
  std::unique_ptr<Compare> node;
  while (true) {
    const size_t offset = peek().offset;
    CompareOp op{};
    if (comparison_op(peek().kind, op)) {
      next();
    } else if (skip_name("in")) {
      op = CompareOp::in;
    } else if (at_name("not") && at_name("in", 1)) {
      next(), next();
      op = CompareOp::not_in;
    } else {
      break;
    }
    if (!node) {
      node = std::make_unique<Compare>(offset);
      raise_depth(*node, first.get());
      node->first = std::move(first);
    }
    node->rest.emplace_back(op, sum());
    raise_depth(*node, node->rest.back().second.get());
  }
  if (node) return node;
  return first;
}

ExprPtr Parser::sum() {
  ExprPtr left = concat();
  while (at(Tok::add) || at(Tok::sub)) {
    const Token& op = next();
    left = binary(ExprKind::binary, std::move(left), concat(), op.offset);
    static_cast<Binary&>(*left).op = op.kind == Tok::add ? BinaryOp::add : BinaryOp::sub;
  }
  return left;
}

ExprPtr Parser::concat() {
  const size_t offset = peek().offset;
  ExprPtr first = product();
  if (!at(Tok::tilde)) return first;
  auto node = std::make_unique<Concat>(offset);
  raise_depth(*node, first.get());
  node->parts.push_back(std::move(first));
  while (skip(Tok::tilde)) {
    node->parts.push_back(product());
    raise_depth(*node, node->parts.back().get());
  }
  return node;
}

ExprPtr Parser::product() {
  ExprPtr left = power();
  BinaryOp op{};
  while (product_op(peek().kind, op)) {
    const size_t offset = next().offset;
    left = binary(ExprKind::binary, std::move(left), power(), offset);
    static_cast<Binary&>(*left).op = op;
  }
  return left;
}

ExprPtr Parser::power() {
  ExprPtr left = unary();
  while (at(Tok::pow)) {
    const size_t offset = next().offset;
    left = binary(ExprKind::binary, std::move(left), unary(), offset);
    static_cast<Binary&>(*left).op = BinaryOp::pow;
  }
  return left;
}

ExprPtr Parser::unary(bool with_filter) {
  if (++nesting_ > kMaxNesting) fail_syntax(peek().offset, "nested too deeply");
  ExprPtr node;
  if (at(Tok::sub) || at(Tok::add)) {
    auto sign = std::make_unique<Unary>(ExprKind::unary, peek().offset);
    sign->minus = next().kind == Tok::sub;
    sign->operand = unary(false);
    const Expr* operand = sign->operand.get();
    node = finish(std::move(sign), {operand});
  } else {
    node = primary();
  }
  node = postfix(std::move(node));
  if (with_filter) node = filter_expr(std::move(node));
  --nesting_;
  return node;
}

ExprPtr Parser::name_or_constant(bool with_namespace) {
  const Token& token = next();
  const std::string_view name = token.text;
  if (name == "true" || name == "True" || name == "false" || name == "False")
    return std::make_unique<Constant>(token.offset, Value::of(name == "true" || name == "True"));
  if (name == "none" || name == "None") return std::make_unique<Constant>(token.offset, Value::none());
  if (with_namespace && skip(Tok::dot))
    return std::make_unique<NamespaceRef>(token.offset, name, expect(Tok::name).text);
  return std::make_unique<Name>(token.offset, name, NameUse::load);
}

ExprPtr Parser::primary(bool with_namespace) {
  const Token& token = peek();
  switch (token.kind) {
    case Tok::name:
      return name_or_constant(with_namespace);
    case Tok::string: {
      next();
      if (!at(Tok::string)) return std::make_unique<Constant>(token.offset, token.value);
      std::string text(token.value.text());
      while (at(Tok::string)) text += next().value.text();
      return std::make_unique<Constant>(token.offset, heap_.string(text));
    }
    case Tok::integer:
    case Tok::real:
      next();
      return std::make_unique<Constant>(token.offset, token.value);
    case Tok::lparen: {
      next();
      ExprPtr inside = tuple({.explicit_parentheses = true});
      expect(Tok::rparen);
      return inside;
    }
    case Tok::lbracket:
      return list_literal();
    case Tok::lbrace:
      return dict_literal();
    default:
      fail_syntax(token.offset, "unexpected '{}'", describe(token));
  }
}

bool Parser::tuple_ends(std::string_view end) const {
  return at(Tok::variable_end) || at(Tok::block_end) || at(Tok::rparen) || (!end.empty() && at_name(end));
}

ExprPtr Parser::tuple(const TupleRules& rules) {
  const size_t offset = peek().offset;
  auto node = std::make_unique<Sequence>(ExprKind::tuple, offset);
  bool is_tuple = false;
  while (true) {
    if (!node->items.empty()) expect(Tok::comma);
    if (tuple_ends(rules.end)) break;
    node->items.push_back(rules.simplified ? primary(rules.with_namespace)
                                           : expression(rules.with_condition));
    raise_depth(*node, node->items.back().get());
    if (!at(Tok::comma)) break;
    is_tuple = true;
  }
  if (is_tuple || (node->items.empty() && rules.explicit_parentheses)) return node;
  if (node->items.empty()) fail_syntax(offset, "Expected an expression, got '{}'", describe(peek()));
  return std::move(node->items[0]);
}

ExprPtr Parser::list_literal() {
  auto node = std::make_unique<Sequence>(ExprKind::list, expect(Tok::lbracket).offset);
  while (!at(Tok::rbracket)) {
    if (!node->items.empty()) expect(Tok::comma);
    if (at(Tok::rbracket)) break;
    node->items.push_back(expression());
    raise_depth(*node, node->items.back().get());
  }
  next();
  return node;
}

ExprPtr Parser::dict_literal() {
  auto node = std::make_unique<DictLiteral>(expect(Tok::lbrace).offset);
  while (!at(Tok::rbrace)) {
    if (!node->items.empty()) expect(Tok::comma);
    if (at(Tok::rbrace)) break;
    ExprPtr key = expression();
    expect(Tok::colon);
    node->items.emplace_back(std::move(key), expression());
    raise_depth(*node, node->items.back().first.get());
    raise_depth(*node, node->items.back().second.get());
  }
  next();
  return node;
}

ExprPtr Parser::postfix(ExprPtr node) {
  while (true) {
    if (at(Tok::dot) || at(Tok::lbracket)) {
      node = subscript(std::move(node));
    } else if (at(Tok::lparen)) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::filter_expr(ExprPtr node) {
  while (true) {
    if (at(Tok::pipe)) {
      node = filters(std::move(node));
    } else if (at_name("is")) {
      node = test(std::move(node));
    } else if (at(Tok::lparen)) {
      node = call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::subscript(ExprPtr object) {
  const Token& open = next();
  ExprPtr node;
  if (open.kind == Tok::dot) {
    const Token& attribute = next();
    if (attribute.kind == Tok::name) {
      node = std::make_unique<Attribute>(attribute.offset, std::move(object), attribute.text);
      const Expr* part = static_cast<Attribute&>(*node).object.get();
      return finish(std::move(node), {part});
    }
    if (attribute.kind != Tok::integer) fail_syntax(attribute.offset, "expected name or number");
    node = std::make_unique<Item>(open.offset, std::move(object),
                                  std::make_unique<Constant>(attribute.offset, attribute.value));
  } else {
    auto keys = std::make_unique<Sequence>(ExprKind::tuple, open.offset);
    while (!at(Tok::rbracket)) {
      if (!keys->items.empty()) expect(Tok::comma);
      keys->items.push_back(subscribed());
      raise_depth(*keys, keys->items.back().get());
    }
    next();
    ExprPtr key;
    if (keys->items.size() == 1) {
      key = std::move(keys->items[0]);
    } else {
      for (const ExprPtr& item : keys->items)
        if (item->kind == ExprKind::slice) fail_syntax(item->offset, "slices cannot be part of a tuple");
      key = std::move(keys);
    }
    node = std::make_unique<Item>(open.offset, std::move(object), std::move(key));
  }
  const Item& item = static_cast<Item&>(*node);
  const Expr* parts[] = {item.object.get(), item.key.get()};
  return finish(std::move(node), {parts[0], parts[1]});
}

ExprPtr Parser::subscribed() {
  const size_t offset = peek().offset;
  ExprPtr start;
  if (!at(Tok::colon)) {
    start = expression();
    if (!at(Tok::colon)) return start;
  }
  next();
  auto node = std::make_unique<Slice>(offset);
  node->start = std::move(start);
  const auto bound = [&]() -> ExprPtr {
    return at(Tok::colon) || at(Tok::rbracket) || at(Tok::comma) ? nullptr : expression();
  };
  node->stop = bound();
  if (skip(Tok::colon) && !at(Tok::rbracket) && !at(Tok::comma)) node->step = expression();
  const Expr* parts[] = {node->start.get(), node->stop.get(), node->step.get()};
  return finish(std::move(node), {parts[0], parts[1], parts[2]});
}

CallArgs Parser::call_args() {
  const size_t offset = expect(Tok::lparen).offset;
  CallArgs out;
  const auto ensure = [&](bool ok) {
    if (!ok) fail_syntax(offset, "invalid syntax for function call expression");
  };
  bool first = true;
  while (!at(Tok::rparen)) {
    if (!std::exchange(first, false)) {
      expect(Tok::comma);
      if (at(Tok::rparen)) break;
    }
    if (skip(Tok::mul)) {
      ensure(!out.more_positional && !out.more_keywords);
      out.more_positional = expression();
    } else if (skip(Tok::pow)) {
      ensure(!out.more_keywords);
      out.more_keywords = expression();
    } else if (at(Tok::name) && peek(1).kind == Tok::assign) {
      ensure(!out.more_keywords);
      const std::string_view key = next().text;
      for (const auto& [other, value] : out.keywords)
        if (other == key) fail_syntax(offset, "keyword argument repeated: {}", key);
      next();
      out.keywords.emplace_back(key, expression());
    } else {
      ensure(!out.more_positional && !out.more_keywords && out.keywords.empty());
      out.positional.push_back(expression());
    }
  }
  expect(Tok::rparen);
  return out;
}

ExprPtr Parser::call(ExprPtr function) {
  auto node = std::make_unique<Call>(peek().offset, std::move(function));
  raise_depth(*node, node->function.get());
  node->args = call_args();
  measure(*node, node->args);
  return node;
}

std::string_view Parser::dotted_name() {
  const Token& first = expect(Tok::name);
  if (!at(Tok::dot)) return first.text;
  std::string name(first.text);
  while (skip(Tok::dot)) name.append(".").append(expect(Tok::name).text);
  return heap_.copy(name);
}

ExprPtr Parser::filters(ExprPtr node, bool start_inline) {
  while (at(Tok::pipe) || start_inline) {
    if (!std::exchange(start_inline, false)) next();
    auto filter = std::make_unique<Filter>(peek().offset);
    filter->name = dotted_name();
    raise_depth(*filter, node.get());
    filter->subject = std::move(node);
    if (at(Tok::lparen)) filter->args = call_args();
    measure(*filter, filter->args);
    node = std::move(filter);
  }
  return node;
}

ExprPtr Parser::test(ExprPtr subject) {
  auto node = std::make_unique<Test>(next().offset);
  const bool negated = skip_name("not");
  node->name = dotted_name();
  raise_depth(*node, subject.get());
  node->subject = std::move(subject);
  const Tok kind = peek().kind;
  const bool literal = kind == Tok::string || kind == Tok::integer || kind == Tok::real ||
                       kind == Tok::lbracket || kind == Tok::lbrace;
  if (kind == Tok::lparen) {
    node->args = call_args();
  } else if (literal || (kind == Tok::name && !at_name("else") && !at_name("or") && !at_name("and"))) {
    if (at_name("is")) fail_syntax(peek().offset, "You cannot chain multiple tests with is");
    node->args.positional.push_back(postfix(primary()));
  }
  measure(*node, node->args);
  if (!negated) return node;
  auto outer = std::make_unique<Unary>(ExprKind::negation, node->offset);
  outer->operand = std::move(node);
  const Expr* operand = outer->operand.get();
  return finish(std::move(outer), {operand});
}

}  // namespace qw::text::jinja
