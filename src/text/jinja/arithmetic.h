// Numbers: Python's arithmetic of bool, int of any size and float. Test: tests/text/chat_template_test.cc
#pragma once

#include "text/jinja/ast.h"
#include "text/jinja/heap.h"

namespace qw::text::jinja {

// Both operands are numbers. Failures: division by zero, overflow, a complex result, integers too large.
Value arithmetic(Heap& heap, BinaryOp op, const Value& a, const Value& b);

// round(v, digits), which gives an integer only for integers.
Value round_number(Heap& heap, const Value& v, int64_t digits);
// int(v) of a finite float, cut towards zero; failures as Python's.
Value truncate(Heap& heap, double v);

}  // namespace qw::text::jinja
