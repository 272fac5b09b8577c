#include "io/hf/folder_writer.h"

#include <algorithm>
#include <functional>
#include <map>
#include <numeric>
#include <set>
#include <vector>

#include "base/atomic_file.h"
#include "base/mmap.h"
#include "base/text_files.h"
#include "io/encode.h"
#include "io/gguf/hybrid.h"
#include "io/hf/safetensors_writer.h"
#include "io/hf/stacked_experts.h"
#include "io/staged_folder.h"

namespace qw {
namespace {

namespace fs = std::filesystem;

constexpr size_t kMaxCopied = size_t{256} << 20;

struct Dtype {
  std::string_view safetensors, torch;
};
Dtype dtype_of(QuantFormat format) {
  switch (format) {
    case QuantFormat::f32:
      return {"F32", "float32"};
    case QuantFormat::f16:
      return {"F16", "float16"};
    case QuantFormat::bf16:
      return {"BF16", "bfloat16"};
    default:
      QW_CHECK(false, "safetensors has no {}", traits(format).name);
  }
  return {};
}

Json config_for(const HfFolderPlan& plan, bool unties_head) {
  Json config = Json::object();
  for (const auto& [key, value] :
       plan.config.items())  // of a GGUF file: unknown keys have its names, with dots
    if (key.find('.') == key.npos) config[key] = value;
  const bool old_spelling = config.contains("torch_dtype") && !config.contains("dtype");
  config.erase("torch_dtype");
  config[old_spelling ? "torch_dtype" : "dtype"] = dtype_of(plan.format).torch;
  if (unties_head) config["tie_word_embeddings"] = false;
  return config;
}

Status write_at(const fs::path& file, std::string_view content) {
  std::error_code ec;
  fs::create_directories(file.parent_path(), ec);  // the writer says what is wrong
  return write_file_atomic(file, content);
}

Status copy_files(const HfFolderPlan& plan, const fs::path& to) {
  std::error_code ec;
  fs::recursive_directory_iterator it(plan.files_from, fs::directory_options::follow_directory_symlink, ec);
  for (const fs::recursive_directory_iterator end; !ec && it != end; it.increment(ec)) {
    if (it.depth() > 0) it.disable_recursion_pending();
    std::error_code one;
    const std::string name = it->path().lexically_relative(plan.files_from).generic_string();
    if (!is_text_file(name) || !it->is_regular_file(one) || plan.files.contains(name)) continue;
    QW_TRY(const std::string content, read_file(it->path(), kMaxCopied));
    QW_TRY(write_at(to / name, content));
  }
  if (ec && !plan.files_from.empty())
    return fail("file.open", {{"file", plan.files_from.string()}, {"reason", ec.message()}});
  for (const auto& [name, content] : plan.files) QW_TRY(write_at(to / name, content));
  return {};
}

// One tensor of the files: a weight, or experts one after another where the hub has them stacked.
struct Output {
  std::string name;
  std::vector<int64_t> shape;
  std::vector<size_t> items;  // of the rows

  int64_t bytes(QuantFormat format) const {
    return std::accumulate(shape.begin(), shape.end(), int64_t{1}, std::multiplies<>()) *
           traits(format).block_bytes;
  }
};

// Qwen3.5 is published with the experts of a layer in two tensors, the older types with three for each
// expert.
bool stacks_experts(const Json& config) {
  const auto text = config.find("text_config");
  const Json& model = text != config.end() && text->is_object() ? *text : config;
  const std::string type = model.value("model_type", "");
  return type == "qwen3_5_moe" || type == "qwen3_5_moe_text";
}

std::vector<Output> outputs_of(const WeightRows& rows, bool stacks) {
  std::vector<Output> out;
  std::map<std::string, size_t, std::less<>> places;  // of stacks in `out`
  for (size_t i = 0; i < rows.items().size(); ++i) {
    const WeightRows::Item& item = rows.items()[i];
    const auto dims = item.shape.dims();
    const auto expert = stacks ? stacked_name(item.name) : std::nullopt;
    if (!expert) {
      out.push_back({item.name, {dims.begin(), dims.end()}, {i}});
      continue;
    }
    const auto [it, first] = places.emplace(expert->name, out.size());
    if (first) out.push_back({expert->name, {0, expert->parts * dims[0], dims[1]}, {}});
    Output& stack = out[it->second];
    stack.items.push_back(i);
    stack.shape[0] = static_cast<int64_t>(stack.items.size()) / expert->parts;
  }
  return out;
}

// Which tensors go into which file: in order, a new one where the next would make it too large.
std::vector<std::vector<Output>> in_shards(std::vector<Output> outputs, const HfFolderPlan& plan) {
  std::vector<std::vector<Output>> shards(1);
  int64_t bytes = 0;
  for (Output& o : outputs) {
    const int64_t more = o.bytes(plan.format);
    if (!shards.back().empty() && bytes + more > plan.max_shard_bytes) {
      shards.emplace_back();
      bytes = 0;
    }
    bytes += more;
    shards.back().push_back(std::move(o));
  }
  return shards;
}

struct Writing {
  const HfFolderPlan& plan;
  WeightRows& rows;
  const WriteProgress& progress;
  int64_t done = 0;
  int64_t total = 0;

  Status shard(const fs::path& file, const std::vector<Output>& outputs) {
    std::vector<SafetensorsPlan> plans;
    for (const Output& o : outputs)
      plans.push_back({o.name, std::string(dtype_of(plan.format).safetensors), o.shape});
    QW_TRY(SafetensorsWriter writer, SafetensorsWriter::create(file, plans, {{"format", "pt"}}));
    for (size_t k = 0; k < outputs.size(); ++k) QW_TRY(tensor(writer, k, outputs[k]));
    return writer.finish();
  }

  Status tensor(SafetensorsWriter& writer, size_t k, const Output& output) {
    int64_t offset = 0;
    std::vector<std::byte> bytes;
    const auto put = [&](int64_t, std::span<const float> values) -> Status {
      bytes.clear();
      if (!encode(plan.format, values, bytes))
        return fail("save.overflow", {{"tensor", output.name}, {"format", traits(plan.format).name}});
      QW_TRY(writer.write(k, offset, std::span<const std::byte>(bytes)));
      offset += static_cast<int64_t>(bytes.size());
      done += static_cast<int64_t>(bytes.size());
      if (progress) QW_TRY(progress(done, total));
      return {};
    };
    for (const size_t item : output.items) QW_TRY(rows.for_each_portion(item, put));
    return {};
  }
};

constexpr std::string_view kIndex = "model.safetensors.index.json";

// The names of the written files.
Result<std::set<std::string>> write_weights(const fs::path& folder, const HfFolderPlan& plan,
                                            WeightRows& rows, const WriteProgress& progress) {
  Writing writing{plan, rows, progress};
  std::vector<Output> outputs = outputs_of(rows, stacks_experts(plan.config));
  for (const Output& o : outputs) writing.total += o.bytes(plan.format);
  const auto shards = in_shards(std::move(outputs), plan);
  std::set<std::string> names;
  std::map<std::string, std::string> weight_map;  // Json looks for every name that it adds
  for (size_t s = 0; s < shards.size(); ++s) {
    const std::string name = shards.size() == 1
                                 ? "model.safetensors"
                                 : fmt::format("model-{:05}-of-{:05}.safetensors", s + 1, shards.size());
    QW_TRY(writing.shard(folder / name, shards[s]));
    names.insert(name);
    for (const Output& o : shards[s]) weight_map[o.name] = name;
  }
  if (shards.size() == 1) return names;
  const Json index{{"metadata", {{"total_size", writing.total}}}, {"weight_map", weight_map}};
  QW_TRY(write_file_atomic(folder / kIndex, index.dump(2) + "\n"));
  names.insert(std::string(kIndex));
  return names;
}

// Weights of an earlier write would be read instead of the new ones, or beside them.
void remove_old_weights(const fs::path& folder, const std::set<std::string>& written) {
  std::error_code ec;
  std::vector<fs::path> old;
  for (const fs::directory_entry& e : fs::directory_iterator(folder, ec)) {
    const std::string name = e.path().filename().string();
    const bool shard = name.starts_with("model-") && name.ends_with(".safetensors");
    if ((shard || name == "model.safetensors" || name == kIndex) && !written.contains(name))
      old.push_back(e.path());
  }
  for (const fs::path& file : old) fs::remove(file, ec);
}

}  // namespace

Status write_hf_folder(const fs::path& folder, const HfFolderPlan& plan, WeightRows& rows,
                       const WriteProgress& progress) {
  QW_TRY(check_hub_layout(plan.config));
  int64_t total = 0;
  for (const WeightRows::Item& item : rows.items())
    total += item.shape.elements() * traits(plan.format).block_bytes;
  QW_TRY(check_free_space(folder, total));
  QW_TRY(StagedFolder staged, StagedFolder::create(folder));
  QW_TRY(copy_files(plan, staged.path()));
  QW_TRY(const std::set<std::string> written, write_weights(staged.path(), plan, rows, progress));
  const Json config = config_for(plan, rows.unties_head());
  QW_TRY(write_file_atomic(staged.path() / "config.json",
                           config.dump(2, ' ', false, Json::error_handler_t::replace) + "\n"));
  QW_TRY(staged.commit("config.json"));
  remove_old_weights(folder, written);
  return {};
}

}  // namespace qw
