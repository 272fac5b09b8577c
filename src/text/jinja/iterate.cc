#include "text/jinja/iterate.h"

#include "text/jinja/unicode.h"

namespace qw::text::jinja {
namespace {

class Empty final : public Iterator {
 public:
  bool next(Interpreter&, Value&) override { return false; }
};

class ListIterator final : public Iterator {
 public:
  ListIterator(const List* list, bool backwards) : list_(list), backwards_(backwards) {}
  bool next(Interpreter&, Value& out) override {
    if (i_ >= list_->items.size()) return false;
    out = backwards_ ? list_->items[list_->items.size() - 1 - i_] : list_->items[i_];
    ++i_;
    return true;
  }
  std::string_view type_name() const override {
    return backwards_ ? "list_reverseiterator" : "list_iterator";
  }

 private:
  const List* list_;
  bool backwards_;
  size_t i_ = 0;
};

class StringIterator final : public Iterator {
 public:
  StringIterator(const Str* s, bool backwards)
      : s_(s), i_(backwards ? s->text.size() : 0), backwards_(backwards) {}
  bool next(Interpreter& in, Value& out) override {
    const std::string_view text = s_->text;
    const size_t begin = i_;
    if (backwards_ ? i_ == 0 : i_ == text.size()) return false;
    backwards_ ? prev_cp(text, i_) : next_cp(text, i_);
    const size_t from = std::min(begin, i_), to = std::max(begin, i_);
    // Markup loses its mark when iterated; reversed() goes through indexing, which keeps it.
    out = in.heap().string_view(text.substr(from, to - from), 1, backwards_ && s_->markup);
    return true;
  }
  std::string_view type_name() const override { return "str_iterator"; }

 private:
  const Str* s_;
  size_t i_;
  bool backwards_;
};

class DictIterator final : public Iterator {
 public:
  DictIterator(const Dict* dict, DictView::What what, bool backwards)
      : view_{what, dict}, backwards_(backwards) {}
  bool next(Interpreter& in, Value& out) override {
    const size_t n = view_.dict->items.size();
    if (i_ >= n) return false;
    out = view_at(in.heap(), view_, backwards_ ? n - 1 - i_ : i_);
    ++i_;
    return true;
  }
  std::string_view type_name() const override { return "dict_keyiterator"; }

 private:
  DictView view_;
  bool backwards_;
  size_t i_ = 0;
};

class RangeIterator final : public Iterator {
 public:
  RangeIterator(const Range* range, bool backwards) : range_(range), backwards_(backwards) {}
  bool next(Interpreter&, Value& out) override {
    const int64_t n = range_->length();
    if (i_ >= n) return false;
    out = range_at(*range_, backwards_ ? n - 1 - i_ : i_);
    ++i_;
    return true;
  }
  std::string_view type_name() const override { return "range_iterator"; }

 private:
  const Range* range_;
  bool backwards_;
  int64_t i_ = 0;
};

// `for x in loop`: pairs of an item and the loop, as LoopContext.__next__ gives them.
class LoopPairs final : public Iterator {
 public:
  LoopPairs(Iterator* items, Object* loop) : items_(items), loop_(loop) {}
  bool next(Interpreter& in, Value& out) override {
    Value v;
    if (!items_->next(in, v)) return false;
    out = in.heap().tuple({v, Value::of(loop_)});
    return true;
  }

 private:
  Iterator* items_;
  Object* loop_;
};

Iterator* iterator_of(Heap& heap, const Value& v, bool backwards) {
  switch (v.kind) {
    case Kind::undefined:
      return heap.make<Empty>();
    case Kind::string:
      return heap.make<StringIterator>(v.str, backwards);
    case Kind::list:
    case Kind::tuple:
      return heap.make<ListIterator>(v.list, backwards);
    case Kind::dict:
      return heap.make<DictIterator>(v.dict, DictView::What::keys, backwards);
    case Kind::dict_view:
      return heap.make<DictIterator>(v.view->dict, v.view->what, backwards);
    case Kind::range:
      return heap.make<RangeIterator>(v.range, backwards);
    default:
      return nullptr;
  }
}

}  // namespace

bool iterable(const Value& v) {
  switch (v.kind) {
    case Kind::undefined:
    case Kind::string:
    case Kind::list:
    case Kind::tuple:
    case Kind::dict:
    case Kind::dict_view:
    case Kind::range:
    case Kind::iterator:
      return true;
    case Kind::object:
      return v.object->type_name() == "LoopContext";
    default:
      return false;
  }
}

Iterator* make_iterator(Heap& heap, const Value& v) {
  if (v.is(Kind::iterator)) return v.iterator;
  if (v.is(Kind::object) && iterable(v))
    return heap.make<LoopPairs>(dynamic_cast<Iterator*>(v.object), v.object);
  return iterator_of(heap, v, false);
}

Iterator* make_reverse_iterator(Heap& heap, const Value& v) {
  return iterator_of(heap, v, true);
}

Value range_at(const Range& range, int64_t i) {
  return Value::of(range.start + i * range.step);
}

Value make_view(Heap& heap, const Dict* dict, DictView::What what) {
  Value out = Value::of_kind(Kind::dict_view);
  out.view = heap.make<DictView>(what, dict);
  return out;
}

Value view_at(Heap& heap, const DictView& view, size_t i) {
  const auto& [key, value] = view.dict->items[i];
  switch (view.what) {
    case DictView::What::keys:
      return key;
    case DictView::What::values:
      return value;
    case DictView::What::items:
      return heap.tuple({key, value});
  }
  return {};
}

}  // namespace qw::text::jinja
