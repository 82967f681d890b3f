// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <bit>
#include <chrono>
#include <limits>

#include "engine/profile/replay/replay.h"
#include "engine/profile/replay/replay_count.h"

namespace haq::profile {
namespace {

using experts::ExpertIndex;

/// A set of numbers below a fixed limit with the largest one at hand: words of 64 bits over words
/// of 64 bits.
class MaxSet {
 public:
  explicit MaxSet(std::int64_t limit) {
    std::size_t words = static_cast<std::size_t>(limit);
    do {
      words = (words + 63) / 64;
      levels_.emplace_back(words, 0);
    } while (words > 1);
  }
  void insert(std::int64_t number) {
    auto index = static_cast<std::uint64_t>(number);
    for (auto& level : levels_) {
      level[index / 64] |= std::uint64_t{1} << (index % 64);
      index /= 64;
    }
  }
  void erase(std::int64_t number) {
    auto index = static_cast<std::uint64_t>(number);
    for (auto& level : levels_) {
      level[index / 64] &= ~(std::uint64_t{1} << (index % 64));
      if (level[index / 64] != 0) return;
      index /= 64;
    }
  }
  /// -1 when empty.
  std::int64_t largest() const {
    if (levels_.back()[0] == 0) return -1;
    std::uint64_t index = 0;
    for (auto level = levels_.rbegin(); level != levels_.rend(); ++level) {
      index = index * 64 + 63 - static_cast<std::uint64_t>(std::countl_zero((*level)[index]));
    }
    return static_cast<std::int64_t>(index);
  }

 private:
  std::vector<std::vector<std::uint64_t>> levels_;  // the numbers first
};

/// Residents ordered by their next use; see replay_belady.
class Optimum {
 public:
  Optimum(const Steps& steps, int capacity, bool must_admit)
      : steps_(steps),
        shape_(steps.shape()),
        capacity_(capacity),
        must_admit_(must_admit),
        next_(static_cast<std::size_t>(shape_.total()), kNever),
        resident_(static_cast<std::size_t>(shape_.total()), 0),
        newcomer_(static_cast<std::size_t>(shape_.total()), 0),
        in_step_(static_cast<std::size_t>(shape_.total()), 0),
        due_(static_cast<std::size_t>(steps.count()), 0),
        soon_(std::max<std::int64_t>(1, steps.count())),
        never_(2 * std::int64_t{shape_.total()}) {
    find_next_uses();
  }

  bool resident(ExpertIndex expert) const { return resident_[at(expert)] != 0; }

  /// Returns the uploads.
  std::int64_t end_step(const experts::Step& step) {
    const ExpertIndex base = shape_.index(step.layer, 0);
    // The uses of this step are over: move its residents to their next one.
    for (std::size_t i = 0; i < step.experts.size(); ++i) {
      const ExpertIndex expert = base + step.experts[i];
      in_step_[at(expert)] = 1;
      if (resident(expert)) leave(expert);
      next_[at(expert)] = next_use_[first_access_ + i];
      if (resident(expert)) enter(expert);
    }
    std::int64_t uploads = 0;
    for (const std::uint16_t number : step.experts) {
      const ExpertIndex expert = base + number;
      if (resident(expert) || capacity_ == 0) continue;
      if (must_admit_ && used_ == capacity_) {
        const ExpertIndex victim = farthest_outside();
        if (victim < 0) continue;
        drop(victim);
      }
      newcomer_[at(expert)] = 1;
      resident_[at(expert)] = 1;
      ++used_;
      enter(expert);
      ++uploads;
    }
    while (used_ > capacity_) {
      const ExpertIndex victim = farthest_of_all();
      if (newcomer_[at(victim)]) --uploads;
      drop(victim);
    }
    for (const std::uint16_t number : step.experts) {
      const ExpertIndex expert = base + number;
      in_step_[at(expert)] = 0;
      if (!newcomer_[at(expert)]) continue;
      const bool stays = resident(expert);
      if (stays) leave(expert);  // its place among equals changes
      newcomer_[at(expert)] = 0;
      if (stays) enter(expert);
    }
    first_access_ += step.experts.size();
    return uploads;
  }

 private:
  static constexpr std::int64_t kNever = std::numeric_limits<std::int64_t>::max();
  static std::size_t at(std::int64_t index) { return static_cast<std::size_t>(index); }

  void find_next_uses() {
    next_use_.assign(at(steps_.accesses()), kNever);
    std::vector<std::int64_t> next(at(shape_.total()), kNever);
    std::size_t access = next_use_.size();
    for (std::int64_t index = steps_.count() - 1; index >= 0; --index) {
      const experts::Step step = steps_.step(index);
      access -= step.experts.size();
      for (std::size_t i = 0; i < step.experts.size(); ++i) {
        const ExpertIndex expert = shape_.index(step.layer, step.experts[i]);
        next_use_[access + i] = next[at(expert)];
        next[at(expert)] = index;
      }
    }
  }

  /// Among experts with the same next use newcomers go first, then the higher index.
  std::int64_t tie_key(ExpertIndex expert) const {
    return (newcomer_[at(expert)] ? shape_.total() : 0) + expert;
  }
  void enter(ExpertIndex expert) {
    const std::int64_t next = next_[at(expert)];
    if (next == kNever) {
      never_.insert(tie_key(expert));
    } else if (due_[at(next)]++ == 0) {
      soon_.insert(next);
    }
  }
  void leave(ExpertIndex expert) {
    const std::int64_t next = next_[at(expert)];
    if (next == kNever) {
      never_.erase(tie_key(expert));
    } else if (--due_[at(next)] == 0) {
      soon_.erase(next);
    }
  }
  void drop(ExpertIndex expert) {
    leave(expert);
    resident_[at(expert)] = 0;
    --used_;
  }

  /// The resident whose next use is farthest.
  ExpertIndex farthest_of_all() const {
    if (const std::int64_t key = never_.largest(); key >= 0) {
      return static_cast<ExpertIndex>(key % shape_.total());
    }
    return last_due(soon_.largest());
  }
  /// The same among those outside the running step; -1: there is none. Experts of the step leave
  /// their places for the search and come back.
  ExpertIndex farthest_outside() {
    hidden_.clear();
    ExpertIndex found = -1;
    for (;;) {
      if (never_.largest() < 0 && soon_.largest() < 0) break;
      const ExpertIndex candidate = farthest_of_all();
      if (!in_step_[at(candidate)]) {
        found = candidate;
        break;
      }
      leave(candidate);
      resident_[at(candidate)] = 0;
      hidden_.push_back(candidate);
    }
    for (const ExpertIndex expert : hidden_) {
      resident_[at(expert)] = 1;
      enter(expert);
    }
    return found;
  }
  /// Of the residents next used in step `index`: newcomers first, then the higher index.
  ExpertIndex last_due(std::int64_t index) const {
    const experts::Step step = steps_.step(index);
    ExpertIndex best = -1;
    for (const std::uint16_t number : step.experts) {
      const ExpertIndex expert = shape_.index(step.layer, number);
      if (!resident(expert) || next_[at(expert)] != index) continue;
      if (best < 0 || tie_key(expert) > tie_key(best)) best = expert;
    }
    return best;
  }

  const Steps& steps_;
  experts::ExpertShape shape_;
  int capacity_;
  bool must_admit_;
  std::vector<std::int64_t> next_use_;  // by access: the step of the expert's next use
  std::vector<std::int64_t> next_;      // by expert
  std::vector<std::uint8_t> resident_, newcomer_, in_step_;
  std::vector<std::uint16_t> due_;  // by step: residents whose next use it is
  MaxSet soon_;                     // steps with due residents
  MaxSet never_;                    // residents without a next use
  std::vector<ExpertIndex> hidden_;
  std::size_t first_access_ = 0;
  int used_ = 0;
};

}  // namespace

ReplayResult replay_belady(const Steps& steps, int capacity, bool must_admit,
                           const ReplayOptions& options, const CancelToken& cancel) {
  constexpr std::int64_t kStepsPerCancelCheck = 1 << 14;
  const auto begin = std::chrono::steady_clock::now();
  const experts::ExpertShape& shape = steps.shape();
  experts::Residency(shape, capacity);  // checks the capacity
  Optimum optimum(steps, capacity, must_admit);
  ReplayCount count(shape, options);
  for (std::int64_t index = 0; index < steps.count(); ++index) {
    if (index % kStepsPerCancelCheck == 0) cancel.check();
    const experts::Step step = steps.step(index);
    std::size_t hits = 0;
    for (const std::uint16_t expert : step.experts) {
      hits += optimum.resident(shape.index(step.layer, expert));
    }
    const std::int64_t uploads = optimum.end_step(step);
    if (steps.first_token(index) < options.held_out_from) continue;
    count.add(
        {step.layer, steps.first_token(index), step.tokens, step.experts.size(), hits, uploads});
  }
  ReplayResult result;
  result.policy = must_admit ? "belady-admit" : "belady";
  result.capacity = capacity;
  count.finish(result);
  result.seconds = std::chrono::duration<double>(std::chrono::steady_clock::now() - begin).count();
  return result;
}

}  // namespace haq::profile
