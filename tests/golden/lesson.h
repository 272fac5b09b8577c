// A golden model in training, and what ten AdamW steps of it are held to. Data: tools/goldens/README.md,
// "learning" and "hybrid".
#pragma once

#include <filesystem>
#include <memory>
#include <optional>
#include <vector>

#include "core/adapter.h"
#include "core/tape.h"
#include "golden/golden.h"
#include "models/model.h"

namespace qw::golden {

// One model in training, on the CPU in f32: all its weights, or those of an adapter.
struct Lesson {
  using Path = std::filesystem::path;
  // `expected`: a file with the documents and what they give. Fails the running test where one does not load.
  Lesson(const Path& expected, const Path& model, const std::optional<Path>& adapter);

  // Forward (and backward where that is wanted): the mean over all next-token targets of the batch.
  double loss(bool backward);

  Expected expected;
  std::unique_ptr<Backend> backend;
  Arena arena;
  Gradients gradients;
  std::unique_ptr<Model> model;
  std::vector<Weight*> weights;         // those that learn
  std::shared_ptr<AdapterSet> adapter;  // null: all weights of the model
  std::vector<std::vector<int32_t>> documents;
};

struct LessonBounds {
  double floor;      // of reference_tolerance()
  double gradients;  // absolute, of every element
  // A gradient norm may be off by 1e-4 of itself; by its reference_tolerance() more where this is set.
  bool norm_spread = false;
};

// Every loss, gradient (of the first step) and gradient norm, and that nothing of the file goes unread.
void expect_ten_steps(Lesson& lesson, const LessonBounds& bounds);

// The reference's own distance from f64 (`floor` at least) measures what f32 costs here; an engine in f32 may
// be a few times as far. 4 covers another order of summation in every product of the model.
double reference_tolerance(const Host<float>& f32, const Host<double>& f64, double floor);

// A floor: one unit in the last place of a loss of 12.
inline constexpr double kLossUlp = 2e-6;

}  // namespace qw::golden
