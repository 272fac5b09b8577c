#include "apps/hub/suggest.h"

#include "apps/hub/ask.h"
#include "apps/hub/fetch_model.h"
#include "apps/hub/model_facts.h"
#include "apps/paths.h"
#include "base/mmap.h"

namespace qw::apps {
namespace {

namespace fs = std::filesystem;

constexpr double kMinTokensPerSecond = 5;
constexpr const char* kAsked = "asked_for_larger";

int64_t free_disk(const fs::path& home) {
  std::error_code ec;
  fs::path there = home;
  while (!fs::exists(there, ec) && there.has_relative_path()) there = there.parent_path();
  const fs::space_info space = fs::space(there, ec);
  return ec ? 0 : static_cast<int64_t>(space.available);
}

// A chat model of the catalogue that was pulled before.
std::optional<std::string> larger_here(const hub::Store& store, const hub::Catalogue& catalogue) {
  if (store.list().empty()) return std::nullopt;
  for (const hub::CatalogueModel& m : catalogue.models)
    for (const std::string& name : catalogue.stored_names(m.name))
      if (m.kind == "chat" && !store.matches(name).empty()) return m.name;
  return std::nullopt;
}

// Asked once: who said no is not asked with every chat.
bool may_ask(const Console& console, const fs::path& home) {
  std::error_code ec;
  return can_ask(console) && console.out_is_terminal() && !fs::exists(home / kAsked, ec);
}

}  // namespace

const hub::CatalogueModel* best_for(const hub::Catalogue& catalogue, const Machine& machine, int64_t disk) {
  const hub::CatalogueModel* best = nullptr;
  for (const hub::CatalogueModel& m : catalogue.models) {
    if (m.kind != "chat" || !m.name.starts_with("qwen3") || m.licence != "apache-2.0") continue;
    const int64_t bytes = m.download_bytes();
    const double speed = decode_speed(m, bytes, machine);
    const bool fits = 2 * bytes <= machine.available_bytes && 2 * bytes <= disk;
    if (!fits || speed < kMinTokensPerSecond || !runs_architecture(m.architecture)) continue;
    if (best == nullptr || m.parameters > best->parameters) best = &m;
  }
  return best;
}

std::optional<std::string> suggest_larger(Program& program) {
  Console& console = program.console();
  const auto home = qw_home();
  if (console.quiet || !home) return std::nullopt;
  const hub::Store store(*home / "models");
  const hub::Catalogue catalogue = hub::load_catalogue();
  if (const auto name = larger_here(store, catalogue)) {
    console.note(console.text("suggest.here", {{"name", *name}}));
    return std::nullopt;
  }
  const Machine machine = this_machine(*home, program.threads());
  const hub::CatalogueModel* model = best_for(catalogue, machine, free_disk(*home));
  if (model == nullptr) return std::nullopt;
  const int64_t bytes = model->download_bytes();
  const double speed = decode_speed(*model, bytes, machine);
  console.note(console.text("suggest.get", {{"name", model->name},
                                            {"size", hub::size_text(bytes)},
                                            {"licence", model->licence},
                                            {"speed", fmt::format("{:.0f}", speed)}}));
  return model->name;
}

void offer_larger(Program& program, const std::string& name) {
  Console& console = program.console();
  const auto home = qw_home();
  if (!home || !may_ask(console, *home)) return;
  const bool yes = ask(console, console.text("suggest.ask", {{"name", name}}));
  (void)write_file_atomic(*home / kAsked, name + "\n");
  if (!yes) return;
  const auto pulled = fetch_model(program, name, {});
  if (!pulled) console.error(pulled.error());
  if (!pulled || !*pulled) return;
  remember_model((*pulled)->model.model_path());
  console.note(console.text("suggest.next", {{"name", name}}));
}

}  // namespace qw::apps
