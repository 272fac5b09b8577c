// How many tokens to draft, from what was measured: how often drafted tokens are right, what a row more costs
// in a step, what drafting costs. 0 where drafting loses; then it is tried again now and then. Pure
// arithmetic; the clock is the caller's. Test: tests/engine/speculation_test.cc
#pragma once

namespace qw {

// How often drafted tokens are right, of one sequence; old verdicts fade.
class Acceptance {
 public:
  // Of `drafted` tokens the first `accepted` were right.
  void add(int drafted, int accepted);
  double rate() const { return right_ / tried_; }

 private:
  friend class DraftPolicy;
  double right_ = 1.4, tried_ = 2.0;  // a hopeful beginning of little weight
  int quiet_ = 0;                     // steps since the policy said 0
  int patience_ = 16;                 // steps until the next try
};

class DraftPolicy {
 public:
  explicit DraftPolicy(int max_depth) : max_depth_(max_depth) {}

  // A step of decoding sequences alone computed `rows` rows, the drafted ones among them.
  void saw_step(int rows, double seconds);
  // Drafting `tokens` tokens took so long.
  void saw_draft(int tokens, double seconds);
  // Tokens to draft now for one of `n_seqs` sequences that decode together.
  int depth(Acceptance& a, int n_seqs) const;

 private:
  double step_seconds(double rows) const;

  int max_depth_;
  // Sums over steps, old ones fade: least squares of seconds = fixed + each · rows.
  double w_ = 0, x_ = 0, y_ = 0, xx_ = 0, xy_ = 0;
  double draft_tokens_ = 0, draft_seconds_ = 0;
};

}  // namespace qw
