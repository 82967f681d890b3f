// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <memory>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/text/jinja/value.h"

namespace haq::text::jinja {

struct Expr;
using ExprPtr = std::unique_ptr<Expr>;

/// An expression. One node type for all kinds keeps the parser and the evaluator short; the
/// comments say what `args` holds.
struct Expr {
  enum class Kind {
    kConstant,     // value
    kName,         // name
    kTuple,        // items
    kList,         // items
    kDict,         // key, value, key, value ...
    kAttribute,    // object; name
    kItem,         // object, index
    kSlice,        // start, stop, step (each may be null); only as the index of kItem
    kCall,         // callee, arguments ...; kwargs, star_args, star_kwargs
    kFilter,       // input (null inside a filter block), arguments ...; name, kwargs
    kTest,         // input, arguments ...; name, kwargs
    kNot,          // operand
    kNegate,       // operand
    kPlus,         // operand
    kBinary,       // left, right; name is the operator
    kConcat,       // parts
    kAnd,          // operands
    kOr,           // operands
    kCompare,      // first operand, then one per entry of `operators`
    kConditional,  // condition, then, else (may be null)
    kNamespaceRef  // name, attribute: only as a target of set
  };

  Kind kind = Kind::kConstant;
  int line = 1;
  int depth = 1;  ///< height of this tree; bounded by the parser
  std::string name;
  std::string attribute;
  Value value;
  std::vector<ExprPtr> args;
  std::vector<std::pair<std::string, ExprPtr>> kwargs;
  ExprPtr star_args;
  ExprPtr star_kwargs;
  std::vector<std::string> operators;
};

/// Parameters of a macro or call block.
struct Signature {
  std::string name;  ///< empty for a call block
  std::vector<std::string> parameters;
  std::vector<ExprPtr> defaults;  ///< of the last parameters
  bool uses_caller = false;
  bool uses_varargs = false;
  bool uses_kwargs = false;
};

struct Stmt {
  enum class Kind {
    kText,       // text
    kOutput,     // expr
    kIf,         // branches, else_body
    kFor,        // target, expr, condition, body, else_body, recursive
    kSet,        // target, expr
    kSetBlock,   // target, filter (may be null), body
    kMacro,      // signature, body
    kCallBlock,  // expr (the call), signature, body
    kFilter,     // filter, body
    kWith,       // targets and values in `bindings`, body
    kScope,      // body (generation and autoescape blocks)
    kBreak,
    kContinue
  };
  struct Branch {
    ExprPtr condition;
    std::vector<Stmt> body;
  };

  Kind kind = Kind::kText;
  int line = 1;
  Str text;
  ExprPtr target;
  ExprPtr expr;
  ExprPtr condition;
  ExprPtr filter;
  bool recursive = false;
  std::vector<Stmt> body;
  std::vector<Stmt> else_body;
  std::vector<Branch> branches;
  std::vector<std::pair<ExprPtr, ExprPtr>> bindings;
  std::unique_ptr<Signature> signature;
};

}  // namespace haq::text::jinja
