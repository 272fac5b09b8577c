// What filters take as "attribute": a dotted path, looked up part by part. Spec:
// jinja2.filters.make_attrgetter.
#pragma once

#include <vector>

#include "text/jinja/interpreter.h"

namespace qw::text::jinja {

class AttributePath {
 public:
  // `attribute` absent or none: the item itself. `lower`: strings are compared without case. `fallback`
  // stands for what is undefined, unless it is absent or none.
  AttributePath(Interpreter& in, const Value& attribute, bool lower,
                const Value& fallback = Value::missing());
  Value get(Interpreter& in, Value item) const;

  // "a,b.c" → one path each.
  static std::vector<AttributePath> list(Interpreter& in, const Value& attribute, bool lower);

 private:
  std::vector<Value> parts_;
  bool lower_;
  Value fallback_;
};

// Strings in lower case, other values as they are.
Value without_case(Interpreter& in, const Value& v);

}  // namespace qw::text::jinja
