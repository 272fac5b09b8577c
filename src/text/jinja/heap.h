// The memory and the budget of one rendering (or of the constants of one template, or of one set of inputs).
// Objects are never freed one by one and their destructors never run; everything goes at once with the Heap.
// Exceeding a budget throws a limit failure, so neither a loop nor a repetition in a template can exhaust the
// machine.
#pragma once

#include <cstddef>
#include <memory_resource>
#include <string_view>
#include <utility>

#include "text/jinja/value.h"

namespace qw::text::jinja {

class Heap {
 public:
  explicit Heap(size_t max_bytes, size_t max_steps = ~size_t{0});
  Heap(const Heap&) = delete;
  Heap& operator=(const Heap&) = delete;

  template <class T, class... A>
  T* make(A&&... args) {
    return new (memory_.allocate(sizeof(T), alignof(T))) T{std::forward<A>(args)...};
  }
  std::pmr::memory_resource* memory() { return &memory_; }

  // `n` units of work: one a node evaluated, or one for 16 bytes touched.
  void step(size_t n = 1) {
    steps_ += n;
    if (steps_ > max_steps_) fail_limit("too many steps");
  }
  void touch(size_t bytes) { step(bytes / 16); }
  // Refuses what would not fit anyway, before the caller builds it.
  void reserve(size_t bytes) const {
    if (bytes > meter_.left()) fail_limit("too much memory");
  }
  // Counts memory that is not the heap's own (the output).
  void spend(size_t bytes) { meter_.take(bytes); }

  Value string(std::string_view text, bool markup = false);  // copies
  // The text must live as long as the heap (a part of a string, a literal).
  Value string_view(std::string_view text, bool markup = false);
  Value string_view(std::string_view text, size_t n_chars, bool markup);
  Value integer(const BigInt& v);
  List* list();
  Value tuple(std::initializer_list<Value> items);
  Dict* dict();
  Value undefined(Value name, Value object = Value::missing());
  Value undefined_hint(std::string_view hint);  // copies the hint
  std::string_view copy(std::string_view text);

 private:
  class Meter final : public std::pmr::memory_resource {
   public:
    explicit Meter(size_t max_bytes) : left_(max_bytes) {}
    size_t left() const { return left_; }
    void take(size_t bytes) {
      if (bytes > left_) fail_limit("too much memory");
      left_ -= bytes;
    }

   private:
    void* do_allocate(size_t bytes, size_t alignment) override;
    void do_deallocate(void* p, size_t bytes, size_t alignment) override;
    bool do_is_equal(const std::pmr::memory_resource& other) const noexcept override {
      return this == &other;
    }
    size_t left_;
  };

  Meter meter_;
  std::pmr::monotonic_buffer_resource memory_;
  size_t steps_ = 0;
  size_t max_steps_;
};

}  // namespace qw::text::jinja
