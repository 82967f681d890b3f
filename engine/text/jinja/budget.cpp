// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/jinja/budget.h"

#include <algorithm>

#include "engine/base/error.h"

namespace haq::text::jinja {
namespace {

thread_local Budget* active_budget = nullptr;
constexpr std::uint64_t kStepsBetweenChecks = 4096;

}  // namespace

Budget::Budget(const Limits& limits)
    : limits_(limits),
      deadline_(std::chrono::steady_clock::now() + limits.max_time),
      previous_(active_budget) {
  active_budget = this;
}

Budget::~Budget() {
  active_budget = previous_;
}

Budget* Budget::active() {
  return active_budget;
}

void Budget::check() {
  if (steps_ > limits_.max_steps) {
    fail(ErrorCode::kLimit, "the template takes more than {} steps", limits_.max_steps);
  }
  if (std::chrono::steady_clock::now() > deadline_) {
    fail(ErrorCode::kLimit, "the template runs longer than {} ms", limits_.max_time.count());
  }
  next_check_ = std::min(steps_ + kStepsBetweenChecks, limits_.max_steps + 1);
}

void Budget::reserve(std::size_t bytes) {
  if (bytes > limits_.max_memory || memory_ > limits_.max_memory - bytes) {
    fail(ErrorCode::kLimit, "the template needs more than {} MiB of memory",
         limits_.max_memory >> 20);
  }
  memory_ += bytes;
}

void check_size(std::size_t bytes) {
  const Budget* budget = Budget::active();
  const std::size_t limit = budget != nullptr ? budget->limits().max_string : Limits{}.max_string;
  if (bytes > limit) {
    fail(ErrorCode::kLimit, "the template makes a value of more than {} bytes", limit);
  }
}

Lease::Lease(std::size_t bytes) : budget_(Budget::active()), bytes_(bytes) {
  if (budget_ != nullptr) budget_->reserve(bytes);
}

Lease::~Lease() {
  if (budget_ != nullptr) budget_->release(bytes_);
}

}  // namespace haq::text::jinja
