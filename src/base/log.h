// The log sink. Library code never prints: it hands a line to the sink that the program set (none: the line
// is dropped, except fatal ones, which go to the error stream just before the program aborts).
#pragma once

#include <functional>
#include <string_view>

namespace qw {

enum class LogLevel { debug, info, warning, fatal };

using LogSink = std::function<void(LogLevel, std::string_view line)>;

// Set once by main before any thread starts.
void set_log_sink(LogSink sink);
void log(LogLevel level, std::string_view line);

}  // namespace qw
