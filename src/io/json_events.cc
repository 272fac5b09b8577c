#include "io/json_events.h"

#include <cstddef>
#include <utility>

#include "base/json.h"

namespace qw {

// What nlohmann's sax_parse calls. Its parser keeps its own stack on the heap, so depth is bounded by the
// text's length.
struct JsonEventsAdapter {
  JsonEvents& to;
  size_t error_offset = 0;

  bool null() { return to.on_other(); }
  bool boolean(bool) { return to.on_other(); }
  bool number_integer(int64_t) { return to.on_other(); }
  bool number_unsigned(uint64_t value) { return to.on_unsigned(value); }
  bool number_float(double, const std::string&) { return to.on_other(); }
  bool string(std::string& value) { return to.on_string(value); }
  bool binary(Json::binary_t&) { return to.on_other(); }
  bool start_object(size_t) { return begin(true); }
  bool start_array(size_t) { return begin(false); }
  bool key(std::string& value) {
    to.path_.back() = std::move(value);
    return true;
  }
  bool end_object() {
    to.path_.pop_back();
    to.containers_.pop_back();
    return true;
  }
  bool end_array() {
    to.containers_.pop_back();
    return true;
  }
  bool parse_error(size_t offset, const std::string&, const nlohmann::detail::exception&) {
    error_offset = offset;
    return false;
  }

 private:
  bool begin(bool object) {
    if (!to.on_begin(object)) return false;
    to.containers_.push_back(object);
    if (object) to.path_.emplace_back();
    return true;
  }
};

Status JsonEvents::read(std::string_view text, std::string_view code, std::string_view file) {
  JsonEventsAdapter adapter{*this};
  if (Json::sax_parse(text, &adapter)) return {};
  if (error_) return tl::unexpected(std::move(*error_));
  return fail(code, {{"file", file}, {"offset", adapter.error_offset}});
}

}  // namespace qw
