// Python's operators. Test: tests/text/chat_template_test.cc
#pragma once

#include "text/jinja/interpreter.h"

namespace qw::text::jinja {

Value binary_op(Interpreter& in, BinaryOp op, const Value& a, const Value& b);
// -v or +v
Value sign(Interpreter& in, const Value& v, bool minus);
bool compare_op(Interpreter& in, CompareOp op, const Value& a, const Value& b);
// `item in container`
bool contains(Interpreter& in, const Value& item, const Value& container);
// object[start:stop:step]; bounds are integers or none
Value slice_op(Interpreter& in, const Value& object, const Value& start, const Value& stop,
               const Value& step);

// operator.index(): a type error for other types. Big integers are cut to the range of 64 bits.
int64_t to_index(const Value& v);
// text * count, refused by the budget where it would not fit
Value repeat_text(Interpreter& in, const Value& text, int64_t count);
// What a[i] means for i < 0; none where it is out of range.
std::optional<int64_t> normal_index(int64_t i, int64_t length);

}  // namespace qw::text::jinja
