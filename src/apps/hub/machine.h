// What this machine can run: its memory and how fast it reads it, measured once and remembered.
// Test: tests/apps/machine_test.cc
#pragma once

#include <cstdint>
#include <filesystem>

#include "hub/catalogue.h"

namespace qw::apps {

struct Machine {
  int64_t available_bytes = 0;  // of memory, for a model; 0: not known
  double read_gb_s = 0;         // 0: not known
};

// Measures for about half a second where $QW_HOME/machine.json does not have this machine's number.
Machine this_machine(const std::filesystem::path& home, int threads);

enum class FitKind { whole, with_4_bits, no };
struct Fit {
  FitKind kind = FitKind::no;
  int64_t bytes = 0;  // of memory, in the form that fits (no: with 4 bits)
  double tok_s = 0;   // at most: what a token reads, in the form that a pull gets where that fits
};

inline constexpr int64_t kPlannedContext = 4096;  // tokens whose keys and values are counted

// Weights in 16 bits or about 4, keys and values of kPlannedContext tokens in f16, and room to compute in.
Fit fit_of(const hub::CatalogueModel& model, const Machine& machine);
// Tokens a second at most, with weights of so many bytes in all.
double decode_speed(const hub::CatalogueModel& model, int64_t weights, const Machine& machine);

}  // namespace qw::apps
