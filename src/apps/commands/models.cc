// qw models: what is here, and what could be. Test: tests/e2e/models_test.cc
#include <algorithm>
#include <ctime>

#include "apps/commands/commands.h"
#include "apps/hub/fetch_model.h"
#include "apps/hub/machine.h"
#include "apps/hub/model_facts.h"
#include "apps/hub/table.h"
#include "apps/paths.h"
#include "apps/progress.h"
#include "base/json.h"
#include "hub/external.h"

namespace qw::apps {
namespace {

std::string time_text(std::time_t time, const char* format) {
  std::tm local = {};
  ::localtime_r(&time, &local);
  char text[64];
  return {text, std::strftime(text, sizeof text, format, &local)};
}

Json here_json(const hub::Store& store) {
  Json out = Json::array();
  for (const hub::StoredModel& m : store.list()) {
    const ModelFacts facts = model_facts(m.model_path());
    const std::string quant = m.record ? m.record->quant : std::string();
    out.push_back(
        {{"name", m.name()},
         {"path", m.model_path().string()},
         {"source", m.record ? m.record->source : "local"},
         {"architecture", facts.architecture},
         {"bytes", m.bytes},
         {"format", quant.empty() ? facts.format : quant},
         {"licence", m.record ? m.record->licence : std::string()},
         {"pulled", m.record ? Json(m.record->pulled) : Json()},
         {"last_used", m.last_used > 0 ? Json(time_text(m.last_used, "%Y-%m-%dT%H:%M:%S%z")) : Json()}});
  }
  for (const hub::ExternalModel& m : hub::external_models(hub::external_folders())) {
    const ModelFacts facts = model_facts(m.path);
    out.push_back({{"name", m.name},
                   {"path", m.path.string()},
                   {"source", m.program},
                   {"architecture", facts.architecture},
                   {"bytes", m.bytes},
                   {"format", facts.format},
                   {"licence", ""},
                   {"pulled", Json()},
                   {"last_used", Json()}});
  }
  return out;
}

Json partials_json(const hub::Store& store) {
  Json out = Json::array();
  for (const hub::PartialModel& p : store.partials()) out.push_back({{"name", p.name}, {"bytes", p.bytes}});
  return out;
}

std::string_view fit_name(FitKind kind) {
  switch (kind) {
    case FitKind::whole:
      return "yes";
    case FitKind::with_4_bits:
      return "4-bit";
    case FitKind::no:
      return "no";
  }
  return {};
}

// For people: a code, not a word.
std::string_view fit_code(FitKind kind) {
  switch (kind) {
    case FitKind::whole:
      return "models.fits.yes";
    case FitKind::with_4_bits:
      return "models.fits.four";
    case FitKind::no:
      return "models.fits.no";
  }
  return {};
}

Json catalogue_json(const hub::Catalogue& catalogue, const Machine& machine) {
  Json out = Json::array();
  for (const hub::CatalogueModel& m : catalogue.models) {
    const Fit fit = fit_of(m, machine);
    out.push_back({{"name", m.name},
                   {"repo", m.repo},
                   {"gguf", m.gguf.empty() ? Json() : Json(m.gguf + ":" + m.quant)},
                   {"kind", m.kind},
                   {"architecture", m.architecture},
                   {"runs", runs_architecture(m.architecture)},
                   {"parameters", m.parameters},
                   {"active", m.active},
                   {"context", m.context > 0 ? Json(m.context) : Json()},
                   {"licence", m.licence},
                   {"template", m.template_name},
                   {"bytes_16", m.bytes_16()},
                   {"bytes_4", m.bytes_4()},
                   {"download_bytes", m.download_bytes()},
                   {"fits", fit_name(fit.kind)},
                   {"memory_bytes", fit.bytes},
                   {"tokens_per_s", fit.tok_s}});
  }
  return out;
}

// "today", "3 days ago", a date: a person wants to know what is not used any more.
std::string ago_text(const Console& console, std::time_t then) {
  if (then == 0) return console.text("models.never");
  const auto days = (std::time(nullptr) - then) / 86400;
  if (days < 1) return console.text("models.today");
  if (days < 60) return console.text("models.days", {{"days", days}});
  return time_text(then, "%Y-%m-%d");
}

Table here_table(const Console& console, const hub::Store& store) {
  Table table;
  for (const char* code : {"models.col.name", "models.col.architecture", "models.col.size",
                           "models.col.format", "models.col.licence", "models.col.used"})
    table.columns.push_back({.head = console.text(code),
                             .right = code == std::string_view("models.col.size"),
                             .optional = code == std::string_view("models.col.licence")});
  for (const hub::StoredModel& m : store.list()) {
    const ModelFacts facts = model_facts(m.model_path());
    const bool quant = m.record && !m.record->quant.empty();
    table.rows.push_back({m.name(), facts.architecture, hub::size_text(m.bytes),
                          quant ? m.record->quant : facts.format, m.record ? m.record->licence : "",
                          ago_text(console, m.last_used)});
  }
  for (const hub::ExternalModel& m : hub::external_models(hub::external_folders())) {
    const ModelFacts facts = model_facts(m.path);
    table.rows.push_back({m.name, facts.architecture, hub::size_text(m.bytes), facts.format, "",
                          console.text("models.external", {{"program", m.program}})});
  }
  return table;
}

std::string billions(int64_t n) {
  const double b = static_cast<double>(n) / 1e9;
  return b < 10 ? fmt::format("{:.2g}B", b) : fmt::format("{:.0f}B", b);
}

std::string parameters_text(const hub::CatalogueModel& m) {
  return m.active == m.parameters ? billions(m.parameters)
                                  : fmt::format("{}/{}", billions(m.parameters), billions(m.active));
}

std::string context_text(int64_t tokens) {
  if (tokens <= 0) return {};
  return tokens % 1024 == 0 ? fmt::format("{}k", tokens / 1024) : fmt::format("{}k", tokens / 1000);
}

Table catalogue_table(const Console& console, const hub::Catalogue& catalogue, const Machine& machine) {
  Table table;
  const auto column = [&](const char* code, bool right, bool optional) {
    table.columns.push_back({.head = console.text(code), .right = right, .optional = optional});
  };
  column("models.col.name", false, false);
  column("models.col.kind", false, true);
  column("models.col.parameters", true, false);
  column("models.col.context", true, true);
  column("models.col.size_16", true, true);
  column("models.col.size_4", true, false);
  column("models.col.fits", false, false);
  column("models.col.speed", true, false);
  column("models.col.licence", false, false);
  for (const hub::CatalogueModel& m : catalogue.models) {
    const Fit fit = fit_of(m, machine);
    std::string fits = console.text(fit_code(fit.kind));
    if (!runs_architecture(m.architecture)) fits = console.text("models.fits.not_yet");
    const bool fast = fit.kind != FitKind::no && fit.tok_s > 0;
    table.rows.push_back({m.name, m.kind, parameters_text(m), context_text(m.context),
                          hub::size_text(m.bytes_16()), hub::size_text(m.bytes_4()), fits,
                          fast ? fmt::format("{:.{}f}", fit.tok_s, fit.tok_s < 10 ? 1 : 0) : "–", m.licence});
  }
  return table;
}

Status show_here(Console& console, const hub::Store& store) {
  const Table here = here_table(console, store);
  std::string out = here.rows.empty()
                        ? console.text("models.none", {{"folder", store.models().string()}}) + "\n"
                        : table_text(here);
  for (const hub::PartialModel& p : store.partials())
    out += console.text("models.partial", {{"name", p.name}, {"bytes", hub::size_text(p.bytes)}}) + "\n";
  return console.write(out);
}

}  // namespace

Result<int> models_command(Program& program, Args args) {
  bool all = false;
  CommandLine line("models");
  line.flag("--all", &all, "help.models.all");
  QW_TRY(const bool go_on, program.parse(line, args));
  if (!go_on) return kExitOk;
  QW_TRY(const auto home, qw_home());
  QW_TRY(const hub::Store store, open_store());
  Console& console = program.console();
  Machine machine;
  if (all || program.json()) {
    const Progress progress(console, console.text("ui.peaks_progress"));
    machine = this_machine(home, program.threads());
  }
  const hub::Catalogue catalogue = hub::load_catalogue();
  if (program.json()) {
    const Json out{
        {"models", here_json(store)},
        {"partials", partials_json(store)},
        {"machine", {{"available_bytes", machine.available_bytes}, {"read_gb_s", machine.read_gb_s}}},
        {"catalogue_date", catalogue.date},
        {"catalogue", catalogue_json(catalogue, machine)}};
    QW_TRY(console.write(to_json_line(out) + "\n"));
    return kExitOk;
  }
  QW_TRY(show_here(console, store));
  if (!all) {
    console.note(console.text("models.more"));
    return kExitOk;
  }
  QW_TRY(console.write("\n" + table_text(catalogue_table(console, catalogue, machine), stdout_columns())));
  console.note(console.text("models.footer", {{"memory", hub::size_text(machine.available_bytes)},
                                              {"read", fmt::format("{:.1f}", machine.read_gb_s)},
                                              {"tokens", kPlannedContext},
                                              {"date", catalogue.date}}));
  return kExitOk;
}

}  // namespace qw::apps
