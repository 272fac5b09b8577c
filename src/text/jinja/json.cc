#include "text/jinja/json.h"

#include <charconv>
#include <limits>
#include <nlohmann/json.hpp>
#include <vector>

namespace qw::text::jinja {
namespace {

using Number = nlohmann::json;

// Receives nlohmann's SAX events. Its own tree is not used: it would lose big integers and the difference of
// 1 and 1.0.
class Builder {
 public:
  explicit Builder(Heap& heap) : heap_(heap) {}

  bool null() { return add(Value::none()); }
  bool boolean(bool v) { return add(Value::of(v)); }
  bool number_integer(Number::number_integer_t v) { return add(Value::of(int64_t{v})); }
  bool number_unsigned(Number::number_unsigned_t v) {
    if (v <= static_cast<uint64_t>(std::numeric_limits<int64_t>::max()))
      return add(Value::of(static_cast<int64_t>(v)));
    return add(heap_.integer(BigInt::parse(std::to_string(v))));
  }
  // Also gets integers of more than 64 bits, as their literal.
  bool number_float(Number::number_float_t v, const std::string& literal) {
    if (literal.find_first_of(".eE") != std::string::npos) return add(Value::of(v));
    if (literal.size() > 4300) return false;  // Python's json refuses them as well
    return add(heap_.integer(BigInt::parse(literal)));
  }
  bool string(std::string& v) { return add(heap_.string(v)); }
  bool binary(Number::binary_t&) { return false; }
  bool start_object(size_t) { return open(Value::of(heap_.dict())); }
  bool key(std::string& v) {
    stack_.back().key = heap_.string(v);
    return true;
  }
  bool end_object() { return close(); }
  bool start_array(size_t) { return open(Value::of(heap_.list())); }
  bool end_array() { return close(); }
  bool parse_error(size_t position, const std::string&, const nlohmann::detail::exception&) {
    offset_ = position;
    return false;
  }

  Value root() const { return root_; }
  size_t offset() const { return offset_; }
  bool too_deep() const { return too_deep_; }

 private:
  struct Open {
    Value container;
    Value key;
  };

  bool add(const Value& v) {
    if (stack_.empty()) {
      root_ = v;
    } else if (Open& top = stack_.back(); top.container.is(Kind::dict)) {
      top.container.dict->set(heap_, top.key, v);
    } else {
      top.container.list->items.push_back(v);
    }
    return true;
  }
  bool open(const Value& container) {
    add(container);
    stack_.push_back({container, {}});
    too_deep_ = stack_.size() > static_cast<size_t>(kMaxJsonDepth);
    return !too_deep_;
  }
  bool close() {
    stack_.pop_back();
    return true;
  }

  Heap& heap_;
  Value root_;
  std::vector<Open> stack_;
  size_t offset_ = 0;
  bool too_deep_ = false;
};

}  // namespace

Result<Value> value_from_json(Heap& heap, std::string_view text) {
  Builder builder(heap);
  try {
    if (!nlohmann::json::sax_parse(text, &builder)) {
      if (builder.too_deep()) return fail("json.too_deep", {{"file", "JSON"}, {"limit", kMaxJsonDepth}});
      return fail("json.parse", {{"file", "JSON"}, {"offset", builder.offset()}});
    }
  } catch (const Failure& failure) {
    return fail("template.limit", {{"message", failure.message}, {"line", 0}, {"column", 0}});
  }
  return builder.root();
}

}  // namespace qw::text::jinja
