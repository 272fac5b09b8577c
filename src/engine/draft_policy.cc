#include "engine/draft_policy.h"

#include <algorithm>
#include <cmath>

namespace qw {
namespace {

constexpr double kVerdictFade = 0.97;  // a verdict of 23 steps ago counts half
constexpr double kStepFade = 0.98;
constexpr double kRowGuess = 0.1;   // of a step's time, a row more, until steps of several sizes were seen
constexpr double kMargin = 1.03;    // drafting must win by this
constexpr double kOutlier = 4.0;    // a step that was interrupted by something else
constexpr int kMostPatience = 512;  // steps

}  // namespace

void Acceptance::add(int drafted, int accepted) {
  if (drafted == 0) return;
  right_ = right_ * kVerdictFade + accepted;
  tried_ = tried_ * kVerdictFade + std::min(drafted, accepted + 1);  // nothing is known of those after it
}

void DraftPolicy::saw_step(int rows, double seconds) {
  if (w_ > 8) seconds = std::min(seconds, kOutlier * step_seconds(rows));
  const double r = rows;
  w_ = w_ * kStepFade + 1;
  x_ = x_ * kStepFade + r;
  y_ = y_ * kStepFade + seconds;
  xx_ = xx_ * kStepFade + r * r;
  xy_ = xy_ * kStepFade + r * seconds;
}

void DraftPolicy::saw_draft(int tokens, double seconds) {
  draft_tokens_ = draft_tokens_ * kStepFade + tokens;
  draft_seconds_ = draft_seconds_ * kStepFade + seconds;
}

double DraftPolicy::step_seconds(double rows) const {
  if (w_ == 0) return 1.0 + kRowGuess * (rows - 1);
  const double mean_x = x_ / w_, mean_y = y_ / w_, spread = xx_ / w_ - mean_x * mean_x;
  double each = kRowGuess * mean_y / mean_x;
  if (spread > 0.05) each = std::clamp((xy_ / w_ - mean_x * mean_y) / spread, 0.0, mean_y / mean_x);
  return std::max(mean_y + each * (rows - mean_x), mean_y * 0.05);
}

int DraftPolicy::depth(Acceptance& a, int n_seqs) const {
  const double draft = draft_tokens_ > 0 ? draft_seconds_ / draft_tokens_ : 0.0;
  const double rate = a.rate();
  const double alone = n_seqs / step_seconds(n_seqs);
  int best = 0;
  double most = alone * kMargin;
  double expected = 1.0, power = 1.0;
  for (int k = 1; k <= max_depth_; ++k) {
    power *= rate;
    expected += power;
    const double speed = n_seqs * expected / (step_seconds(n_seqs * (1.0 + k)) + n_seqs * k * draft);
    if (speed <= most) continue;
    most = speed;
    best = k;
  }
  if (best > 0) {
    a.quiet_ = 0;
    a.patience_ = 16;
    return best;
  }
  if (++a.quiet_ < a.patience_) return 0;
  a.quiet_ = 0;
  a.patience_ = std::min(2 * a.patience_, kMostPatience);
  return std::min(2, max_depth_);
}

}  // namespace qw
