#include "apps/memory.h"

#include <algorithm>
#include <fstream>
#include <limits>
#include <string>

#include "core/kv_pool.h"

namespace qw::apps {
namespace {

constexpr double kUsable = 0.95;  // of the available memory: the rest is for the program itself

// The number in a file of a cgroup; none where it is absent or "max".
std::optional<size_t> number_in(const std::filesystem::path& file) {
  std::ifstream in(file);
  size_t n = 0;
  return in >> n ? std::optional(n) : std::nullopt;
}

size_t machine_available() {
  std::ifstream in("/proc/meminfo");
  for (std::string word; in >> word;)
    if (word == "MemAvailable:") {
      size_t kib = 0;
      in >> kib;
      return kib << 10;
    }
  return 0;
}

// Pages that a cgroup holds of files: they count as its memory, and are let go when it needs room.
size_t pages_of_files(const std::filesystem::path& stat) {
  std::ifstream in(stat);
  size_t bytes = 0, n = 0;
  for (std::string word; in >> word >> n;)
    if (word == "inactive_file" || word == "active_file") bytes += n;
  return bytes;
}

// Towers of other media stay in their files.
size_t bytes_read(const Checkpoint& checkpoint) {
  int64_t bytes = checkpoint.total_bytes;
  for (const auto& [name, size] : checkpoint.other_parts) bytes -= size;
  return static_cast<size_t>(std::max<int64_t>(bytes, 0));
}

}  // namespace

std::optional<size_t> cgroup_room(const std::filesystem::path& root, std::string_view own) {
  std::optional<size_t> room;
  while (own.starts_with('/')) own.remove_prefix(1);
  for (std::filesystem::path group = root / own;; group = group.parent_path()) {
    const auto limit = number_in(group / "memory.max"), used = number_in(group / "memory.current");
    if (limit && used) {
      const size_t held = *used - std::min(*used, pages_of_files(group / "memory.stat"));
      const size_t left = *limit - std::min(*limit, held);
      room = std::min(room.value_or(left), left);
    }
    if (group == root || !group.has_relative_path()) return room;
  }
}

size_t available_memory() {
  const size_t bytes = machine_available();
  std::string own;
  std::ifstream groups("/proc/self/cgroup");
  for (std::string line; std::getline(groups, line);)
    if (line.starts_with("0::")) own = line.substr(3);
  const auto room = cgroup_room("/sys/fs/cgroup", own);
  return room ? std::min(bytes, *room) : bytes;
}

bool fits_into(size_t bytes, size_t available) {
  return available == 0 || static_cast<double>(bytes) <= static_cast<double>(available) * kUsable;
}

Status check_weights_fit(const Checkpoint& checkpoint, const Checkpoint* other) {
  const size_t available = available_memory();
  const size_t needed = bytes_read(checkpoint) + (other != nullptr ? bytes_read(*other) : 0);
  if (fits_into(needed, available)) return {};
  int64_t elements = 0;
  for (const auto& [name, count] : checkpoint.formats) elements += count.elements;
  constexpr double kFourBits = 4.5 / 8;  // bytes a weight of q4_0
  return fail("memory.model_too_large",
              {{"file", checkpoint.path.string()},
               {"needed", bytes_text(needed)},
               {"available", bytes_text(available)},
               {"four_bits", bytes_text(static_cast<size_t>(static_cast<double>(elements) * kFourBits))}});
}

Status check_free_memory(size_t bytes) {
  const size_t available = available_memory();
  if (fits_into(bytes, available)) return {};
  return fail("memory.plan", {{"needed", bytes_text(bytes)}, {"available", bytes_text(available)}});
}

Result<MemoryPlan> fit_memory(Console& console, Model& model, EngineOptions& options, bool fixed_ctx,
                              int min_ctx, const WeightMemory& weights) {
  QW_TRY(MemoryPlan plan, plan_memory(model, DType::f32, options));
  const size_t room = static_cast<size_t>(static_cast<double>(weights.available) * kUsable);
  const auto bytes_of = [&] { return plan.total_bytes() - (weights.mapped ? plan.weight_bytes : 0); };
  size_t needed = bytes_of();
  if (room == 0 || needed <= room) return plan;
  // Snapshots save time alone: they go before tokens of the context do.
  const size_t spare =
      static_cast<size_t>(plan.limits.n_slots - std::min(plan.limits.n_slots, plan.limits.max_seqs)) *
      KvPool::slot_bytes(model.cache_spec(), DType::f32);
  if (spare > 0) {
    options.snapshot_bytes = spare - std::min(spare, needed - room);
    QW_TRY(plan, plan_memory(model, DType::f32, options));
    needed = bytes_of();
    if (needed <= room) return plan;
  }
  const size_t fixed = needed - plan.kv_bytes;
  const double share =
      fixed >= room ? 0 : static_cast<double>(room - fixed) / static_cast<double>(plan.kv_bytes);
  const int ctx = static_cast<int>(share * plan.limits.ctx_tokens) / kPageTokens * kPageTokens;
  if (fixed_ctx || ctx < min_ctx) return fail("memory.exhausted", {{"bytes", needed}});
  options.ctx_tokens = ctx;
  console.note(console.text("ui.context_cut", {{"tokens", ctx}, {"limit", plan.limits.ctx_tokens}}));
  return plan_memory(model, DType::f32, options);
}

Json plan_json(const MemoryPlan& plan) {
  return Json{{"context", plan.limits.ctx_tokens},
              {"weight_bytes", plan.weight_bytes},
              {"kv_bytes", plan.kv_bytes},
              {"state_bytes", plan.state_bytes},
              {"activation_bytes", plan.activation_bytes},
              {"draft_bytes", plan.draft_bytes},
              {"total_bytes", plan.total_bytes()},
              {"available_bytes", available_memory()}};
}

std::string plan_text(const Console& console, const MemoryPlan& plan) {
  return console.text("ui.plan", {{"context", plan.limits.ctx_tokens},
                                  {"weights", bytes_text(plan.weight_bytes + plan.draft_bytes)},
                                  {"kv", bytes_text(plan.kv_bytes + plan.state_bytes)},
                                  {"activations", bytes_text(plan.activation_bytes)},
                                  {"total", bytes_text(plan.total_bytes())},
                                  {"available", bytes_text(available_memory())}});
}

std::string bytes_text(size_t bytes) {
  const double b = static_cast<double>(bytes);
  if (b >= 1e9) return fmt::format("{:.2f} GB", b / 1e9);
  if (b >= 1e6) return fmt::format("{:.1f} MB", b / 1e6);
  return fmt::format("{:.1f} kB", b / 1e3);
}

}  // namespace qw::apps
