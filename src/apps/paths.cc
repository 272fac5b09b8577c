#include "apps/paths.h"

#include <pwd.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/env.h"
#include "base/mmap.h"
#include "hub/catalogue.h"
#include "hub/external.h"
#include "hub/store.h"

namespace qw::apps {
namespace {

namespace fs = std::filesystem;

// The names in the store, ", " between them; "-" where there is none.
std::string names_in(const hub::Store& store) {
  const std::string names = hub::names_of(store.list());
  return names.empty() ? "-" : names;
}

// What was pulled under this name, or lies in the store of another program.
Result<std::optional<fs::path>> find_pulled(const hub::Store& store, std::string_view model) {
  std::vector<hub::StoredModel> found = store.matches(model);
  for (const std::string& name : hub::load_catalogue().stored_names(model))
    if (found.empty()) found = store.matches(name);
  if (found.empty()) {
    const auto external = hub::find_external(hub::external_folders(), model);
    return external ? std::optional(external->path) : std::nullopt;
  }
  if (found.size() == 1) return found.front().model_path();
  return fail("model.several", {{"model", model}, {"known", hub::names_of(found)}});
}

constexpr const char* kLastModel = "last_model";
constexpr int kTreeDepth = 5;  // of build/PRESET/src/apps/qw below the source tree

// The first GGUF file of a folder, by name.
std::optional<fs::path> gguf_in(const fs::path& folder) {
  std::optional<fs::path> found;
  std::error_code error;
  for (fs::directory_iterator it(folder, error), end; !error && it != end; it.increment(error))
    if (it->path().extension() == ".gguf" && (!found || it->path() < *found)) found = it->path();
  return found;
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
  const bool has_slash = model.find('/') != model.npos;
  if (has_slash ? fs::exists(path, error) : fs::is_regular_file(path, error)) return path;
  QW_TRY(const fs::path home, qw_home());
  const hub::Store store(home / "models");
  if (!has_slash)
    for (const fs::path& candidate : {store.models() / path, store.models() / (std::string(model) + ".gguf")})
      if (fs::exists(candidate, error)) return candidate;
  QW_TRY(const std::optional<fs::path> pulled, find_pulled(store, model));
  if (pulled) return *pulled;
  if (has_slash)
    return fail(hub::looks_like_name(model) ? "model.not_pulled" : "model.no_path", {{"model", model}});
  if (fs::exists(fs::path(".") / path, error)) return fs::path(".") / path;
  return fail("model.no_name",
              {{"model", model}, {"folder", store.models().string()}, {"known", names_in(store)}});
}

void remember_model(const fs::path& model) {
  const Result<fs::path> home = qw_home();
  if (!home) return;
  std::error_code error;
  const fs::path full = fs::absolute(model, error).lexically_normal();
  if (error) return;
  fs::create_directories(*home, error);
  (void)write_file_atomic(*home / kLastModel, full.string() + "\n");
}

std::optional<fs::path> remembered_model() {
  const Result<fs::path> home = qw_home();
  if (!home) return std::nullopt;
  Result<std::string> name = read_file(*home / kLastModel);
  if (!name || name->empty()) return std::nullopt;
  if (name->ends_with('\n')) name->pop_back();
  std::error_code error;
  return fs::exists(*name, error) ? std::optional(fs::path(*name)) : std::nullopt;
}

std::optional<fs::path> shipped_model(const fs::path& program) {
  if (program.empty()) return std::nullopt;
  const fs::path folder = program.parent_path();
  if (auto found = gguf_in(folder.parent_path() / "share/qw/models/nano")) return found;
  fs::path tree = folder;
  std::error_code error;
  for (int i = 0; i < kTreeDepth; ++i, tree = tree.parent_path()) {
    if (!fs::exists(tree / "CMakeLists.txt", error)) continue;
    if (auto found = gguf_in(tree / "models/nano")) return found;
  }
  return std::nullopt;
}

fs::path program_file() {
  std::error_code error;
  fs::path file = fs::read_symlink("/proc/self/exe", error);
  return error ? fs::path() : file;
}

}  // namespace qw::apps
