// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/text/jinja/parser.h"

#include <algorithm>

#include "engine/base/error.h"

namespace haq::text::jinja {
namespace {

/// Brackets, operators that stack, and blocks together; each level costs about a dozen frames.
constexpr int kMaxNesting = 150;

}  // namespace

Parser::Nesting::Nesting(Parser& parser) : parser_(parser) {
  if (++parser_.nesting_ > kMaxNesting) {
    --parser_.nesting_;
    fail(ErrorCode::kLimit, "line {}: nested deeper than {} levels", parser_.current().line,
         kMaxNesting);
  }
}

std::vector<Stmt> parse_template(std::string_view source) {
  return Parser(tokenize(source)).parse();
}

std::vector<Stmt> Parser::parse() {
  return parse_body({});
}

void Parser::error(const std::string& message) const {
  fail(ErrorCode::kCorrupt, "line {}: {}", current().line, message);
}

std::string Parser::describe(const Token& token) {
  switch (token.type) {
    case TokenType::kBlockEnd:
      return "the end of the tag '%}'";
    case TokenType::kVariableEnd:
      return "the end of the tag '}}'";
    case TokenType::kEnd:
      return "the end of the template";
    case TokenType::kString:
      return "a string";
    default:
      return fmt::format("'{}'", token.text);
  }
}

void Parser::unexpected(std::string_view wanted) const {
  error(fmt::format("found {}, expected {}", describe(current()), wanted));
}

bool Parser::at_operator(std::string_view op) const {
  return current().type == TokenType::kOperator && current().text == op;
}

bool Parser::at_name(std::string_view name) const {
  return current().type == TokenType::kName && current().text == name;
}

bool Parser::skip_operator(std::string_view op) {
  const bool found = at_operator(op);
  if (found) ++at_;
  return found;
}

bool Parser::skip_name(std::string_view name) {
  const bool found = at_name(name);
  if (found) ++at_;
  return found;
}

void Parser::expect_operator(std::string_view op) {
  if (!skip_operator(op)) unexpected(fmt::format("'{}'", op));
}

void Parser::expect_name(std::string_view name) {
  if (!skip_name(name)) unexpected(fmt::format("'{}'", name));
}

std::string Parser::expect_identifier() {
  if (current().type != TokenType::kName) unexpected("a name");
  return tokens_[at_++].text;
}

void Parser::expect(TokenType type, std::string_view what) {
  if (current().type != type) unexpected(what);
  ++at_;
}

std::vector<Stmt> Parser::parse_body(EndTags end_tags) {
  const Nesting nesting(*this);
  std::vector<Stmt> body;
  while (true) {
    const Token& token = current();
    if (token.type == TokenType::kEnd) {
      if (end_tags.size() != 0) unexpected(fmt::format("the tag '{}'", *std::prev(end_tags.end())));
      return body;
    }
    if (token.type == TokenType::kData) {
      Stmt text;
      text.line = token.line;
      text.text = Str(token.text);
      body.push_back(std::move(text));
      ++at_;
    } else if (token.type == TokenType::kVariableBegin) {
      Stmt output;
      output.kind = Stmt::Kind::kOutput;
      output.line = token.line;
      ++at_;
      output.expr = parse_tuple(true, false);
      expect(TokenType::kVariableEnd, "the end of the tag '}}'");
      body.push_back(std::move(output));
    } else {
      expect(TokenType::kBlockBegin, "a tag");
      if (current().type == TokenType::kName &&
          std::find(end_tags.begin(), end_tags.end(), current().text) != end_tags.end()) {
        return body;
      }
      body.push_back(parse_statement());
      expect(TokenType::kBlockEnd, "the end of the tag '%}'");
    }
  }
}

/// The rest of the opening tag, then the body up to (not including) one of the end tags.
std::vector<Stmt> Parser::parse_block(EndTags end_tags) {
  expect(TokenType::kBlockEnd, "the end of the tag '%}'");
  return parse_body(end_tags);
}

Stmt Parser::parse_statement() {
  const int line = current().line;
  if (current().type != TokenType::kName) unexpected("the name of a tag");
  const std::string tag = current().text;
  Stmt statement;
  if (tag == "if") {
    statement = parse_if();
  } else if (tag == "for") {
    statement = parse_for();
  } else if (tag == "set") {
    statement = parse_set();
  } else if (tag == "macro") {
    statement = parse_macro();
  } else if (tag == "call") {
    statement = parse_call_block();
  } else if (tag == "filter") {
    statement = parse_filter_block();
  } else if (tag == "with") {
    statement = parse_with();
  } else if (tag == "print") {
    statement = parse_print();
  } else if (tag == "generation") {
    ++at_;
    statement = parse_scope("endgeneration");
  } else if (tag == "autoescape") {
    ++at_;
    parse_expression();  // escaping is off in chat templates; the block only makes a scope
    statement = parse_scope("endautoescape");
  } else if (tag == "break") {
    statement = parse_loop_control(Stmt::Kind::kBreak);
  } else if (tag == "continue") {
    statement = parse_loop_control(Stmt::Kind::kContinue);
  } else if (tag == "include" || tag == "import" || tag == "from" || tag == "extends" ||
             tag == "block") {
    error(fmt::format("the tag '{}' needs other templates, which a chat template has not", tag));
  } else {
    error(fmt::format("unknown tag '{}'", tag));
  }
  statement.line = line;
  return statement;
}

Stmt Parser::parse_if() {
  Stmt statement;
  statement.kind = Stmt::Kind::kIf;
  do {
    ++at_;
    Stmt::Branch branch;
    branch.condition = parse_tuple(false, false);
    branch.body = parse_block({"elif", "else", "endif"});
    statement.branches.push_back(std::move(branch));
  } while (at_name("elif"));
  if (skip_name("else")) statement.else_body = parse_block({"endif"});
  expect_name("endif");
  return statement;
}

Stmt Parser::parse_for() {
  Stmt statement;
  statement.kind = Stmt::Kind::kFor;
  ++at_;
  statement.target = parse_target(false, false);
  expect_name("in");
  statement.expr = parse_tuple(false, false);
  if (skip_name("if")) statement.condition = parse_expression();
  statement.recursive = skip_name("recursive");
  ++loops_;
  statement.body = parse_block({"else", "endfor"});
  --loops_;
  if (skip_name("else")) statement.else_body = parse_block({"endfor"});
  expect_name("endfor");
  return statement;
}

Stmt Parser::parse_set() {
  Stmt statement;
  ++at_;
  statement.target = parse_target(true, false);
  if (skip_operator("=")) {
    statement.kind = Stmt::Kind::kSet;
    statement.expr = parse_tuple(true, false);
    return statement;
  }
  statement.kind = Stmt::Kind::kSetBlock;
  while (skip_operator("|")) statement.filter = parse_filter(std::move(statement.filter));
  statement.body = parse_block({"endset"});
  expect_name("endset");
  return statement;
}

/// A name, a namespace attribute, or a tuple of them, with or without parentheses.
ExprPtr Parser::parse_target(bool allow_namespace, bool name_only) {
  if (name_only) {
    ExprPtr node = make(Expr::Kind::kName);
    node->name = expect_identifier();
    return node;
  }
  ExprPtr tuple = make(Expr::Kind::kTuple);
  bool is_tuple = false;
  while (true) {
    add(*tuple, parse_target_item(allow_namespace));
    if (!skip_operator(",")) break;
    is_tuple = true;
    if (at_name("in") || at_operator("=") || at_operator(")") ||
        current().type == TokenType::kBlockEnd) {
      break;
    }
  }
  return is_tuple ? std::move(tuple) : std::move(tuple->args.front());
}

ExprPtr Parser::parse_target_item(bool allow_namespace) {
  const Nesting nesting(*this);
  if (skip_operator("(")) {
    ExprPtr inner = parse_target(allow_namespace, false);
    expect_operator(")");
    return inner;
  }
  ExprPtr node = make(Expr::Kind::kName);
  node->name = expect_identifier();
  for (const std::string_view reserved : {"true", "false", "none", "True", "False", "None"}) {
    if (node->name == reserved) error(fmt::format("cannot assign to '{}'", reserved));
  }
  if (allow_namespace && skip_operator(".")) {
    node->kind = Expr::Kind::kNamespaceRef;
    node->attribute = expect_identifier();
  }
  return node;
}

void Parser::parse_signature(Signature& signature) {
  expect_operator("(");
  while (!at_operator(")")) {
    if (!signature.parameters.empty()) expect_operator(",");
    signature.parameters.push_back(expect_identifier());
    if (skip_operator("=")) {
      signature.defaults.push_back(parse_expression());
    } else if (!signature.defaults.empty()) {
      error("a parameter without a default follows one with a default");
    }
  }
  expect_operator(")");
}

std::vector<Stmt> Parser::parse_macro_body(Signature& signature, std::string_view end_tag) {
  open_macros_.push_back(&signature);
  const int outer_loops = loops_;
  loops_ = 0;
  std::vector<Stmt> body = parse_block({end_tag});
  loops_ = outer_loops;
  open_macros_.pop_back();
  expect_name(end_tag);
  return body;
}

Stmt Parser::parse_macro() {
  Stmt statement;
  statement.kind = Stmt::Kind::kMacro;
  ++at_;
  statement.signature = std::make_unique<Signature>();
  statement.signature->name = expect_identifier();
  parse_signature(*statement.signature);
  statement.body = parse_macro_body(*statement.signature, "endmacro");
  return statement;
}

Stmt Parser::parse_call_block() {
  Stmt statement;
  statement.kind = Stmt::Kind::kCallBlock;
  ++at_;
  statement.signature = std::make_unique<Signature>();
  if (at_operator("(")) parse_signature(*statement.signature);
  statement.expr = parse_expression();
  if (statement.expr->kind != Expr::Kind::kCall) unexpected("a call");
  statement.body = parse_macro_body(*statement.signature, "endcall");
  return statement;
}

Stmt Parser::parse_filter_block() {
  Stmt statement;
  statement.kind = Stmt::Kind::kFilter;
  ++at_;
  do {
    statement.filter = parse_filter(std::move(statement.filter));
  } while (skip_operator("|"));
  statement.body = parse_block({"endfilter"});
  expect_name("endfilter");
  return statement;
}

Stmt Parser::parse_with() {
  Stmt statement;
  statement.kind = Stmt::Kind::kWith;
  ++at_;
  while (current().type != TokenType::kBlockEnd) {
    if (!statement.bindings.empty()) expect_operator(",");
    ExprPtr target = parse_target_item(false);
    expect_operator("=");
    ExprPtr value = parse_expression();
    statement.bindings.emplace_back(std::move(target), std::move(value));
  }
  statement.body = parse_block({"endwith"});
  expect_name("endwith");
  return statement;
}

Stmt Parser::parse_print() {
  Stmt statement;
  statement.kind = Stmt::Kind::kOutput;
  ++at_;
  statement.expr = make(Expr::Kind::kConcat);
  do {
    add(*statement.expr, parse_expression());
  } while (skip_operator(","));
  return statement;
}

Stmt Parser::parse_scope(std::string_view end_tag) {
  Stmt statement;
  statement.kind = Stmt::Kind::kScope;
  statement.body = parse_block({end_tag});
  expect_name(end_tag);
  return statement;
}

Stmt Parser::parse_loop_control(Stmt::Kind kind) {
  if (loops_ == 0) error(fmt::format("'{}' outside of a loop", current().text));
  Stmt statement;
  statement.kind = kind;
  ++at_;
  return statement;
}

}  // namespace haq::text::jinja
