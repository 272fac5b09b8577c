// The values of templates, with the meaning of Python's. A Value is a 16-byte handle; what it points to
// belongs to a Heap and lives as long as that. Strings are UTF-8 counted in code points. Spec: jinja2 3.1.6
// on Python 3.14. Test: tests/text/chat_template_test.cc
#pragma once

#include <cstdint>
#include <memory_resource>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "text/jinja/bigint.h"
#include "text/jinja/failure.h"

namespace qw::text::jinja {

class Heap;
class Interpreter;
struct Value;

enum class Kind : uint8_t {
  missing,  // an unbound slot; no expression has this value
  undefined,
  none,
  boolean,
  integer,
  big_integer,
  real,
  string,
  list,
  tuple,
  dict,
  dict_view,
  range,
  iterator,  // a generator: one pass
  name_space,
  object,  // macro, function, bound method, loop, cycler, joiner
};

struct Str {
  std::string_view text;
  size_t n_chars;  // code points
  bool markup;     // markupsafe.Markup: escaped already
  bool ascii() const { return n_chars == text.size(); }
};

struct Undefined;
struct BigRep;
struct List;
struct Dict;
struct DictView;
struct Range;
class Iterator;
struct Namespace;
class Object;

struct Value {
  Kind kind = Kind::none;
  union {
    bool boolean;
    int64_t integer = 0;
    double real;
    const Str* str;
    const Undefined* undefined;
    const BigRep* big;
    List* list;  // list and tuple
    Dict* dict;
    const DictView* view;
    const Range* range;
    Iterator* iterator;
    Namespace* name_space;
    Object* object;
  };

  static Value none() { return {}; }
  static Value missing() { return of_kind(Kind::missing); }
  static Value of(bool v) {
    Value out = of_kind(Kind::boolean);
    out.boolean = v;
    return out;
  }
  static Value of(int64_t v) {
    Value out = of_kind(Kind::integer);
    out.integer = v;
    return out;
  }
  static Value of(int v) { return of(int64_t{v}); }
  static Value of(size_t v) { return of(static_cast<int64_t>(v)); }
  static Value of(double v) {
    Value out = of_kind(Kind::real);
    out.real = v;
    return out;
  }
  static Value of(const Str* v) {
    Value out = of_kind(Kind::string);
    out.str = v;
    return out;
  }
  static Value of(Dict* v) {
    Value out = of_kind(Kind::dict);
    out.dict = v;
    return out;
  }
  static Value of(List* v, Kind kind = Kind::list) {
    Value out = of_kind(kind);
    out.list = v;
    return out;
  }
  static Value of(Iterator* v) {
    Value out = of_kind(Kind::iterator);
    out.iterator = v;
    return out;
  }
  static Value of(Object* v) {
    Value out = of_kind(Kind::object);
    out.object = v;
    return out;
  }
  static Value of_kind(Kind kind) {
    Value out;
    out.kind = kind;
    return out;
  }

  bool is(Kind k) const { return kind == k; }
  bool is_string() const { return kind == Kind::string; }
  bool is_sequence() const { return kind == Kind::list || kind == Kind::tuple; }
  // bool, int, big int: what Python's operator.index takes.
  bool is_integral() const {
    return kind == Kind::boolean || kind == Kind::integer || kind == Kind::big_integer;
  }
  bool is_number() const { return is_integral() || kind == Kind::real; }
  std::string_view text() const { return str->text; }
};

// Why a value is undefined: jinja2's Undefined(hint, obj, name, exc).
struct Undefined {
  std::string_view hint;
  Value name;                       // of the variable, attribute or element
  Value object = Value::missing();  // what had no such attribute
  std::string message() const;
};

struct BigRep {
  bool negative;
  std::span<const uint32_t> limbs;
};

using ValueVector = std::pmr::vector<Value>;

struct List {
  explicit List(std::pmr::memory_resource* memory) : items(memory) {}
  ValueVector items;
  bool group = false;  // the (grouper, list) tuple of the filter groupby, whose parts have names
};

// Python's dict: ordered, keys equal across number types (1 == 1.0 == True).
struct Dict {
  explicit Dict(std::pmr::memory_resource* memory) : items(memory), index(memory) {}

  // nullptr where the key is absent. A key that is not hashable is a type error. The heap's budget pays for
  // the search.
  const Value* find(Heap& heap, const Value& key) const;
  const Value* find(std::string_view key) const;
  void set(Heap& heap, const Value& key, const Value& value);

  std::pmr::vector<std::pair<Value, Value>> items;

 private:
  template <class Same>
  size_t locate(size_t hash, Same same) const;  // position in items, or kNoOffset
  void index_last(Heap& heap);
  std::pmr::vector<uint32_t> index;  // open addressing; used above 8 items
};

struct DictView {
  enum class What { keys, values, items } what;
  const Dict* dict;
};

struct Range {
  int64_t start, stop, step;
  int64_t length() const;
};

// Python's iterator protocol. Objects live on a Heap: destructors never run.
class Iterator {
 public:
  virtual bool next(Interpreter& in, Value& out) = 0;
  virtual std::string_view type_name() const { return "generator"; }

 protected:
  ~Iterator() = default;
};

struct Namespace {
  explicit Namespace(std::pmr::memory_resource* memory) : attributes(memory) {}
  Dict attributes;
};

struct Keyword {
  std::string_view name;
  Value value;
};

struct Args {
  std::span<const Value> positional;
  std::span<const Keyword> keywords;
};

// Callables and other opaque objects.
class Object {
 public:
  virtual Value call(Interpreter& in, const Args& args);
  virtual std::optional<Value> attribute(Interpreter& in, std::string_view name);
  virtual std::optional<int64_t> length(Interpreter& in);
  virtual std::string repr(Interpreter& in) const = 0;
  virtual std::string_view type_name() const = 0;
  virtual bool callable() const { return true; }

 protected:
  ~Object() = default;
};

// Nesting that printing, comparing, hashing and serialising follow before they give up with a limit failure.
inline constexpr int kMaxValueDepth = 400;

bool truth(const Value& v);
// Python's ==; `is` for objects without an equality of their own. The heap's budget pays for the walk, here
// and below.
bool equal(Heap& heap, const Value& a, const Value& b, int depth = 0);
// Python's < <= > >=; a type error where they do not order.
enum class Order { lt, le, gt, ge };
bool ordered(Heap& heap, const Value& a, const Value& b, Order op, int depth = 0);
size_t hash_of(Heap& heap, const Value& v, int depth = 0);
// "str", "dict": Python's type name, for messages.
std::string_view type_name(const Value& v);
// len(); none for types that have none.
std::optional<int64_t> length_of(const Value& v);
// The exact integer of a bool, int or big int.
BigInt to_big(const Value& v);
// The double of any number; an overflow error where a big int has none.
double to_real(const Value& v);

}  // namespace qw::text::jinja
