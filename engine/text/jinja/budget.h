// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <cstddef>
#include <cstdint>

namespace haq::text::jinja {

/// What one rendering may use. Templates come from model folders, so they are untrusted programs.
struct Limits {
  std::uint64_t max_steps = 100'000'000;
  std::chrono::milliseconds max_time{2000};
  std::size_t max_string = std::size_t{16} << 20;   ///< bytes of one string, the output included
  std::size_t max_memory = std::size_t{256} << 20;  ///< bytes of all strings and containers alive
  int max_depth = 600;                              ///< nested evaluation, macro calls included
};

/// Counts steps, time and memory of one rendering; throws Error kLimit when one runs out. At most
/// one budget is active per thread: values find it there, so that a copy of a string deep inside a
/// filter is accounted for without handing the budget through every function.
class Budget {
 public:
  explicit Budget(const Limits& limits);
  ~Budget();
  Budget(const Budget&) = delete;
  Budget& operator=(const Budget&) = delete;

  static Budget* active();
  const Limits& limits() const { return limits_; }

  void step(std::uint64_t count) {
    steps_ += count;
    if (steps_ >= next_check_) check();
  }
  void reserve(std::size_t bytes);
  void release(std::size_t bytes) noexcept { memory_ -= bytes; }

 private:
  void check();
  Limits limits_;
  std::uint64_t steps_ = 0;
  std::uint64_t next_check_ = 0;
  std::size_t memory_ = 0;
  std::chrono::steady_clock::time_point deadline_;
  Budget* previous_;
};

/// Charges work to the active budget, if there is one.
inline void charge(std::uint64_t steps) {
  if (Budget* budget = Budget::active()) budget->step(steps);
}

/// Refuses a string or container before it is built. `bytes` may be any product that did not
/// overflow.
void check_size(std::size_t bytes);

/// A share of the budget's memory, given back on destruction.
class Lease {
 public:
  Lease() = default;
  explicit Lease(std::size_t bytes);
  ~Lease();
  Lease(const Lease&) = delete;
  Lease& operator=(const Lease&) = delete;

 private:
  Budget* budget_ = nullptr;
  std::size_t bytes_ = 0;
};

}  // namespace haq::text::jinja
