// The names of one scope while a template is resolved: jinja2's idtracking.Symbols. Test: with resolver.h.
#pragma once

#include <map>
#include <set>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/ast.h"

namespace qw::text::jinja {

// The function (activation) that a slot belongs to, while it is being resolved.
struct FunctionContext {
  FunctionContext* parent = nullptr;
  std::map<std::pair<int, std::string_view>, uint16_t> slots;  // (scope level, name): scopes of a level share

  uint16_t slot(int level, std::string_view name, size_t offset);
};

struct Place {
  FunctionContext* owner = nullptr;
  uint16_t slot = 0;
};

class Symbols {
 public:
  Symbols(FunctionContext* function, const Symbols* parent)
      : function_(function), parent_(parent), level_(parent == nullptr ? 0 : parent->level_ + 1) {}

  const Place* find(std::string_view name) const;
  void load(std::string_view name, size_t offset);
  void store(std::string_view name, size_t offset);
  Place declare_parameter(std::string_view name, size_t offset);
  // After an if: what any of its branches stored.
  void merge_branches(const std::vector<Symbols>& branches);
  // The loads of this scope for code in `function`.
  ScopeLoads loads() const;

  FunctionContext* function() const { return function_; }

 private:
  struct Load {
    ScopeLoad::How how;
    Place source;
    std::string_view name;
  };
  Place define(std::string_view name, size_t offset, const Load& load);

  FunctionContext* function_;
  const Symbols* parent_;
  int level_;
  std::map<std::string_view, Place> refs_;
  std::map<uint16_t, Load> loads_;
  std::set<std::string_view> stores_;
};

// Of `names`, those that the expressions and statements read before they store them
// (compiler.find_undeclared).
std::set<std::string_view> find_undeclared(const Body& body, std::set<std::string_view> names);

}  // namespace qw::text::jinja
