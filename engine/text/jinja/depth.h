// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "engine/base/error.h"
#include "engine/text/jinja/budget.h"
#include "engine/text/jinja/interpreter.h"

namespace haq::text::jinja {

/// One level of nested evaluation: guards the stack against macros that call themselves.
class Interpreter::Depth {
 public:
  explicit Depth(Interpreter& interpreter) : interpreter_(interpreter) {
    charge(1);
    const Budget* budget = Budget::active();
    const int limit = budget != nullptr ? budget->limits().max_depth : Limits{}.max_depth;
    if (interpreter.depth_ >= limit) {
      fail(ErrorCode::kLimit, "the template nests evaluation deeper than {} levels", limit);
    }
    ++interpreter.depth_;
  }
  ~Depth() { --interpreter_.depth_; }
  Depth(const Depth&) = delete;
  Depth& operator=(const Depth&) = delete;

 private:
  Interpreter& interpreter_;
};

/// Makes another scope current for a while.
class Interpreter::ScopeSwitch {
 public:
  ScopeSwitch(Interpreter& interpreter, ScopePtr scope)
      : interpreter_(interpreter), previous_(std::move(interpreter.scope_)) {
    interpreter_.scope_ = std::move(scope);
  }
  ~ScopeSwitch() { interpreter_.scope_ = std::move(previous_); }
  ScopeSwitch(const ScopeSwitch&) = delete;
  ScopeSwitch& operator=(const ScopeSwitch&) = delete;

 private:
  Interpreter& interpreter_;
  ScopePtr previous_;
};

}  // namespace haq::text::jinja
