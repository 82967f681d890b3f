// SPDX-License-Identifier: GPL-3.0-or-later
#include <algorithm>
#include <charconv>
#include <cstdlib>

#include "engine/base/error.h"
#include "engine/text/jinja/parser.h"

namespace haq::text::jinja {
namespace {

constexpr int kMaxTreeDepth = 200;

}  // namespace

ExprPtr Parser::make(Expr::Kind kind) const {
  auto node = std::make_unique<Expr>();
  node->kind = kind;
  node->line = current().line;
  return node;
}

void Parser::raise(Expr& parent, const Expr& child) {
  parent.depth = std::max(parent.depth, child.depth + 1);
  if (parent.depth > kMaxTreeDepth) {
    fail(ErrorCode::kLimit, "line {}: an expression is nested deeper than {} levels",
         current().line, kMaxTreeDepth);
  }
}

void Parser::add(Expr& parent, ExprPtr child) {
  if (child) raise(parent, *child);
  parent.args.push_back(std::move(child));
}

ExprPtr Parser::parse_expression(bool conditional) {
  const Nesting nesting(*this);
  ExprPtr node = parse_or();
  while (conditional && skip_name("if")) {
    ExprPtr choice = make(Expr::Kind::kConditional);
    add(*choice, parse_or());
    add(*choice, std::move(node));
    add(*choice, skip_name("else") ? parse_expression() : nullptr);
    node = std::move(choice);
  }
  return node;
}

ExprPtr Parser::parse_tuple(bool conditional, bool explicit_parentheses) {
  ExprPtr tuple = make(Expr::Kind::kTuple);
  bool is_tuple = false;
  while (true) {
    if (!tuple->args.empty()) expect_operator(",");
    const TokenType type = current().type;
    if (type == TokenType::kVariableEnd || type == TokenType::kBlockEnd || at_operator(")") ||
        (!tuple->args.empty() && at_name("recursive"))) {
      break;
    }
    add(*tuple, parse_expression(conditional));
    if (!at_operator(",")) break;
    is_tuple = true;
  }
  if (is_tuple) return tuple;
  if (!tuple->args.empty()) return std::move(tuple->args.front());
  if (!explicit_parentheses) unexpected("an expression");
  return tuple;
}

ExprPtr Parser::parse_or() {
  ExprPtr node = parse_and();
  if (!at_name("or")) return node;
  ExprPtr chain = make(Expr::Kind::kOr);
  add(*chain, std::move(node));
  while (skip_name("or")) add(*chain, parse_and());
  return chain;
}

ExprPtr Parser::parse_and() {
  ExprPtr node = parse_not();
  if (!at_name("and")) return node;
  ExprPtr chain = make(Expr::Kind::kAnd);
  add(*chain, std::move(node));
  while (skip_name("and")) add(*chain, parse_not());
  return chain;
}

ExprPtr Parser::parse_not() {
  if (!at_name("not")) return parse_compare();
  const Nesting nesting(*this);
  ExprPtr node = make(Expr::Kind::kNot);
  skip_name("not");
  add(*node, parse_not());
  return node;
}

std::string Parser::take_comparison() {
  for (const char* candidate : {"==", "!=", "<=", ">=", "<", ">"}) {
    if (skip_operator(candidate)) return candidate;
  }
  if (skip_name("in")) return "in";
  if (at_name("not") && ahead().type == TokenType::kName && ahead().text == "in") {
    at_ += 2;
    return "not in";
  }
  return {};
}

ExprPtr Parser::parse_compare() {
  ExprPtr node = parse_binary(0);
  std::string op = take_comparison();
  if (op.empty()) return node;
  ExprPtr chain = make(Expr::Kind::kCompare);
  add(*chain, std::move(node));
  for (; !op.empty(); op = take_comparison()) {
    chain->operators.push_back(std::move(op));
    add(*chain, parse_binary(0));
  }
  return chain;
}

/// Level 0: + and -; then ~ (its own function); 1: * / // %; 2: ** (left-associative, as in jinja).
ExprPtr Parser::parse_binary(int level) {
  static constexpr std::string_view kLevels[3][4] = {{"+", "-"}, {"*", "/", "//", "%"}, {"**"}};
  const auto operand = [&] {
    return level == 0 ? parse_concat() : level == 1 ? parse_binary(2) : parse_unary(true);
  };
  ExprPtr node = operand();
  while (current().type == TokenType::kOperator) {
    const auto& operators = kLevels[level];
    const auto* op = std::find(std::begin(operators), std::end(operators), current().text);
    if (op == std::end(operators)) break;
    const int line = current().line;
    ++at_;
    ExprPtr right = operand();
    ExprPtr parent = make(Expr::Kind::kBinary);
    parent->line = line;
    parent->name = *op;
    add(*parent, std::move(node));
    add(*parent, std::move(right));
    node = std::move(parent);
  }
  return node;
}

ExprPtr Parser::parse_concat() {
  ExprPtr node = parse_binary(1);
  if (!at_operator("~")) return node;
  ExprPtr chain = make(Expr::Kind::kConcat);
  add(*chain, std::move(node));
  while (skip_operator("~")) add(*chain, parse_binary(1));
  return chain;
}

ExprPtr Parser::parse_unary(bool with_filters) {
  ExprPtr node;
  if (at_operator("-") || at_operator("+")) {
    const Nesting nesting(*this);
    node = make(at_operator("-") ? Expr::Kind::kNegate : Expr::Kind::kPlus);
    ++at_;
    add(*node, parse_unary(false));
  } else {
    node = parse_primary();
  }
  node = parse_postfix(std::move(node));
  return with_filters ? parse_filters_and_tests(std::move(node)) : std::move(node);
}

ExprPtr Parser::parse_primary() {
  const Nesting nesting(*this);
  switch (current().type) {
    case TokenType::kName:
      return parse_name();
    case TokenType::kString: {
      ExprPtr node = make(Expr::Kind::kConstant);
      std::string text;
      for (; current().type == TokenType::kString; ++at_) text += current().text;
      node->value = Str(std::move(text));
      return node;
    }
    case TokenType::kInteger:
    case TokenType::kFloat:
      return parse_number();
    default:
      break;
  }
  if (skip_operator("(")) {
    ExprPtr node = parse_tuple(true, true);
    expect_operator(")");
    return node;
  }
  if (at_operator("[")) return parse_list();
  if (at_operator("{")) return parse_dict();
  unexpected("an expression");
}

ExprPtr Parser::parse_number() {
  ExprPtr node = make(Expr::Kind::kConstant);
  const std::string& text = current().text;
  if (current().type == TokenType::kFloat) {
    // from_chars ignores the locale; a number beyond the range of double is Python's inf.
    double number = 0;
    const auto result = std::from_chars(text.data(), text.data() + text.size(), number);
    if (result.ec == std::errc::result_out_of_range) {
      error(fmt::format("the number {} is out of range", text));
    }
    node->value = number;
  } else {
    int base = 10;
    std::size_t skip = 0;
    if (text.size() > 2 && text[0] == '0' && text[1] > '9') {
      const char marker = static_cast<char>(text[1] | 0x20);
      base = marker == 'x' ? 16 : marker == 'o' ? 8 : 2;
      skip = 2;
    }
    std::int64_t number = 0;
    const char* end = text.data() + text.size();
    const auto result = std::from_chars(text.data() + skip, end, number, base);
    if (result.ec == std::errc::result_out_of_range) {
      fail(ErrorCode::kLimit, "line {}: the number {} needs more than 63 bits", current().line,
           text.substr(0, 40));
    }
    if (result.ec != std::errc() || result.ptr != end) {
      error(fmt::format("'{}' is no number", text));
    }
    node->value = number;
  }
  ++at_;
  return node;
}

ExprPtr Parser::parse_name() {
  ExprPtr node = make(Expr::Kind::kConstant);
  const std::string name = current().text;
  ++at_;
  if (name == "true" || name == "True") {
    node->value = true;
  } else if (name == "false" || name == "False") {
    node->value = false;
  } else if (name == "none" || name == "None") {
    node->value = None{};
  } else {
    node->kind = Expr::Kind::kName;
    node->name = name;
    for (Signature* macro : open_macros_) {
      macro->uses_caller |= name == "caller";
      macro->uses_varargs |= name == "varargs";
      macro->uses_kwargs |= name == "kwargs";
    }
  }
  return node;
}

ExprPtr Parser::parse_list() {
  ExprPtr node = make(Expr::Kind::kList);
  expect_operator("[");
  while (!at_operator("]")) {
    if (!node->args.empty()) expect_operator(",");
    if (at_operator("]")) break;
    add(*node, parse_expression());
  }
  expect_operator("]");
  return node;
}

ExprPtr Parser::parse_dict() {
  ExprPtr node = make(Expr::Kind::kDict);
  expect_operator("{");
  while (!at_operator("}")) {
    if (!node->args.empty()) expect_operator(",");
    if (at_operator("}")) break;
    add(*node, parse_expression());
    expect_operator(":");
    add(*node, parse_expression());
  }
  expect_operator("}");
  return node;
}

ExprPtr Parser::parse_postfix(ExprPtr node) {
  while (true) {
    if (at_operator(".") || at_operator("[")) {
      node = parse_subscript(std::move(node));
    } else if (at_operator("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::parse_filters_and_tests(ExprPtr node) {
  while (true) {
    if (skip_operator("|")) {
      node = parse_filter(std::move(node));
    } else if (at_name("is")) {
      node = parse_test(std::move(node));
    } else if (at_operator("(")) {
      node = parse_call(std::move(node));
    } else {
      return node;
    }
  }
}

ExprPtr Parser::parse_subscript(ExprPtr object) {
  ExprPtr node = make(Expr::Kind::kItem);
  if (skip_operator(".")) {
    if (current().type == TokenType::kName) {
      node->kind = Expr::Kind::kAttribute;
      node->name = expect_identifier();
      add(*node, std::move(object));
      return node;
    }
    if (current().type != TokenType::kInteger) unexpected("a name or number");
    add(*node, std::move(object));
    add(*node, parse_number());
    return node;
  }
  expect_operator("[");
  add(*node, std::move(object));
  ExprPtr tuple = make(Expr::Kind::kTuple);
  while (!at_operator("]")) {
    if (!tuple->args.empty()) expect_operator(",");
    add(*tuple, parse_index());
  }
  expect_operator("]");
  if (tuple->args.size() == 1) {
    add(*node, std::move(tuple->args.front()));
  } else {
    const auto is_slice = [](const ExprPtr& arg) { return arg->kind == Expr::Kind::kSlice; };
    if (std::any_of(tuple->args.begin(), tuple->args.end(), is_slice)) {
      error("a slice cannot be part of a list of indices");
    }
    add(*node, std::move(tuple));
  }
  return node;
}

ExprPtr Parser::parse_index() {
  ExprPtr start;
  ExprPtr slice = make(Expr::Kind::kSlice);
  if (!at_operator(":")) {
    start = parse_expression();
    if (!at_operator(":")) return start;
  }
  const auto part_follows = [&] {
    return !at_operator(":") && !at_operator("]") && !at_operator(",");
  };
  add(*slice, std::move(start));
  expect_operator(":");
  add(*slice, part_follows() ? parse_expression() : nullptr);
  const bool has_step = skip_operator(":");
  add(*slice, has_step && part_follows() ? parse_expression() : nullptr);
  return slice;
}

ExprPtr Parser::parse_call(ExprPtr callee) {
  ExprPtr node = make(Expr::Kind::kCall);
  add(*node, std::move(callee));
  parse_arguments(*node);
  return node;
}

void Parser::parse_arguments(Expr& call) {
  expect_operator("(");
  const auto check = [&](bool valid) {
    if (!valid) error("invalid order of arguments in a call");
  };
  bool first = true;
  while (!at_operator(")")) {
    if (!first) expect_operator(",");
    first = false;
    if (at_operator(")")) break;
    if (skip_operator("*")) {
      check(!call.star_args && !call.star_kwargs);
      call.star_args = parse_expression();
      raise(call, *call.star_args);
    } else if (skip_operator("**")) {
      check(!call.star_kwargs);
      call.star_kwargs = parse_expression();
      raise(call, *call.star_kwargs);
    } else if (current().type == TokenType::kName && ahead().type == TokenType::kOperator &&
               ahead().text == "=") {
      check(!call.star_kwargs);
      std::string name = expect_identifier();
      expect_operator("=");
      ExprPtr value = parse_expression();
      raise(call, *value);
      call.kwargs.emplace_back(std::move(name), std::move(value));
    } else {
      check(!call.star_args && !call.star_kwargs && call.kwargs.empty());
      add(call, parse_expression());
    }
  }
  expect_operator(")");
}

std::string Parser::parse_dotted_name() {
  std::string name = expect_identifier();
  while (skip_operator(".")) name += fmt::format(".{}", expect_identifier());
  return name;
}

ExprPtr Parser::parse_filter(ExprPtr input) {
  ExprPtr node = make(Expr::Kind::kFilter);
  node->name = parse_dotted_name();
  add(*node, std::move(input));
  if (at_operator("(")) parse_arguments(*node);
  return node;
}

ExprPtr Parser::parse_test(ExprPtr input) {
  ExprPtr node = make(Expr::Kind::kTest);
  expect_name("is");
  const bool negated = skip_name("not");
  node->name = parse_dotted_name();
  add(*node, std::move(input));
  const TokenType type = current().type;
  if (at_operator("(")) {
    parse_arguments(*node);
  } else if ((type == TokenType::kName && !at_name("else") && !at_name("or") && !at_name("and")) ||
             type == TokenType::kString || type == TokenType::kInteger ||
             type == TokenType::kFloat || at_operator("[") || at_operator("{")) {
    if (at_name("is")) error("tests cannot be chained with 'is'");
    add(*node, parse_postfix(parse_primary()));
  }
  if (!negated) return node;
  ExprPtr inverse = make(Expr::Kind::kNot);
  add(*inverse, std::move(node));
  return inverse;
}

}  // namespace haq::text::jinja
