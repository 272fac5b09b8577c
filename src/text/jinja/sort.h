// A stable merge sort whose comparison may throw or be inconsistent (NaN) without harm; std::stable_sort
// promises neither.
#pragma once

#include <cstddef>
#include <utility>
#include <vector>

namespace qw::text::jinja {

template <class T, class Less>
void merge_sorted(std::vector<T>& items, std::vector<T>& buffer, size_t begin, size_t end, Less& less) {
  if (end - begin < 2) return;
  const size_t middle = begin + (end - begin) / 2;
  merge_sorted(items, buffer, begin, middle, less);
  merge_sorted(items, buffer, middle, end, less);
  size_t a = begin, b = middle;
  for (size_t i = begin; i < end; ++i)
    buffer[i] = b == end || (a < middle && !less(items[b], items[a])) ? items[a++] : items[b++];
  for (size_t i = begin; i < end; ++i) items[i] = buffer[i];
}

template <class T, class Less>
void stable_sort(std::vector<T>& items, Less less) {
  std::vector<T> buffer(items);
  merge_sorted(items, buffer, 0, items.size(), less);
}

}  // namespace qw::text::jinja
