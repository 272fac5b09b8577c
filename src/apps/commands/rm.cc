// qw rm: models, and what is left of downloads, taken away. Test: tests/e2e/models_test.cc
#include <algorithm>

#include "apps/commands/commands.h"
#include "apps/hub/ask.h"
#include "apps/hub/fetch_model.h"
#include "apps/paths.h"
#include "base/json.h"
#include "hub/catalogue.h"
#include "hub/external.h"

namespace qw::apps {
namespace {

// What one name means: a model, or a download that has not come to its end.
struct Victim {
  std::optional<hub::StoredModel> model;
  std::optional<hub::PartialModel> partial;
  std::string name() const { return model ? model->name() : partial->name; }
  int64_t bytes() const { return model ? model->bytes : partial->bytes; }
};

Result<Victim> find_victim(const hub::Store& store, const std::string& text) {
  std::vector<std::string> names{text};
  for (std::string& name : hub::load_catalogue().stored_names(text)) names.push_back(std::move(name));
  for (const std::string& name : names) {
    std::vector<hub::StoredModel> found = store.matches(name);
    if (found.size() == 1) return Victim{.model = std::move(found.front()), .partial = {}};
    if (found.empty()) continue;
    return fail("model.several", {{"model", text}, {"known", hub::names_of(found)}});
  }
  for (hub::PartialModel& partial : store.partials())
    if (std::find(names.begin(), names.end(), partial.name) != names.end())
      return Victim{.model = {}, .partial = std::move(partial)};
  if (const auto external = hub::find_external(hub::external_folders(), text))
    return fail("models.not_ours", {{"name", external->name}, {"program", external->program}});
  return fail("models.not_here", {{"name", text}});
}

}  // namespace

Result<int> rm_command(Program& program, Args args) {
  std::vector<std::string> names;
  bool yes = false;
  CommandLine line("rm");
  line.flag("--yes", &yes, "help.rm.yes");
  line.arguments("NAME", &names);
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  QW_TRY(const hub::Store store, open_store());
  Console& console = program.console();
  std::vector<Victim> victims;
  for (const std::string& name : names) {
    QW_TRY(victims.emplace_back(), find_victim(store, name));
  }
  if (!yes && !can_ask(console)) return fail("cli.rm_needs_yes");
  Json removed = Json::array();
  for (const Victim& v : victims) {
    const std::string size = hub::size_text(v.bytes());
    if (!yes && !ask(console, console.text("models.remove", {{"name", v.name()}, {"bytes", size}}))) {
      console.note(console.text("models.kept"));
      continue;
    }
    QW_TRY(v.model ? store.remove(*v.model) : store.remove_partial(*v.partial));
    removed.push_back({{"name", v.name()}, {"bytes", v.bytes()}});
    if (program.json()) continue;
    QW_TRY(console.write(console.text("models.removed", {{"name", v.name()}, {"bytes", size}}) + "\n"));
  }
  if (program.json()) {
    QW_TRY(console.write(to_json_line({{"removed", removed}}) + "\n"));
  }
  return kExitOk;
}

}  // namespace qw::apps
