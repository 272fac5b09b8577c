#include "apps/hub/machine.h"

#include <fstream>
#include <string>

#include "apps/memory.h"
#include "backend/cpu/peaks.h"
#include "base/json.h"
#include "base/mmap.h"
#include "base/rng.h"
#include "base/thread_pool.h"

namespace qw::apps {
namespace {

namespace fs = std::filesystem;

constexpr double kRoomShare = 0.05;                 // of the weights: activations, packing
constexpr int64_t kRoomBytes = int64_t{300} << 20;  // the program, the vocabulary
constexpr int64_t kKvGuess = int64_t{128} << 10;    // a token, where the shape is not known
constexpr size_t kMaxBytes = 4096;

// This machine's number: another processor, another count of threads, another number.
std::string machine_id(int threads) {
  std::string text = read_file("/etc/machine-id", kMaxBytes).value_or("");
  std::ifstream cpu("/proc/cpuinfo");
  for (std::string line; std::getline(cpu, line);)
    if (line.starts_with("model name")) {
      text += line;
      break;
    }
  return fmt::format("{:016x}-{}", name_key(text), threads);
}

int64_t plus_room(int64_t weights, const hub::CatalogueModel& model) {
  const int64_t kv = model.kv_bytes_per_token >= 0 ? model.kv_bytes_per_token : kKvGuess;
  return weights + static_cast<int64_t>(static_cast<double>(weights) * kRoomShare) + kRoomBytes +
         kv * kPlannedContext;
}

}  // namespace

Machine this_machine(const fs::path& home, int threads) {
  Machine out{.available_bytes = static_cast<int64_t>(available_memory())};
  const fs::path file = home / "machine.json";
  const std::string id = machine_id(threads);
  const Result<Json> known = parse_json_file(file);
  if (known && known->is_object() && known->contains("id") && (*known)["id"] == id &&
      known->contains("read_gb_s") && (*known)["read_gb_s"].is_number()) {
    out.read_gb_s = (*known)["read_gb_s"].get<double>();
    return out;
  }
  out.read_gb_s = measure_read_gb_s(threads);
  std::error_code ec;
  fs::create_directories(home, ec);
  (void)write_file_atomic(file, to_json_line({{"id", id}, {"read_gb_s", out.read_gb_s}}) + "\n");
  return out;
}

double decode_speed(const hub::CatalogueModel& model, int64_t weights, const Machine& machine) {
  const double active = static_cast<double>(model.active) / static_cast<double>(model.parameters);
  return weights > 0 ? machine.read_gb_s * 1e9 / (static_cast<double>(weights) * active) : 0;
}

Fit fit_of(const hub::CatalogueModel& model, const Machine& machine) {
  const bool published = !model.gguf.empty();
  const auto fit = [&](FitKind kind, int64_t weights) {
    const int64_t pulled = published ? model.download_bytes() : weights;
    return Fit{
        .kind = kind, .bytes = plus_room(weights, model), .tok_s = decode_speed(model, pulled, machine)};
  };
  const Fit whole = fit(FitKind::whole, model.bytes_16());
  if (whole.bytes <= machine.available_bytes) return whole;
  const Fit small = fit(FitKind::with_4_bits, model.bytes_4());
  if (small.bytes <= machine.available_bytes) return small;
  return fit(FitKind::no, model.bytes_4());
}

}  // namespace qw::apps
