#include "apps/paths.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/env.h"

namespace qw::apps {
namespace {

namespace fs = std::filesystem;

// The names in the store, ", " between them; "-" where there is none.
std::string names_in(const fs::path& folder) {
  std::vector<std::string> names;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (const std::string name = it->path().filename().string(); !name.starts_with("."))
      names.push_back(name);
  if (names.empty()) return "-";
  std::sort(names.begin(), names.end());
  return fmt::format("{}", fmt::join(names, ", "));
}

}  // namespace

Result<fs::path> qw_home() {
  if (const auto home = env("QW_HOME")) return fs::path(*home);
  if (const auto data = env("XDG_DATA_HOME")) return fs::path(*data) / "qw";
  if (const auto home = env("HOME")) return fs::path(*home) / ".local/share/qw";
  if (const passwd* user = ::getpwuid(::getuid()); user != nullptr && user->pw_dir != nullptr)
    return fs::path(user->pw_dir) / ".local/share/qw";
  return fail("home.unknown");
}

Result<fs::path> resolve_model(std::string_view model) {
  if (model.empty()) return fail("cli.empty_model");
  const fs::path path(model);
  std::error_code error;
  if (model.find('/') != model.npos) {
    if (fs::exists(path, error)) return path;
    return fail("model.no_path", {{"model", model}});
  }
  if (fs::is_regular_file(path, error)) return path;
  QW_TRY(const fs::path home, qw_home());
  const fs::path store = home / "models";
  for (const fs::path& candidate :
       {store / path, store / (std::string(model) + ".gguf"), fs::path(".") / path})
    if (fs::exists(candidate, error)) return candidate;
  return fail("model.no_name", {{"model", model}, {"folder", store.string()}, {"known", names_in(store)}});
}

}  // namespace qw::apps
