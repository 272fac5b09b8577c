// A file that is on this machine already, put to another place without a copy where that can be.
// Test: tests/hub/pull_test.cc
#pragma once

#include <filesystem>

#include "base/result.h"

namespace qw::hub {

// A hard link, else a reflink, else a copy; `to` is not there yet, its folder is made. Symbolic links of
// `from` are followed. Errors: file.open (args file, reason), hub.disk_full, file.write.
Status place_file(const std::filesystem::path& from, const std::filesystem::path& to);

}  // namespace qw::hub
