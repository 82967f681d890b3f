// SPDX-License-Identifier: GPL-3.0-or-later
// Statements.
#include "engine/text/jinja/interpreter.h"

#include <algorithm>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/depth.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/objects.h"

namespace haq::text::jinja {

const Value* Scope::find(std::string_view name) const {
  for (const Scope* scope = this; scope != nullptr; scope = scope->parent.get()) {
    for (const auto& [key, value] : scope->variables) {
      if (key == name) return &value;
    }
  }
  return nullptr;
}

void Scope::set(std::string_view name, Value value) {
  for (auto& [key, old] : variables) {
    if (key == name) {
      old = std::move(value);
      return;
    }
  }
  variables.emplace_back(name, std::move(value));
}

Interpreter::Interpreter(std::vector<std::pair<std::string, Value>> variables, Clock clock)
    : clock_(std::move(clock)) {
  auto functions = std::make_shared<Scope>();
  functions->variables = global_functions();
  auto context = std::make_shared<Scope>();
  context->parent = std::move(functions);
  context->variables = std::move(variables);
  scope_ = std::make_shared<Scope>();
  scope_->parent = std::move(context);
}

Interpreter::~Interpreter() {
  // Macros hold the scope they live in, and a namespace may hold itself: break the circles.
  for (const ScopePtr& scope : captured_) scope->variables.clear();
  for (const ObjectPtr& object : kept_) {
    if (auto* space = dynamic_cast<Namespace*>(object.get())) space->clear();
  }
}

void Interpreter::run(const std::vector<Stmt>& program, StrBuilder& out) {
  exec(program, out);
}

Interpreter::Flow Interpreter::exec(const std::vector<Stmt>& body, StrBuilder& out) {
  const Depth depth(*this);
  for (const Stmt& statement : body) {
    const Flow flow = exec_one(statement, out);
    if (flow != Flow::kNext) return flow;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::exec_one(const Stmt& statement, StrBuilder& out) {
  charge(1);
  line_ = statement.line;
  switch (statement.kind) {
    case Stmt::Kind::kText:
      out.append(statement.text);
      break;
    case Stmt::Kind::kOutput:
      append_str(out, eval(*statement.expr));
      break;
    case Stmt::Kind::kIf:
      return exec_if(statement, out);
    case Stmt::Kind::kFor:
      exec_for(statement, out);
      break;
    case Stmt::Kind::kSet:
      assign(*statement.target, eval(*statement.expr));
      break;
    case Stmt::Kind::kSetBlock:
      exec_set_block(statement);
      break;
    case Stmt::Kind::kMacro:
      exec_macro(statement);
      break;
    case Stmt::Kind::kCallBlock:
      exec_call_block(statement, out);
      break;
    case Stmt::Kind::kFilter:
      exec_filter_block(statement, out);
      break;
    case Stmt::Kind::kWith:
    case Stmt::Kind::kScope:
      return exec_with(statement, out);
    case Stmt::Kind::kBreak:
      return Flow::kBreak;
    case Stmt::Kind::kContinue:
      return Flow::kContinue;
  }
  return Flow::kNext;
}

Interpreter::Flow Interpreter::exec_if(const Stmt& statement, StrBuilder& out) {
  for (const Stmt::Branch& branch : statement.branches) {
    if (truthy(eval(*branch.condition))) return exec(branch.body, out);
  }
  return exec(statement.else_body, out);
}

void Interpreter::exec_for(const Stmt& statement, StrBuilder& out) {
  const ListPtr all = items(eval(*statement.expr));
  run_loop(statement, scope_, all, 0, out);
}

void Interpreter::run_loop(const Stmt& loop, const ScopePtr& scope, const ListPtr& items, int depth,
                           StrBuilder& out) {
  const Depth level(*this);
  ListPtr chosen = items;
  if (loop.condition) {
    std::vector<Value> kept;
    for (const Value& item : items->items) {
      auto inner = std::make_shared<Scope>();
      inner->parent = scope;
      const ScopeSwitch scoped(*this, inner);
      assign(*loop.target, item);
      if (truthy(eval(*loop.condition))) kept.push_back(item);
    }
    chosen = std::make_shared<const List>(std::move(kept), List::Type::kList, "list");
  }
  auto state = std::make_shared<Loop>(loop, scope, chosen, depth);
  ScopePtr inner;
  for (std::size_t i = 0; i < chosen->items.size(); ++i) {
    // Every round has variables of its own; the scope is reused unless a macro has kept it.
    if (!inner || inner.use_count() > 1) {
      inner = std::make_shared<Scope>();
      inner->parent = scope;
    } else {
      inner->variables.clear();
    }
    state->advance(i);
    inner->set("loop", ObjectPtr(state));
    const ScopeSwitch scoped(*this, inner);
    assign(*loop.target, chosen->items[i]);
    if (exec(loop.body, out) == Flow::kBreak) break;
  }
  if (chosen->items.empty()) {
    auto other = std::make_shared<Scope>();
    other->parent = scope;
    const ScopeSwitch scoped(*this, other);
    exec(loop.else_body, out);
  }
}

void Interpreter::assign(const Expr& target, const Value& value) {
  if (target.kind == Expr::Kind::kName) {
    scope_->set(target.name, value);
  } else if (target.kind == Expr::Kind::kNamespaceRef) {
    const Value* object = scope_->find(target.name);
    auto* space = object != nullptr && object->is_object()
                      ? dynamic_cast<Namespace*>(object->object().get())
                      : nullptr;
    if (space == nullptr) fail_value("cannot assign attribute on non-namespace object");
    space->set(Str(target.attribute), value);
  } else {
    const ListPtr parts = items(value);
    if (parts->items.size() != target.args.size()) {
      fail_value("cannot unpack {} values into {} names", parts->items.size(), target.args.size());
    }
    for (std::size_t i = 0; i < parts->items.size(); ++i) assign(*target.args[i], parts->items[i]);
  }
}

Value Interpreter::capture(const std::vector<Stmt>& body) {
  auto inner = std::make_shared<Scope>();
  inner->parent = scope_;
  const ScopeSwitch scoped(*this, inner);
  StrBuilder out;
  exec(body, out);
  return out.finish();
}

void Interpreter::exec_set_block(const Stmt& statement) {
  Value text = capture(statement.body);
  if (statement.filter) text = eval_filter(*statement.filter, &text);
  assign(*statement.target, text);
}

void Interpreter::exec_filter_block(const Stmt& statement, StrBuilder& out) {
  const Value text = capture(statement.body);
  append_str(out, eval_filter(*statement.filter, &text));
}

Interpreter::Flow Interpreter::exec_with(const Stmt& statement, StrBuilder& out) {
  auto inner = std::make_shared<Scope>();
  inner->parent = scope_;
  std::vector<Value> values;
  for (const auto& [target, value] : statement.bindings) values.push_back(eval(*value));
  const ScopeSwitch scoped(*this, inner);
  for (std::size_t i = 0; i < values.size(); ++i) assign(*statement.bindings[i].first, values[i]);
  return exec(statement.body, out);
}

void Interpreter::exec_macro(const Stmt& statement) {
  captured_.push_back(scope_);
  scope_->set(statement.signature->name,
              ObjectPtr(std::make_shared<Macro>(*statement.signature, statement.body, scope_)));
}

void Interpreter::exec_call_block(const Stmt& statement, StrBuilder& out) {
  captured_.push_back(scope_);
  const Expr& expr = *statement.expr;
  const Value callee = eval(*expr.args[0]);
  Arguments arguments = eval_arguments(expr, 1);
  arguments.named.emplace_back(Str("caller"), ObjectPtr(std::make_shared<Macro>(
                                                  *statement.signature, statement.body, scope_)));
  append_str(out, call(callee, arguments));
}

Value Interpreter::call_macro(const Signature& signature, const std::vector<Stmt>& body,
                              const ScopePtr& scope, Arguments& arguments) {
  const Depth level(*this);
  auto inner = std::make_shared<Scope>();
  inner->parent = scope;
  const ScopeSwitch scoped(*this, inner);
  const std::size_t count = signature.parameters.size();
  const auto take_named = [&](const std::string& name) {
    for (auto it = arguments.named.begin(); it != arguments.named.end(); ++it) {
      if (it->first.view() != name) continue;
      inner->set(name, it->second);
      arguments.named.erase(it);
      return true;
    }
    return false;
  };
  bool has_caller = false;
  for (std::size_t i = 0; i < count; ++i) {
    const std::string& name = signature.parameters[i];
    has_caller |= name == "caller";
    if (i < arguments.positional.size()) {
      inner->set(name, arguments.positional[i]);
    } else if (take_named(name)) {
      continue;
    } else if (const std::size_t required = count - signature.defaults.size(); i >= required) {
      inner->set(name, eval(*signature.defaults[i - required]));
    } else {
      inner->set(name, make_undefined(fmt::format("parameter '{}' was not provided", name)));
    }
  }
  if (signature.uses_caller && !has_caller) {
    if (!take_named("caller")) inner->set("caller", make_undefined("No caller defined"));
  }
  if (signature.uses_kwargs) {
    std::vector<std::pair<Value, Value>> rest;
    for (const auto& [name, value] : arguments.named) rest.emplace_back(name, value);
    inner->set("kwargs", make_dict(std::move(rest)));
  } else if (!arguments.named.empty()) {
    fail_value("macro '{}' takes no keyword argument '{}'", signature.name,
               arguments.named.front().first.view());
  }
  const bool excess = arguments.positional.size() > count;
  if (signature.uses_varargs) {
    std::vector<Value> rest;
    for (std::size_t i = count; i < arguments.positional.size(); ++i) {
      rest.push_back(arguments.positional[i]);
    }
    inner->set("varargs", make_tuple(std::move(rest)));
  } else if (excess) {
    fail_value("macro '{}' takes not more than {} argument(s)", signature.name, count);
  }
  StrBuilder out;
  exec(body, out);
  return out.finish();
}

}  // namespace haq::text::jinja
