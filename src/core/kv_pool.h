// KvPool: the memory of the KV cache and of recurrent states; who uses which page is policy and lives in
// engine/. Layers of equal CacheSpec form a group and share block tables. Layouts: K [n_pages, kv_heads,
// head_dim, 32], V [n_pages, kv_heads, 32, head_dim], state [n_slots, floats]. Test: tests/core/core_test.cc
#pragma once

#include <memory>
#include <vector>

#include "core/backend.h"
#include "core/batch.h"

namespace qw {

struct KvPoolOptions {
  int n_pages = 0;           // a group
  int n_slots = 0;           // recurrent states
  DType dtype = DType::f16;  // of K and V: f16 or the backend's real()
};

class KvPool {
 public:
  struct Group {
    CacheSpec spec;
    std::vector<int> layers;
  };

  // Errors: memory.exhausted.
  static Result<std::unique_ptr<KvPool>> create(Backend& backend, const std::vector<LayerCache>& layers,
                                                const KvPoolOptions& options);

  // The groups of paged and window layers; AttnPlan::tables is parallel to it.
  const std::vector<Group>& groups() const { return groups_; }
  int group_of(int layer) const;
  bool has_recurrent() const { return state_bytes_per_slot_ > 0; }
  const KvPoolOptions& options() const { return options_; }

  Tensor k(int layer) const { return layers_[static_cast<size_t>(layer)].k; }
  Tensor v(int layer) const { return layers_[static_cast<size_t>(layer)].v; }
  Tensor state(int layer) const {
    return layers_[static_cast<size_t>(layer)].state;
  }  // real() [n_slots, floats]

  // Recurrent state of one sequence, all layers: set to zero, or copied slot to slot (a snapshot is a slot
  // that nobody writes).
  void clear_slot(int slot);
  void copy_slot(int to, int from);
  // Whether every number of the state is finite. Waits for the device.
  bool slot_is_finite(int slot);
  // The keys and values of a page, all layers.
  void copy_page(int to, int from);

  // Bytes of one page of every group together, and of one slot.
  static size_t page_bytes(const std::vector<LayerCache>& layers, DType dtype);
  static size_t slot_bytes(const std::vector<LayerCache>& layers, DType real);

 private:
  struct Layer {
    int group = -1;
    Tensor k, v, state;
  };
  KvPool(Backend& backend, const KvPoolOptions& options) : backend_(backend), options_(options) {}

  Backend& backend_;
  KvPoolOptions options_;
  std::vector<Group> groups_;
  std::vector<Layer> layers_;
  Tensor sums_;  // scratch of slot_is_finite
  size_t state_bytes_per_slot_ = 0;
};

}  // namespace qw
