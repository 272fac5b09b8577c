#include "apps/hub/fetch_model.h"

#include <algorithm>

#include "apps/chat/graphemes.h"
#include "apps/paths.h"
#include "apps/progress.h"
#include "base/json.h"
#include "hub/catalogue.h"
#include "io/hf/folder.h"

namespace qw::apps {
namespace {

namespace fs = std::filesystem;

constexpr size_t kNameColumn = 46;
constexpr size_t kMaxListed = 24;  // a model of 200 shards is summed up

std::string progress_text(const Console& console, const hub::DownloadProgress& p) {
  const std::string done = hub::size_text(p.done), total = hub::size_text(p.total);
  if (p.verifying) return console.text("pull.verifying", {{"total", total}});
  if (p.pause_s > 0)
    return console.text("pull.paused", {{"done", done}, {"total", total}, {"seconds", p.pause_s}});
  if (p.bytes_per_s < 1) return console.text("pull.progress_start", {{"done", done}, {"total", total}});
  const double left = static_cast<double>(p.total - p.done) / p.bytes_per_s;
  return console.text("pull.progress", {{"done", done},
                                        {"total", total},
                                        {"speed", hub::size_text(static_cast<int64_t>(p.bytes_per_s))},
                                        {"left", duration_text(left)}});
}

void show_plan(Console& console, const hub::PullPlan& plan) {
  const std::string name = plan.name.text();
  console.note(
      plan.licence.empty()
          ? console.text("pull.head_plain", {{"name", name}, {"host", plan.host}})
          : console.text("pull.head", {{"name", name}, {"host", plan.host}, {"licence", plan.licence}}));
  if (plan.files.size() <= kMaxListed)
    for (const hub::RemoteFile& file : plan.files)
      console.note(
          fmt::format("  {:<{}} {:>9}", chat::printable(file.path), kNameColumn, hub::size_text(file.size)));
  const std::string total = hub::size_text(plan.total_bytes);
  if (plan.have_bytes > 0)
    console.note(
        console.text("pull.files_rest", {{"total", total}, {"have", hub::size_text(plan.have_bytes)}}));
  else if (plan.files.size() > 1)
    console.note(console.text("pull.files", {{"files", plan.files.size()}, {"total", total}}));
}

// A short name of the catalogue, else a name of a hub; a folder of the hub's cache is the snapshot in it.
Result<hub::ModelName> resolved_name(const std::string& text) {
  const hub::Catalogue catalogue = hub::load_catalogue();
  if (auto known = catalogue.pull_name(text)) return *std::move(known);
  Result<hub::ModelName> parsed = hub::parse_name(text);
  if (const std::string family = catalogue.family_of(text); !parsed && !family.empty())
    return fail("hub.not_in_catalogue", {{"name", text}, {"known", family}});
  QW_TRY(hub::ModelName name, std::move(parsed));
  std::error_code ec;
  if (name.source == hub::Source::disk && fs::is_directory(name.place, ec)) {
    QW_TRY(const fs::path folder, resolve_hf_folder(name.place));
    name.place = folder.string();
  }
  return name;
}

}  // namespace

Result<hub::Store> open_store() {
  QW_TRY(const fs::path home, qw_home());
  return hub::Store(home / "models");
}

std::string duration_text(double seconds) {
  const auto s = static_cast<int64_t>(std::min(seconds, 1e9) + 0.5);
  if (s < 60) return fmt::format("{} s", s);
  if (s < 3600) return fmt::format("{} min {} s", s / 60, s % 60);
  return fmt::format("{} h {} min", s / 3600, s / 60 % 60);
}

Result<std::optional<hub::Pulled>> fetch_model(Program& program, const std::string& text,
                                               const FetchOptions& options) {
  QW_TRY(const hub::ModelName name, resolved_name(text));
  QW_TRY(const hub::Store store, open_store());
  Console& console = program.console();
  std::stop_source stop;
  const Interrupts::Scope on_interrupt(program.interrupts(), [&stop] { stop.request_stop(); });
  hub::Network network{.stop = stop.get_token()};
  network.http.user_agent = fmt::format("qw/{}", Program::version());
  int64_t arrived = 0;
  Result<hub::Pulled> pulled = fail("hub.cancelled");
  {
    std::optional<Progress> bar;
    bar.emplace(console, console.text("pull.asking", {{"name", text}}));
    hub::PullEvents events;
    events.planned = [&](const hub::PullPlan& plan) {
      bar.reset();
      show_plan(console, plan);
      arrived = plan.have_bytes;
      bar.emplace(console, std::string());
    };
    events.waiting = [&] {
      bar.reset();
      console.note(console.text("pull.waiting"));
      bar.emplace(console, std::string());
    };
    events.progress = [&](const hub::DownloadProgress& p) {
      arrived = p.done;
      if (bar) bar->set(p.done, p.total, progress_text(console, p));
    };
    pulled = hub::pull(store, network, hub::endpoints_from_environment(), name, events,
                       {.download = {.connections = options.connections}});
  }
  if (pulled) return *std::move(pulled);
  if (arrived > 0) console.note(console.text("pull.go_on", {{"name", text}}));
  if (pulled.error().code() == "hub.cancelled") return std::nullopt;
  return tl::unexpected<Error>(pulled.error());
}

Status report_pulled(Program& program, const hub::Pulled& pulled) {
  Console& console = program.console();
  const hub::StoredModel& model = pulled.model;
  const hub::Record& record = *model.record;
  const std::string path = model.model_path().string();
  if (program.json()) {
    const Json out{{"name", model.name()},        {"path", path},
                   {"bytes", model.bytes},        {"files", record.files.size()},
                   {"licence", record.licence},   {"quant", record.quant},
                   {"commit", record.commit},     {"fresh", pulled.fresh},
                   {"verified", pulled.verified}, {"fetched_bytes", pulled.fetched_bytes}};
    return console.write(to_json_line(out) + "\n");
  }
  if (!pulled.verified && record.source != "local") console.note(console.text("pull.unverified"));
  return console.write(
      console.text(pulled.fresh ? "pull.done" : "pull.here",
                   {{"name", model.name()}, {"folder", path}, {"total", hub::size_text(model.bytes)}}) +
      "\n" + console.text("pull.next", {{"name", model.name()}}) + "\n");
}

}  // namespace qw::apps
