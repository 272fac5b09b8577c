#include "text/jinja/symbols.h"

#include "text/jinja/walk.h"

namespace qw::text::jinja {

uint16_t FunctionContext::slot(int level, std::string_view name, size_t offset) {
  const auto [it, fresh] = slots.try_emplace({level, name}, static_cast<uint16_t>(slots.size()));
  if (fresh && slots.size() > 0xFFFF) fail_syntax(offset, "too many names");
  return it->second;
}

const Place* Symbols::find(std::string_view name) const {
  for (const Symbols* s = this; s != nullptr; s = s->parent_)
    if (const auto it = s->refs_.find(name); it != s->refs_.end()) return &it->second;
  return nullptr;
}

Place Symbols::define(std::string_view name, size_t offset, const Load& load) {
  const Place place{function_, function_->slot(level_, name, offset)};
  refs_[name] = place;
  loads_[place.slot] = load;
  return place;
}

void Symbols::load(std::string_view name, size_t offset) {
  if (find(name) == nullptr) define(name, offset, {ScopeLoad::How::resolve, {}, name});
}

void Symbols::store(std::string_view name, size_t offset) {
  stores_.insert(name);
  if (refs_.contains(name)) return;
  if (const Place* outer = parent_ == nullptr ? nullptr : parent_->find(name)) {
    define(name, offset, {ScopeLoad::How::alias, *outer, name});
  } else {
    define(name, offset, {ScopeLoad::How::undefined, {}, name});
  }
}

Place Symbols::declare_parameter(std::string_view name, size_t offset) {
  stores_.insert(name);
  return define(name, offset, {ScopeLoad::How::param, {}, name});
}

void Symbols::merge_branches(const std::vector<Symbols>& branches) {
  std::set<std::string_view> fresh;
  for (const Symbols& branch : branches)
    for (const std::string_view name : branch.stores_)
      if (!stores_.contains(name)) fresh.insert(name);
  for (const Symbols& branch : branches) {
    for (const auto& [name, place] : branch.refs_) refs_[name] = place;
    for (const auto& [slot, load] : branch.loads_) loads_[slot] = load;
    stores_.insert(branch.stores_.begin(), branch.stores_.end());
  }
  for (const std::string_view name : fresh) {
    const Place target = refs_.at(name);
    if (const Place* outer = parent_ == nullptr ? nullptr : parent_->find(name)) {
      loads_[target.slot] = {ScopeLoad::How::alias, *outer, name};
    } else {
      loads_[target.slot] = {ScopeLoad::How::resolve, {}, name};
    }
  }
}

ScopeLoads Symbols::loads() const {
  ScopeLoads out;
  for (const auto& [slot, load] : loads_) {
    ScopeLoad row{load.how, slot, {}, load.name};
    if (load.how == ScopeLoad::How::alias) {
      for (const FunctionContext* f = function_; f != load.source.owner; f = f->parent) ++row.source.hops;
      row.source.slot = load.source.slot;
    }
    out.push_back(row);
  }
  return out;
}

namespace {

// Walks statements in the order of jinja2's nodes and notes names that are read before they are stored.
class UndeclaredFinder {
 public:
  explicit UndeclaredFinder(std::set<std::string_view> names) : names_(std::move(names)) {}
  std::set<std::string_view> take() { return std::move(found_); }

  void body(const Body& statements) {
    for (const StmtPtr& s : statements) statement(*s);
  }

 private:
  void expr(Expr& e) {
    if (e.kind == ExprKind::name) {
      const Name& name = static_cast<Name&>(e);
      if (name.use == NameUse::load && names_.contains(name.name)) {
        found_.insert(name.name);
      } else if (name.use != NameUse::load) {
        names_.erase(name.name);
      }
      return;
    }
    for_each_part(e, [&](Expr& part) { expr(part); });
  }
  void optional(const ExprPtr& e) {
    if (e) expr(*e);
  }
  void macro(const MacroBody& m) {
    for (const MacroParam& p : m.params) expr(*p.name);
    for (const MacroParam& p : m.params) optional(p.fallback);
    body(m.body);
  }

  void statement(Stmt& s) {
    switch (s.kind) {
      case StmtKind::output:
        for (const Output::Part& part : static_cast<Output&>(s).parts) optional(part.expr);
        break;
      case StmtKind::branch:
        for (const Branch::Arm& arm : static_cast<Branch&>(s).arms) expr(*arm.test), body(arm.body);
        body(static_cast<Branch&>(s).otherwise);
        break;
      case StmtKind::loop: {
        auto& n = static_cast<Loop&>(s);
        expr(*n.target), expr(*n.iterable), body(n.body), body(n.otherwise), optional(n.test);
        break;
      }
      case StmtKind::assign:
        expr(*static_cast<Assign&>(s).target), expr(*static_cast<Assign&>(s).value);
        break;
      case StmtKind::assign_block:
        expr(*static_cast<AssignBlock&>(s).target), optional(static_cast<AssignBlock&>(s).filter);
        body(static_cast<AssignBlock&>(s).body);
        break;
      default:
        scoped_statement(s);
    }
  }

  void scoped_statement(Stmt& s) {
    switch (s.kind) {
      case StmtKind::macro:
        macro(static_cast<Macro&>(s).macro);
        break;
      case StmtKind::call_block:
        expr(*static_cast<CallBlock&>(s).call), macro(static_cast<CallBlock&>(s).caller);
        break;
      case StmtKind::generation:
        macro(static_cast<Generation&>(s).body);
        break;
      case StmtKind::filter_block:
        body(static_cast<FilterBlock&>(s).body), expr(*static_cast<FilterBlock&>(s).filter);
        break;
      case StmtKind::with:
        for (const auto& [target, value] : static_cast<With&>(s).targets) expr(*target);
        for (const auto& [target, value] : static_cast<With&>(s).targets) expr(*value);
        body(static_cast<With&>(s).body);
        break;
      case StmtKind::autoescape:
        expr(*static_cast<Autoescape&>(s).enabled), body(static_cast<Autoescape&>(s).body);
        break;
      case StmtKind::unsupported:
        optional(static_cast<Unsupported&>(s).source);
        break;
      default:
        break;  // blocks are not looked into
    }
  }

  std::set<std::string_view> names_, found_;
};

}  // namespace

std::set<std::string_view> find_undeclared(const Body& body, std::set<std::string_view> names) {
  UndeclaredFinder finder(std::move(names));
  finder.body(body);
  return finder.take();
}

}  // namespace qw::text::jinja
