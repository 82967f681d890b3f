// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/interpreter.h"

namespace haq::text::jinja {

/// namespace(...): the one thing a template can change.
class Namespace : public Object {
 public:
  const char* type_name() const override { return "Namespace"; }
  void append_repr(StrBuilder& out) const override;
  std::optional<Value> attribute(Interpreter& interpreter, std::string_view name) override;
  void set(const Str& name, const Value& value);
  void clear() { attributes_.clear(); }

 private:
  std::vector<std::pair<Str, Value>> attributes_;
};

/// A macro, or the body of a call block.
class Macro : public Object {
 public:
  Macro(const Signature& signature, const std::vector<Stmt>& body, ScopePtr scope)
      : signature_(signature), body_(body), scope_(std::move(scope)) {}
  const char* type_name() const override { return "Macro"; }
  void append_repr(StrBuilder& out) const override;
  bool callable() const override { return true; }
  Value call(Interpreter& interpreter, Arguments& arguments) override {
    return interpreter.call_macro(signature_, body_, scope_, arguments);
  }
  std::optional<Value> attribute(Interpreter& interpreter, std::string_view name) override;

 private:
  const Signature& signature_;
  const std::vector<Stmt>& body_;
  ScopePtr scope_;
};

/// The variable `loop`.
class Loop : public Object, public std::enable_shared_from_this<Loop> {
 public:
  Loop(const Stmt& statement, ScopePtr scope, ListPtr items, int depth)
      : statement_(statement), scope_(std::move(scope)), items_(std::move(items)), depth_(depth) {}
  const char* type_name() const override { return "LoopContext"; }
  void append_repr(StrBuilder& out) const override;
  bool callable() const override { return statement_.recursive; }
  Value call(Interpreter& interpreter, Arguments& arguments) override;
  std::optional<Value> attribute(Interpreter& interpreter, std::string_view name) override;
  void advance(std::size_t index) { index_ = index; }
  /// loop.changed(...): whether the arguments differ from those of the last call.
  bool changed(const std::vector<Value>& values);

 private:
  Value neighbour(std::size_t index) const;
  const Stmt& statement_;
  ScopePtr scope_;
  ListPtr items_;
  int depth_;
  std::size_t index_ = 0;
  std::optional<Value> last_;
};

/// A built-in function, or a method bound to its object.
class Function : public Object {
 public:
  Function(std::string name, Builtin function, Value self = Value())
      : name_(std::move(name)), function_(function), self_(std::move(self)) {}
  const char* type_name() const override { return "builtin_function_or_method"; }
  void append_repr(StrBuilder& out) const override {
    out.append(fmt::format("<built-in function {}>", name_), Origin::kTemplate);
  }
  bool callable() const override { return true; }
  Value call(Interpreter& interpreter, Arguments& arguments) override {
    return function_(interpreter, self_, arguments);
  }

 private:
  std::string name_;
  Builtin function_;
  Value self_;
};

/// cycler(a, b, ...).
class Cycler : public Object, public std::enable_shared_from_this<Cycler> {
 public:
  explicit Cycler(std::vector<Value> values) : values_(std::move(values)) {}
  const char* type_name() const override { return "Cycler"; }
  void append_repr(StrBuilder& out) const override {
    out.append("<Cycler object>", Origin::kTemplate);
  }
  std::optional<Value> attribute(Interpreter& interpreter, std::string_view name) override;
  Value next();
  void reset() { at_ = 0; }

 private:
  std::vector<Value> values_;
  std::size_t at_ = 0;
};

/// joiner(separator): nothing at the first call, the separator afterwards.
class Joiner : public Object {
 public:
  explicit Joiner(Str separator) : separator_(std::move(separator)) {}
  const char* type_name() const override { return "Joiner"; }
  void append_repr(StrBuilder& out) const override {
    out.append("<Joiner object>", Origin::kTemplate);
  }
  bool callable() const override { return true; }
  Value call(Interpreter& interpreter, Arguments& arguments) override;

 private:
  Str separator_;
  bool used_ = false;
};

Value make_function(std::string name, Builtin function, Value self = Value());

}  // namespace haq::text::jinja
