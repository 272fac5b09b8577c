// Iterators over values. Test: tests/text/chat_template_test.cc
#pragma once

#include "text/jinja/interpreter.h"

namespace qw::text::jinja {

// nullptr where the value cannot be iterated.
Iterator* make_iterator(Heap& heap, const Value& v);
// reversed(): nullptr where the value has no reverse order (iterators, sets).
Iterator* make_reverse_iterator(Heap& heap, const Value& v);
// Whether iter(v) works.
bool iterable(const Value& v);
// The element at a position that is known to exist.
Value range_at(const Range& range, int64_t i);
Value make_view(Heap& heap, const Dict* dict, DictView::What what);
// The element `i` of a view.
Value view_at(Heap& heap, const DictView& view, size_t i);

}  // namespace qw::text::jinja
