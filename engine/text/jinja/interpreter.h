// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <chrono>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/value.h"

namespace haq::text::jinja {

/// Variables of one block; reads fall through to the enclosing scopes, writes do not.
struct Scope {
  std::shared_ptr<Scope> parent;
  std::vector<std::pair<std::string, Value>> variables;
  Lease lease{256};  // about what a scope takes

  const Value* find(std::string_view name) const;
  void set(std::string_view name, Value value);
};
using ScopePtr = std::shared_ptr<Scope>;

/// Runs one template once. Everything a template can reach is in this object and its arguments:
/// no files, no environment, no other state of the process. Needs an active Budget.
class Interpreter {
 public:
  using Clock = std::function<std::chrono::system_clock::time_point()>;

  /// `variables` are what the template sees besides the built-in functions.
  Interpreter(std::vector<std::pair<std::string, Value>> variables, Clock clock);
  ~Interpreter();
  Interpreter(const Interpreter&) = delete;
  Interpreter& operator=(const Interpreter&) = delete;

  /// Appends the template's output. Errors: kInvalidArgument with the template's own message for
  /// raise_exception; kLimit; kCorrupt for everything else that fails at run time.
  void run(const std::vector<Stmt>& program, StrBuilder& out);

  // What built-in functions, filters and methods call back.
  Value call(const Value& callee, Arguments& arguments);
  Value apply_filter(std::string_view name, const Value& input, const Arguments& arguments);
  bool apply_test(std::string_view name, const Value& input, const Arguments& arguments);
  /// object.name and object[key], as jinja's sandbox resolves them; undefined when missing.
  Value attribute(const Value& object, std::string_view name);
  Value item(const Value& object, const Value& key);
  /// The items that a loop over `value` visits; throws for what cannot be iterated.
  ListPtr items(const Value& value);
  std::chrono::system_clock::time_point now() const { return clock_(); }
  int line() const { return line_; }
  /// Keeps an object that others may point to in a circle, to take it apart at the end.
  void keep(const ObjectPtr& object) { kept_.push_back(object); }

  /// Body of a macro or call block: output as a string.
  Value call_macro(const Signature& signature, const std::vector<Stmt>& body, const ScopePtr& scope,
                   Arguments& arguments);
  /// The loop statement over `items`, `depth` recursions down.
  void run_loop(const Stmt& loop, const ScopePtr& scope, const ListPtr& items, int depth,
                StrBuilder& out);

 private:
  enum class Flow { kNext, kBreak, kContinue };
  class Depth;
  class ScopeSwitch;

  // Statements.
  Flow exec(const std::vector<Stmt>& body, StrBuilder& out);
  Flow exec_one(const Stmt& statement, StrBuilder& out);
  Flow exec_if(const Stmt& statement, StrBuilder& out);
  void exec_for(const Stmt& statement, StrBuilder& out);
  void exec_set_block(const Stmt& statement);
  void exec_macro(const Stmt& statement);
  void exec_call_block(const Stmt& statement, StrBuilder& out);
  void exec_filter_block(const Stmt& statement, StrBuilder& out);
  Flow exec_with(const Stmt& statement, StrBuilder& out);
  Value capture(const std::vector<Stmt>& body);
  void assign(const Expr& target, const Value& value);

  // Expressions.
  Value eval(const Expr& expr);
  Value eval_node(const Expr& expr);
  Value eval_name(const Expr& expr) const;
  Value eval_dict(const Expr& expr);
  Value eval_item(const Expr& expr);
  Value eval_slice(const Value& object, const Expr& slice);
  Value eval_call(const Expr& expr);
  Value eval_filter(const Expr& expr, const Value* block_input);
  Value eval_test(const Expr& expr);
  Value eval_compare(const Expr& expr);
  Value eval_concat(const Expr& expr);
  Arguments eval_arguments(const Expr& expr, std::size_t first);
  std::vector<Value> eval_all(const std::vector<ExprPtr>& exprs);

  ScopePtr scope_;
  Clock clock_;
  int line_ = 1;
  int depth_ = 0;
  std::vector<ObjectPtr> kept_;
  std::vector<ScopePtr> captured_;
};

}  // namespace haq::text::jinja
