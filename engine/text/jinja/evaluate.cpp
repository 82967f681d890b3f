// SPDX-License-Identifier: GPL-3.0-or-later
// Expressions.
#include <algorithm>

#include "engine/text/jinja/builtins.h"
#include "engine/text/jinja/depth.h"
#include "engine/text/jinja/format.h"
#include "engine/text/jinja/interpreter.h"

namespace haq::text::jinja {

Value Interpreter::eval(const Expr& expr) {
  if (expr.kind == Expr::Kind::kConstant) return expr.value;
  if (expr.kind == Expr::Kind::kName) return eval_name(expr);
  const Depth depth(*this);
  line_ = expr.line;
  return eval_node(expr);
}

Value Interpreter::eval_node(const Expr& expr) {
  switch (expr.kind) {
    case Expr::Kind::kConstant:
      return expr.value;
    case Expr::Kind::kName:
      return eval_name(expr);
    case Expr::Kind::kTuple:
      return make_tuple(eval_all(expr.args));
    case Expr::Kind::kList:
      return make_list(eval_all(expr.args));
    case Expr::Kind::kDict:
      return eval_dict(expr);
    case Expr::Kind::kAttribute:
      return attribute(eval(*expr.args[0]), expr.name);
    case Expr::Kind::kItem:
      return eval_item(expr);
    case Expr::Kind::kCall:
      return eval_call(expr);
    case Expr::Kind::kFilter:
      return eval_filter(expr, nullptr);
    case Expr::Kind::kTest:
      return eval_test(expr);
    case Expr::Kind::kNot:
      return !truthy(eval(*expr.args[0]));
    case Expr::Kind::kNegate:
      return negate(eval(*expr.args[0]));
    case Expr::Kind::kPlus:
      return binary_operator("+", Value(std::int64_t{0}), eval(*expr.args[0]));
    case Expr::Kind::kBinary: {
      const Value left = eval(*expr.args[0]);
      return binary_operator(expr.name, left, eval(*expr.args[1]));
    }
    case Expr::Kind::kConcat:
      return eval_concat(expr);
    case Expr::Kind::kAnd:
    case Expr::Kind::kOr: {
      Value value;
      for (const ExprPtr& operand : expr.args) {
        value = eval(*operand);
        if (truthy(value) == (expr.kind == Expr::Kind::kOr)) break;
      }
      return value;
    }
    case Expr::Kind::kCompare:
      return eval_compare(expr);
    case Expr::Kind::kConditional:
      if (truthy(eval(*expr.args[0]))) return eval(*expr.args[1]);
      if (expr.args[2]) return eval(*expr.args[2]);
      return make_undefined(
          "the inline if-expression evaluated to false and no else section was defined.");
    case Expr::Kind::kSlice:
    case Expr::Kind::kNamespaceRef:
      break;
  }
  fail(ErrorCode::kInternal, "an expression of an unexpected kind");
}

Value Interpreter::eval_name(const Expr& expr) const {
  charge(1);
  if (const Value* value = scope_->find(expr.name)) return *value;
  return make_undefined(fmt::format("'{}' is undefined", expr.name));
}

std::vector<Value> Interpreter::eval_all(const std::vector<ExprPtr>& exprs) {
  std::vector<Value> values;
  values.reserve(exprs.size());
  for (const ExprPtr& expr : exprs) values.push_back(eval(*expr));
  return values;
}

Value Interpreter::eval_dict(const Expr& expr) {
  std::vector<std::pair<Value, Value>> entries;
  entries.reserve(expr.args.size() / 2);
  for (std::size_t i = 0; i + 1 < expr.args.size(); i += 2) {
    Value key = eval(*expr.args[i]);
    entries.emplace_back(std::move(key), eval(*expr.args[i + 1]));
  }
  return make_dict(std::move(entries));
}

Value Interpreter::eval_item(const Expr& expr) {
  const Value object = eval(*expr.args[0]);
  if (expr.args[1]->kind == Expr::Kind::kSlice) return eval_slice(object, *expr.args[1]);
  return item(object, eval(*expr.args[1]));
}

Value Interpreter::eval_slice(const Value& object, const Expr& slice) {
  std::optional<std::int64_t> bounds[3];
  for (std::size_t i = 0; i < 3; ++i) {
    if (!slice.args[i]) continue;
    const Value bound = eval(*slice.args[i]);
    if (!bound.is_none()) bounds[i] = require_integer(bound, "slice");
  }
  if (!object.is_string() && !object.is_list()) {
    // As jinja does: what cannot be sliced gives an undefined value, except an undefined one.
    require_defined(object);
    return make_undefined(fmt::format("{} object has no element slice", type_name(object)));
  }
  if (object.is_list() && object.list().type == List::Type::kGenerator) {
    return make_undefined(fmt::format("{} object has no element slice", type_name(object)));
  }
  const std::int64_t step = bounds[2].value_or(1);
  if (step == 0) fail_value("slice step cannot be zero");
  const auto length = static_cast<std::int64_t>(object.is_string() ? object.str().length()
                                                                   : object.list().items.size());
  // Python's PySlice_AdjustIndices.
  const auto clamp = [&](std::optional<std::int64_t> bound, std::int64_t otherwise) {
    if (!bound) return otherwise;
    std::int64_t index = *bound;
    if (index < 0) index += length;  // cannot overflow: index < 0 <= length
    if (index < 0) return std::int64_t{step < 0 ? -1 : 0};
    return std::min(index, step < 0 ? length - 1 : length);
  };
  const std::int64_t start = clamp(bounds[0], step < 0 ? length - 1 : 0);
  const std::int64_t stop = clamp(bounds[1], step < 0 ? -1 : length);
  if (object.is_string() && step == 1) {
    if (start >= stop) return Str();
    return object.str().slice_code_points(static_cast<std::size_t>(start),
                                          static_cast<std::size_t>(stop));
  }
  const ListPtr all = items(object);
  std::vector<Value> picked;
  for (std::int64_t i = start; step > 0 ? i < stop : i > stop;) {
    picked.push_back(all->items[static_cast<std::size_t>(i)]);
    if (__builtin_add_overflow(i, step, &i)) break;
  }
  if (object.is_string()) {
    std::vector<Str> parts;
    parts.reserve(picked.size());
    for (const Value& part : picked) parts.push_back(part.str());
    return join(parts, Str());
  }
  const List& list = object.list();
  return list.type == List::Type::kTuple ? make_tuple(std::move(picked))
                                         : make_list(std::move(picked));
}

Arguments Interpreter::eval_arguments(const Expr& expr, std::size_t first) {
  Arguments arguments;
  for (std::size_t i = first; i < expr.args.size(); ++i) {
    arguments.positional.push_back(eval(*expr.args[i]));
  }
  if (expr.star_args) {
    const ListPtr more = items(eval(*expr.star_args));
    arguments.positional.insert(arguments.positional.end(), more->items.begin(), more->items.end());
  }
  for (const auto& [name, value] : expr.kwargs) {
    arguments.named.emplace_back(Str(name), eval(*value));
  }
  if (expr.star_kwargs) {
    const Value more = eval(*expr.star_kwargs);
    if (!more.is_dict()) fail_value("argument after ** must be a mapping, not {}", type_name(more));
    for (const auto& [name, value] : more.dict().entries) {
      arguments.named.emplace_back(require_string(name, "keywords"), value);
    }
  }
  for (std::size_t i = 0; i < arguments.named.size(); ++i) {
    for (std::size_t j = 0; j < i; ++j) {
      if (arguments.named[i].first == arguments.named[j].first) {
        fail_value("got multiple values for keyword argument '{}'",
                   arguments.named[i].first.view());
      }
    }
    charge(1 + i / 8);
  }
  return arguments;
}

Value Interpreter::eval_call(const Expr& expr) {
  const Value callee = eval(*expr.args[0]);
  Arguments arguments = eval_arguments(expr, 1);
  line_ = expr.line;
  return call(callee, arguments);
}

Value Interpreter::eval_filter(const Expr& expr, const Value* block_input) {
  // Inside a filter block the innermost filter has no input of its own.
  Value input;
  if (!expr.args[0]) {
    if (block_input == nullptr) fail(ErrorCode::kInternal, "a filter without an input");
    input = *block_input;
  } else if (block_input != nullptr && expr.args[0]->kind == Expr::Kind::kFilter) {
    input = eval_filter(*expr.args[0], block_input);
  } else {
    input = eval(*expr.args[0]);
  }
  const Arguments arguments = eval_arguments(expr, 1);
  line_ = expr.line;
  return apply_filter(expr.name, input, arguments);
}

Value Interpreter::eval_test(const Expr& expr) {
  const Value input = eval(*expr.args[0]);
  const Arguments arguments = eval_arguments(expr, 1);
  line_ = expr.line;
  return apply_test(expr.name, input, arguments);
}

Value Interpreter::eval_compare(const Expr& expr) {
  Value left = eval(*expr.args[0]);
  for (std::size_t i = 0; i < expr.operators.size(); ++i) {
    Value right = eval(*expr.args[i + 1]);
    if (!compare(*this, expr.operators[i], left, right)) return false;
    left = std::move(right);
  }
  return true;
}

Value Interpreter::eval_concat(const Expr& expr) {
  StrBuilder out;
  for (const ExprPtr& part : expr.args) append_str(out, eval(*part));
  return out.finish();
}

}  // namespace haq::text::jinja
