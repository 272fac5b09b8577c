#include "train/checkpoint.h"

#include <fmt/format.h>

#include <algorithm>
#include <cstring>

#include "io/hf/safetensors.h"
#include "io/hf/safetensors_writer.h"
#include "io/staged_folder.h"

namespace qw::train {
namespace {

namespace fs = std::filesystem;

constexpr const char* kTensors = "tensors.safetensors";
constexpr const char* kState = "state.json";
constexpr int kVersion = 1;
constexpr int64_t kPortion = int64_t{1} << 22;  // elements on their way to a file: 16 MB

std::string name_of(int64_t step) {
  return fmt::format("step-{:08}", step);
}

std::vector<fs::path> checkpoints(const fs::path& folder) {
  std::vector<fs::path> out;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(folder, ec))
    if (entry.path().filename().string().starts_with("step-") && fs::exists(entry.path() / kState, ec))
      out.push_back(entry.path());
  std::sort(out.begin(), out.end());
  return out;
}

// Folders that a killed run was writing: as large as a checkpoint, and nobody reads them.
void remove_unfinished(const fs::path& folder) {
  std::vector<fs::path> found;
  std::error_code ec;
  for (const auto& entry : fs::directory_iterator(folder, ec))
    if (entry.path().filename().string().starts_with(".step-")) found.push_back(entry.path());
  for (const fs::path& path : found) fs::remove_all(path, ec);
}

Status write_tensors(const fs::path& file, const Trainer& trainer, Backend& backend) {
  const auto tensors = trainer.tensors();
  std::vector<SafetensorsPlan> plans;
  for (const auto& [name, t] : tensors)
    plans.push_back({name, "F32", {t.shape().dims().begin(), t.shape().dims().end()}});
  QW_TRY(SafetensorsWriter writer, SafetensorsWriter::create(file, plans));
  std::vector<float> host;
  for (size_t i = 0; i < tensors.size(); ++i) {
    const int64_t n = tensors[i].second.elements();
    const Tensor all = tensors[i].second.view({n});
    for (int64_t at = 0; at < n; at += kPortion) {
      host.resize(static_cast<size_t>(std::min(kPortion, n - at)));
      backend.download(host.data(), all.slice(0, at, std::ssize(host)));
      QW_TRY(writer.write(i, at, std::span<const float>(host)));
    }
  }
  return writer.finish();
}

}  // namespace

Status save_checkpoint(const fs::path& folder, const Trainer& trainer, const Json& config, Backend& backend,
                       int keep) {
  QW_TRY(StagedFolder staged, StagedFolder::create(folder / name_of(trainer.done())));
  QW_TRY(write_tensors(staged.path() / kTensors, trainer, backend));
  const Json state{{"version", kVersion}, {"state", trainer.state()}, {"config", config}};
  QW_TRY(write_file_atomic(staged.path() / kState, state.dump(2) + "\n"));
  QW_TRY(staged.commit(kState));
  std::vector<fs::path> all = checkpoints(folder);
  std::error_code ec;  // an old checkpoint that stays harms nobody
  for (size_t i = 0; i + static_cast<size_t>(keep) < all.size(); ++i) fs::remove_all(all[i], ec);
  remove_unfinished(folder);
  return {};
}

std::optional<fs::path> newest_checkpoint(const fs::path& folder) {
  const std::vector<fs::path> all = checkpoints(folder);
  if (all.empty()) return std::nullopt;
  return all.back();
}

std::optional<Json> checkpoint_state(const fs::path& folder, int64_t step) {
  const Result<Json> saved = parse_json_file(folder / name_of(step) / kState);
  if (!saved || !saved->is_object() || !saved->contains("state")) return std::nullopt;
  const Json& state = saved->at("state");
  return state.is_object() ? std::optional(state) : std::nullopt;
}

Json checkpoint_config(const fs::path& checkpoint) {
  const Result<Json> saved = parse_json_file(checkpoint / kState);
  return saved && saved->is_object() ? saved->value("config", Json()) : Json();
}

void forget_checkpoints_after(const fs::path& folder, int64_t step) {
  std::error_code ec;
  for (const fs::path& path : checkpoints(folder))
    if (path.filename().string() > name_of(step)) fs::remove_all(path, ec);
}

Status load_checkpoint(const fs::path& checkpoint, Trainer& trainer, const Json& config, Backend& backend) {
  const auto named = [&](Error error) {
    error.with("file", checkpoint.string());
    return tl::unexpected<Error>(std::move(error));
  };
  QW_TRY(const Json saved, parse_json_file(checkpoint / kState));
  if (!saved.is_object() || !saved.contains("version") || saved["version"] != kVersion ||
      !saved.contains("state") || !saved.contains("config"))
    return named(Error("train.checkpoint_state", {{"key", "version"}}));
  if (const std::string key = first_difference(saved["config"], config); !key.empty())
    return named(Error("train.checkpoint_config", {{"key", key}}));
  QW_TRY(const SafetensorsSet set, open_safetensors(checkpoint / kTensors));
  const auto load = [&](const std::string& name, const Tensor& to) -> Status {
    const auto it = set.tensors.find(name);
    if (it == set.tensors.end() || it->second.tensor->dtype != "F32" ||
        !std::equal(it->second.tensor->shape.begin(), it->second.tensor->shape.end(),
                    to.shape().dims().begin(), to.shape().dims().end()))
      return fail("train.checkpoint_tensor", {{"tensor", name}});
    backend.upload(to, it->second.tensor->bytes.data());
    return {};
  };
  if (Status s = trainer.restore(saved["state"], load); !s) return named(s.error());
  return {};
}

}  // namespace qw::train
