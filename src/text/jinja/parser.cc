#include "text/jinja/parser.h"

#include <algorithm>

#include "text/jinja/resolver.h"

namespace qw::text::jinja {

// Counts statement nesting while it lives.
class Parser::Nest {
 public:
  explicit Nest(Parser& parser) : parser_(parser) {
    if (++parser_.nesting_ > kMaxNesting) fail_syntax(parser_.peek().offset, "nested too deeply");
  }
  ~Nest() { --parser_.nesting_; }
  Nest(const Nest&) = delete;
  Nest& operator=(const Nest&) = delete;

 private:
  Parser& parser_;
};

const Token& Parser::next() {
  const Token& token = tokens_[pos_];
  if (pos_ + 1 < tokens_.size()) ++pos_;
  return token;
}

bool Parser::skip(Tok kind) {
  if (!at(kind)) return false;
  next();
  return true;
}

bool Parser::skip_name(std::string_view name) {
  if (!at_name(name)) return false;
  next();
  return true;
}

const Token& Parser::expect(Tok kind) {
  if (!at(kind)) {
    if (at(Tok::eof)) fail_syntax(peek().offset, "unexpected end of template, expected '{}'", describe(kind));
    fail_syntax(peek().offset, "expected token '{}', got '{}'", describe(kind), describe(peek()));
  }
  return next();
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) fail_syntax(peek().offset, "expected token '{}', got '{}'", name, describe(peek()));
}

Tree Parser::run() {
  Tree tree;
  tree.body = subparse({});
  tree.has_blocks = has_blocks_;
  return tree;
}

Body Parser::subparse(Ends ends) {
  const Nest nest(*this);
  Body body;
  std::unique_ptr<Output> output;
  const auto flush = [&] {
    if (output) body.push_back(std::move(output));
  };
  const auto part = [&](size_t offset) -> Output::Part& {
    if (!output) output = std::make_unique<Output>(offset);
    return output->parts.emplace_back();
  };
  while (!at(Tok::eof)) {
    const Token& token = next();
    if (token.kind == Tok::data) {
      part(token.offset).data = token.text;
    } else if (token.kind == Tok::variable_begin) {
      ExprPtr expr = tuple({});
      part(token.offset).expr = std::move(expr);
      expect(Tok::variable_end);
    } else {
      flush();
      if (at(Tok::name) && std::find(ends.begin(), ends.end(), peek().text) != ends.end()) return body;
      body.push_back(statement());
      expect(Tok::block_end);
    }
  }
  flush();
  if (ends.size() > 0)
    fail_syntax(peek().offset, "unexpected end of template, expected '{}'", fmt::join(ends, "' or '"));
  return body;
}

Body Parser::statements(Ends ends, bool drop) {
  skip(Tok::colon);
  expect(Tok::block_end);
  Body body = subparse(ends);
  if (drop) next();
  return body;
}

StmtPtr Parser::statement() {
  const Token& tag = peek();
  if (tag.kind != Tok::name) fail_syntax(tag.offset, "tag name expected");
  const std::string_view name = tag.text;
  if (name == "for") return parse_loop();
  if (name == "if") return parse_branch();
  if (name == "set") return parse_set();
  if (name == "macro") return parse_macro();
  if (name == "call") return parse_call_block();
  if (name == "filter") return parse_filter_block();
  if (name == "with") return parse_with();
  if (name == "autoescape") return parse_autoescape();
  if (name == "block") return parse_block();
  if (name == "print") return parse_print();
  if (name == "generation") return parse_generation();
  if (name == "break" || name == "continue") return parse_loop_control();
  if (name == "include" || name == "import" || name == "from" || name == "extends")
    return parse_foreign(name);
  fail_syntax(tag.offset, "Encountered unknown tag '{}'", name);
}

StmtPtr Parser::parse_loop() {
  auto node = std::make_unique<Loop>(next().offset);
  ++any_loops_;
  const size_t target_at = pos_;
  node->target = assign_target(false, "in");
  expect_name("in");
  node->iterable = tuple({.with_condition = false, .end = "recursive"});
  if (skip_name("if")) {
    node->test = expression();
    const size_t resume = std::exchange(pos_, target_at);
    node->test_target = assign_target(false, "in");
    pos_ = resume;
  }
  node->recursive = skip_name("recursive");
  ++loops_;
  node->body = statements({"endfor", "else"});
  --loops_;
  if (next().text == "else") node->otherwise = statements({"endfor"}, true);
  --any_loops_;
  return node;
}

StmtPtr Parser::parse_branch() {
  auto node = std::make_unique<Branch>(next().offset);
  while (true) {
    Branch::Arm arm;
    arm.test = tuple({.with_condition = false});
    arm.body = statements({"elif", "else", "endif"});
    node->arms.push_back(std::move(arm));
    const std::string_view tag = next().text;
    if (tag == "elif") continue;
    if (tag == "else") node->otherwise = statements({"endif"}, true);
    return node;
  }
}

StmtPtr Parser::parse_set() {
  const size_t offset = next().offset;
  ExprPtr target = assign_target(true);
  if (skip(Tok::assign)) {
    auto node = std::make_unique<Assign>(offset);
    node->target = std::move(target);
    node->value = tuple({});
    return node;
  }
  auto node = std::make_unique<AssignBlock>(offset);
  node->target = std::move(target);
  if (at(Tok::pipe)) node->filter = filters(nullptr);
  node->body = statements({"endset"}, true);
  return node;
}

std::unique_ptr<Name> Parser::name_target(NameUse use) {
  const Token& token = expect(Tok::name);
  auto name = std::make_unique<Name>(token.offset, token.text, use);
  mark_target(*name, use);
  return name;
}

ExprPtr Parser::assign_target(bool with_namespace, std::string_view end) {
  ExprPtr target = tuple({.simplified = true, .with_namespace = with_namespace, .end = end});
  mark_target(*target, NameUse::store);
  return target;
}

void Parser::mark_target(Expr& target, NameUse use) {
  if (target.kind == ExprKind::name) {
    Name& name = static_cast<Name&>(target);
    static constexpr std::string_view kReserved[] = {"true", "false", "none", "True", "False", "None"};
    if (std::find(std::begin(kReserved), std::end(kReserved), name.name) != std::end(kReserved))
      fail_syntax(target.offset, "can't assign to '{}'", name.name);
    if (use == NameUse::store && name.name == "loop" && any_loops_ > 0)
      fail_syntax(target.offset, "Can't assign to special loop variable in for-loop target");
    name.use = use;
  } else if (target.kind == ExprKind::tuple) {
    for (const ExprPtr& item : static_cast<Sequence&>(target).items) mark_target(*item, use);
  } else if (target.kind != ExprKind::namespace_ref) {
    fail_syntax(target.offset, "can't assign to this expression");
  }
}

void Parser::signature(MacroBody& macro) {
  expect(Tok::lparen);
  while (!at(Tok::rparen)) {
    if (!macro.params.empty()) expect(Tok::comma);
    MacroParam param;
    param.name = name_target(NameUse::param);
    for (const MacroParam& other : macro.params)
      if (other.name->name == param.name->name)
        fail_syntax(param.name->offset, "duplicate argument '{}'", param.name->name);
    if (skip(Tok::assign)) {
      param.fallback = expression();
    } else if (!macro.params.empty() && macro.params.back().fallback) {
      fail_syntax(peek().offset, "non-default argument follows default argument");
    }
    macro.params.push_back(std::move(param));
  }
  expect(Tok::rparen);
}

// A body that becomes a function: loops around it do not reach inside.
Body Parser::function_body(std::string_view end) {
  const int loops = std::exchange(loops_, 0);
  Body body = statements({end}, true);
  loops_ = loops;
  return body;
}

StmtPtr Parser::parse_macro() {
  auto node = std::make_unique<Macro>(next().offset);
  node->name = name_target(NameUse::store);
  signature(node->macro);
  node->macro.body = function_body("endmacro");
  return node;
}

StmtPtr Parser::parse_call_block() {
  auto node = std::make_unique<CallBlock>(next().offset);
  if (at(Tok::lparen)) signature(node->caller);
  node->call = expression();
  if (node->call->kind != ExprKind::call) fail_syntax(node->offset, "expected call");
  node->caller.body = function_body("endcall");
  return node;
}

StmtPtr Parser::parse_filter_block() {
  auto node = std::make_unique<FilterBlock>(next().offset);
  node->filter = filters(nullptr, true);
  node->body = statements({"endfilter"}, true);
  return node;
}

StmtPtr Parser::parse_with() {
  auto node = std::make_unique<With>(next().offset);
  while (!at(Tok::block_end)) {
    if (!node->targets.empty()) expect(Tok::comma);
    ExprPtr target = assign_target(false);
    mark_target(*target, NameUse::param);
    expect(Tok::assign);
    node->targets.emplace_back(std::move(target), expression());
  }
  node->body = statements({"endwith"}, true);
  return node;
}

StmtPtr Parser::parse_autoescape() {
  auto node = std::make_unique<Autoescape>(next().offset);
  node->enabled = expression();
  node->body = statements({"endautoescape"}, true);
  return node;
}

StmtPtr Parser::parse_block() {
  auto node = std::make_unique<Block>(next().offset);
  node->name = expect(Tok::name).text;
  if (std::find(block_names_.begin(), block_names_.end(), node->name) != block_names_.end())
    fail_syntax(node->offset, "block '{}' defined twice", node->name);
  block_names_.push_back(node->name);
  has_blocks_ = true;
  skip_name("scoped");
  node->required = skip_name("required");
  node->body = function_body("endblock");
  skip_name(node->name);
  return node;
}

StmtPtr Parser::parse_print() {
  auto node = std::make_unique<Output>(next().offset);
  while (!at(Tok::block_end)) {
    if (!node->parts.empty()) expect(Tok::comma);
    node->parts.emplace_back().expr = expression();
  }
  return node;
}

StmtPtr Parser::parse_generation() {
  auto node = std::make_unique<Generation>(next().offset);
  node->body.body = function_body("endgeneration");
  return node;
}

StmtPtr Parser::parse_loop_control() {
  const Token& token = next();
  if (loops_ == 0) fail_syntax(token.offset, "'{}' outside loop", token.text);
  return std::make_unique<Stmt>(token.text == "break" ? StmtKind::loop_break : StmtKind::loop_continue,
                                token.offset);
}

// Other templates do not exist here; the tag is parsed, because it may stand where it is never reached.
StmtPtr Parser::parse_foreign(std::string_view tag) {
  auto node = std::make_unique<Unsupported>(next().offset, tag);
  node->source = expression();
  if (tag == "include" && at_name("ignore") && at_name("missing", 1)) next(), next();
  if (tag == "import") {
    expect_name("as");
    node->stores.push_back(name_target(NameUse::store));
  }
  if (tag == "from") {
    parse_foreign_import(*node);
  } else if (tag != "extends") {
    skip_context_words();
  }
  return node;
}

void Parser::parse_foreign_import(Unsupported& node) {
  expect_name("import");
  while (true) {
    if (!node.stores.empty()) expect(Tok::comma);
    if (at_name("with") || at_name("without")) break;
    auto name = name_target(NameUse::store);
    if (name->name.starts_with("_"))
      fail_syntax(name->offset, "names starting with an underline can not be imported");
    if (skip_name("as")) name = name_target(NameUse::store);
    node.stores.push_back(std::move(name));
    if (!at(Tok::comma)) break;
  }
  skip_context_words();
}

void Parser::skip_context_words() {
  if ((at_name("with") || at_name("without")) && at_name("context", 1)) next(), next();
}

Tree parse_template(std::string_view source, Heap& heap) {
  Tree tree = Parser(tokenize(source, heap), heap).run();
  resolve(tree);
  return tree;
}

}  // namespace qw::text::jinja
