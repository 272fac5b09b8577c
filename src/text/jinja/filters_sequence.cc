// Filters over sequences and mappings. Spec: jinja2.filters. Test: tests/text/chat_template_test.cc
#include <algorithm>
#include <cmath>

#include "text/jinja/args.h"
#include "text/jinja/attribute_path.h"
#include "text/jinja/builtins.h"
#include "text/jinja/iterate.h"
#include "text/jinja/markup.h"
#include "text/jinja/operators.h"
#include "text/jinja/print.h"
#include "text/jinja/sort.h"

namespace qw::text::jinja {
namespace {

Value length(Interpreter& in, const Value& v, const Args& args) {
  bind_none("len", args);
  auto n = length_of(v);
  if (!n && v.is(Kind::object)) n = v.object->length(in);
  if (!n) type_error("object of type '{}' has no len()", type_name(v));
  return Value::of(*n);
}

Value first(Interpreter& in, const Value& v, const Args& args) {
  bind_none("first", args);
  Value out;
  if (in.iterate(v)->next(in, out)) return out;
  return in.heap().undefined_hint("No first item, sequence was empty.");
}

Value last(Interpreter& in, const Value& v, const Args& args) {
  bind_none("last", args);
  Iterator* it = make_reverse_iterator(in.heap(), v);
  if (it == nullptr) type_error("'{}' object is not reversible", type_name(v));
  Value out;
  if (it->next(in, out)) return out;
  return in.heap().undefined_hint("No last item, sequence was empty.");
}

Value list(Interpreter& in, const Value& v, const Args& args) {
  bind_none("list", args);
  return Value::of(in.to_list(v));
}

Value reverse(Interpreter& in, const Value& v, const Args& args) {
  bind_none("reverse", args);
  if (v.is_string()) return slice_op(in, v, Value::none(), Value::none(), Value::of(-1));
  if (Iterator* it = make_reverse_iterator(in.heap(), v)) return Value::of(it);
  List* out = in.to_list(v);
  std::reverse(out->items.begin(), out->items.end());
  return Value::of(out);
}

Value join(Interpreter& in, const Value& v, const Args& args) {
  const auto [by, attribute] = bind({"join"}, args, {"d", "attribute"});
  const AttributePath path(in, attribute, false);
  std::vector<Value> parts;
  bool markup = by.is_string() && by.str->markup;
  Iterator* it = in.iterate(v);
  for (Value item; it->next(in, item);) {
    in.heap().step();
    in.heap().spend(sizeof(Value));
    parts.push_back(to_soft_str(in, path.get(in, item)));
    markup |= parts.back().str->markup;
  }
  markup &= in.autoescape();
  const Value separator = by.is(Kind::missing) ? in.heap().string_view("") : to_soft_str(in, by);
  std::string out;
  for (size_t i = 0; i < parts.size(); ++i) {
    if (i > 0) out += markup ? escape(in, separator).text() : separator.text();
    out += markup ? escape(in, parts[i]).text() : parts[i].text();
    in.heap().reserve(out.size());
  }
  return in.heap().string(out, markup);
}

// Sorted by key with Python's rules: a stable order in both directions. With `listed`, keys are compared as
// lists, which asks for equality first (so that two undefined keys are no error).
std::vector<Value> sorted(Interpreter& in, const Value& v, const std::vector<AttributePath>& paths,
                          bool reverse, bool listed) {
  struct Row {
    Value item, key;
  };
  std::vector<Row> rows;
  Iterator* it = in.iterate(v);
  for (Value item; it->next(in, item);) {
    in.heap().step();
    Value key;
    if (listed) {
      List* keys = in.heap().list();
      for (const AttributePath& path : paths) keys->items.push_back(path.get(in, item));
      key = Value::of(keys);
    } else {
      key = paths[0].get(in, item);
    }
    rows.push_back({item, key});
  }
  stable_sort(rows, [&](const Row& a, const Row& b) {
    return reverse ? ordered(in.heap(), b.key, a.key, Order::lt)
                   : ordered(in.heap(), a.key, b.key, Order::lt);
  });
  std::vector<Value> out;
  for (const Row& row : rows) out.push_back(row.item);
  return out;
}

Value as_list(Interpreter& in, const std::vector<Value>& items) {
  List* out = in.heap().list();
  out->items.assign(items.begin(), items.end());
  return Value::of(out);
}

Value sort(Interpreter& in, const Value& v, const Args& args) {
  const auto [reverse, case_sensitive, attribute] =
      bind({"sort"}, args, {"reverse", "case_sensitive", "attribute"});
  const auto paths = AttributePath::list(in, attribute, !truth_or(case_sensitive, false));
  return as_list(in, sorted(in, v, paths, truth_or(reverse, false), true));
}

Value dictsort(Interpreter& in, const Value& v, const Args& args) {
  const auto [case_sensitive, by, reverse] = bind({"dictsort"}, args, {"case_sensitive", "by", "reverse"});
  const std::string_view what = by.is(Kind::missing) ? "key" : need_text(by, "by");
  if (what != "key" && what != "value")
    fail_runtime(PyClass::other, "You can only sort by either \"key\" or \"value\"");
  if (v.is(Kind::undefined)) fail_runtime(PyClass::undefined, "{}", v.undefined->message());
  if (!v.is(Kind::dict)) type_error("'{}' object has no attribute 'items'", type_name(v));
  const AttributePath path(in, Value::of(what == "key" ? 0 : 1), !truth_or(case_sensitive, false));
  return as_list(in, sorted(in, make_view(in.heap(), v.dict, DictView::What::items), {path},
                            truth_or(reverse, false), false));
}

Value groupby(Interpreter& in, const Value& v, const Args& args) {
  const auto [attribute, fallback, case_sensitive] =
      bind({"groupby", 1}, args, {"attribute", "default", "case_sensitive"});
  const bool lower = !truth_or(case_sensitive, false);
  const AttributePath path(in, attribute, lower, fallback), shown(in, attribute, false, fallback);
  List* out = in.heap().list();
  Value key = Value::missing();
  for (const Value& item : sorted(in, v, {path}, false, false)) {
    const Value k = path.get(in, item);
    if (key.is(Kind::missing) || !equal(in.heap(), key, k)) {
      key = k;
      const Value group = in.heap().tuple({shown.get(in, item), Value::of(in.heap().list())});
      group.list->group = true;
      out->items.push_back(group);
    }
    out->items.back().list->items[1].list->items.push_back(item);
  }
  return Value::of(out);
}

Value unique(Interpreter& in, const Value& v, const Args& args) {
  const auto [case_sensitive, attribute] = bind({"unique"}, args, {"case_sensitive", "attribute"});
  const AttributePath path(in, attribute, !truth_or(case_sensitive, false));
  Dict* seen = in.heap().dict();
  List* out = in.heap().list();
  Iterator* it = in.iterate(v);
  for (Value item; it->next(in, item);) {
    in.heap().step();
    const Value key = path.get(in, item);
    if (seen->find(in.heap(), key) != nullptr) continue;
    seen->set(in.heap(), key, Value::none());
    out->items.push_back(item);
  }
  return Value::of(make_iterator(in.heap(), Value::of(out)));
}

template <bool Max>
Value extreme(Interpreter& in, const Value& v, const Args& args) {
  const auto [case_sensitive, attribute] = bind({Max ? "max" : "min"}, args, {"case_sensitive", "attribute"});
  const AttributePath path(in, attribute, !truth_or(case_sensitive, false));
  Iterator* it = in.iterate(v);
  Value best, best_key = Value::missing();
  for (Value item; it->next(in, item);) {
    in.heap().step();
    const Value key = path.get(in, item);
    if (!best_key.is(Kind::missing) && !ordered(in.heap(), key, best_key, Max ? Order::gt : Order::lt))
      continue;
    best = item;
    best_key = key;
  }
  if (best_key.is(Kind::missing)) return in.heap().undefined_hint("No aggregated item, sequence was empty.");
  return best;
}

// Python 3.12 and later sum floats with Neumaier's compensation.
struct RealSum {
  double high, low = 0;
  void add(double x) {
    const double t = high + x;
    low += std::fabs(high) >= std::fabs(x) ? (high - t) + x : (x - t) + high;
    high = t;
  }
  double value() const { return low != 0 && std::isfinite(low) ? high + low : high; }
};

Value sum(Interpreter& in, const Value& v, const Args& args) {
  const auto [attribute, start] = bind({"sum"}, args, {"attribute", "start"});
  const AttributePath path(in, attribute, false);
  Value total = value_or(start, Value::of(0));
  if (total.is_string()) type_error("sum() can't sum strings [use ''.join(seq) instead]");
  Iterator* it = in.iterate(v);
  RealSum real{total.is(Kind::real) ? total.real : 0};
  bool compensated = total.is(Kind::real);
  for (Value item; it->next(in, item);) {
    in.heap().step();
    item = path.get(in, item);
    if (compensated && item.is_number()) {
      real.add(to_real(item));
      continue;
    }
    if (compensated) total = Value::of(real.value());
    total = binary_op(in, BinaryOp::add, total, item);
    compensated = total.is(Kind::real);
    if (compensated) real = {total.real};
  }
  return compensated ? Value::of(real.value()) : total;
}

class Batches final : public Iterator {
 public:
  Batches(Iterator* items, const Value& size, const Value& fill) : items_(items), size_(size), fill_(fill) {}
  bool next(Interpreter& in, Value& out) override {
    const Interpreter::Deeper deeper(in);  // generators over generators
    if (done_) return false;
    List* batch = in.heap().list();
    if (!carried_.is(Kind::missing)) batch->items.push_back(std::exchange(carried_, Value::missing()));
    out = Value::of(batch);
    for (Value item; items_->next(in, item);) {
      in.heap().step();
      if (equal(in.heap(), Value::of(batch->items.size()), size_)) {
        carried_ = item;
        return true;
      }
      batch->items.push_back(item);
    }
    done_ = true;
    if (batch->items.empty()) return false;
    if (given(fill_) && ordered(in.heap(), Value::of(batch->items.size()), size_, Order::lt)) {
      const auto missing = static_cast<size_t>(to_index(size_)) - batch->items.size();
      in.heap().reserve(std::min(missing, size_t{1} << 40) * sizeof(Value));
      in.heap().step(missing);
      batch->items.insert(batch->items.end(), missing, fill_);
    }
    return true;
  }

 private:
  Iterator* items_;
  Value size_, fill_;
  Value carried_ = Value::missing();
  bool done_ = false;
};

Value batch(Interpreter& in, const Value& v, const Args& args) {
  const auto [size, fill] = bind({"batch", 1}, args, {"linecount", "fill_with"});
  return Value::of(static_cast<Iterator*>(in.heap().make<Batches>(in.iterate(v), size, fill)));
}

class Slices final : public Iterator {
 public:
  Slices(const Value& subject, const Value& count, const Value& fill)
      : subject_(subject), count_(count), fill_(fill) {}
  bool next(Interpreter& in, Value& out) override {
    const Interpreter::Deeper deeper(in);
    in.heap().step();
    if (items_ == nullptr) {
      items_ = in.to_list(subject_);
      slices_ = to_index(count_);
      if (slices_ == 0) fail_runtime(PyClass::other, "integer division or modulo by zero");
    }
    if (slices_ < 0 || number_ >= slices_) return false;
    const auto n = static_cast<int64_t>(items_->items.size());
    const int64_t each = n / slices_, extra = n % slices_;
    List* slice = in.heap().list();
    const int64_t size = each + (number_ < extra);
    for (int64_t i = 0; i < size; ++i) slice->items.push_back(items_->items[static_cast<size_t>(at_ + i)]);
    in.heap().step(static_cast<size_t>(size));
    at_ += size;
    if (given(fill_) && number_ >= extra) slice->items.push_back(fill_);
    ++number_;
    out = Value::of(slice);
    return true;
  }

 private:
  Value subject_, count_, fill_;
  List* items_ = nullptr;
  int64_t slices_ = 0, number_ = 0, at_ = 0;
};

Value slice(Interpreter& in, const Value& v, const Args& args) {
  const auto [count, fill] = bind({"slice", 1}, args, {"slices", "fill_with"});
  return Value::of(static_cast<Iterator*>(in.heap().make<Slices>(v, count, fill)));
}

class Items final : public Iterator {
 public:
  explicit Items(const Value& mapping) : mapping_(mapping) {}
  bool next(Interpreter& in, Value& out) override {
    if (mapping_.is(Kind::undefined)) return false;
    if (!mapping_.is(Kind::dict)) type_error("Can only get item pairs from a mapping.");
    if (i_ >= mapping_.dict->items.size()) return false;
    out = view_at(in.heap(), {DictView::What::items, mapping_.dict}, i_++);
    return true;
  }

 private:
  Value mapping_;
  size_t i_ = 0;
};

Value items(Interpreter& in, const Value& v, const Args& args) {
  bind_none("items", args);
  return Value::of(static_cast<Iterator*>(in.heap().make<Items>(v)));
}

Value random(Interpreter&, const Value&, const Args&) {
  fail_runtime(PyClass::other, "the filter 'random' is not supported: a prompt must be reproducible");
}

constexpr FilterRow kRows[] = {
    {"length", length},     {"count", length},    {"first", first},   {"last", last},
    {"list", list},         {"reverse", reverse}, {"join", join},     {"sort", sort},
    {"dictsort", dictsort}, {"groupby", groupby}, {"unique", unique}, {"min", extreme<false>},
    {"max", extreme<true>}, {"sum", sum},         {"batch", batch},   {"slice", slice},
    {"items", items},       {"random", random},
};

}  // namespace

FilterFunction find_sequence_filter(std::string_view name) {
  const auto* it =
      std::find_if(std::begin(kRows), std::end(kRows), [&](const FilterRow& r) { return r.name == name; });
  return it == std::end(kRows) ? nullptr : it->function;
}

}  // namespace qw::text::jinja
