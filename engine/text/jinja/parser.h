// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <initializer_list>
#include <string_view>
#include <vector>

#include "engine/text/jinja/ast.h"
#include "engine/text/jinja/lexer.h"

namespace haq::text::jinja {

/// Parses a template (valid UTF-8). Throws kCorrupt with "line N: ..." for a syntax error and
/// kLimit for expressions or blocks nested deeper than the parser's limit.
std::vector<Stmt> parse_template(std::string_view source);

/// The recursive-descent parser behind parse_template: statements in parser.cpp, expressions in
/// parser_expressions.cpp. The grammar is jinja 3.1's.
class Parser {
 public:
  explicit Parser(std::vector<Token> tokens) : tokens_(std::move(tokens)) {}
  std::vector<Stmt> parse();

 private:
  using EndTags = std::initializer_list<std::string_view>;

  // Statements.
  std::vector<Stmt> parse_body(EndTags end_tags);
  std::vector<Stmt> parse_block(EndTags end_tags);
  Stmt parse_statement();
  Stmt parse_if();
  Stmt parse_for();
  Stmt parse_set();
  Stmt parse_macro();
  Stmt parse_call_block();
  Stmt parse_filter_block();
  Stmt parse_with();
  Stmt parse_print();
  Stmt parse_scope(std::string_view end_tag);
  Stmt parse_loop_control(Stmt::Kind kind);
  void parse_signature(Signature& signature);
  std::vector<Stmt> parse_macro_body(Signature& signature, std::string_view end_tag);
  ExprPtr parse_target(bool allow_namespace, bool name_only);
  ExprPtr parse_target_item(bool allow_namespace);

  // Expressions.
  ExprPtr parse_expression(bool conditional = true);
  ExprPtr parse_tuple(bool conditional, bool explicit_parentheses);
  ExprPtr parse_or();
  ExprPtr parse_and();
  ExprPtr parse_not();
  ExprPtr parse_compare();
  /// The comparison at the current position, or nothing.
  std::string take_comparison();
  ExprPtr parse_binary(int level);
  ExprPtr parse_concat();
  ExprPtr parse_unary(bool with_filters);
  ExprPtr parse_primary();
  ExprPtr parse_number();
  ExprPtr parse_name();
  ExprPtr parse_list();
  ExprPtr parse_dict();
  ExprPtr parse_postfix(ExprPtr node);
  ExprPtr parse_filters_and_tests(ExprPtr node);
  ExprPtr parse_subscript(ExprPtr node);
  ExprPtr parse_index();
  ExprPtr parse_call(ExprPtr node);
  ExprPtr parse_filter(ExprPtr input);
  ExprPtr parse_test(ExprPtr input);
  void parse_arguments(Expr& call);
  std::string parse_dotted_name();

  // Tokens and nodes.
  const Token& current() const { return tokens_[at_]; }
  const Token& ahead() const { return tokens_[at_ + 1 < tokens_.size() ? at_ + 1 : at_]; }
  bool at_operator(std::string_view op) const;
  bool at_name(std::string_view name) const;
  bool skip_operator(std::string_view op);
  bool skip_name(std::string_view name);
  void expect_operator(std::string_view op);
  void expect_name(std::string_view name);
  std::string expect_identifier();
  void expect(TokenType type, std::string_view what);
  [[noreturn]] void error(const std::string& message) const;
  [[noreturn]] void unexpected(std::string_view wanted) const;
  static std::string describe(const Token& token);
  ExprPtr make(Expr::Kind kind) const;
  /// Appends a child and keeps the height of the tree.
  void add(Expr& parent, ExprPtr child);
  void raise(Expr& parent, const Expr& child);

  /// Guards the stack of the parser itself.
  class Nesting;

  std::vector<Token> tokens_;
  std::size_t at_ = 0;
  int nesting_ = 0;
  int loops_ = 0;
  std::vector<Signature*> open_macros_;
};

class Parser::Nesting {
 public:
  explicit Nesting(Parser& parser);
  ~Nesting() { --parser_.nesting_; }
  Nesting(const Nesting&) = delete;
  Nesting& operator=(const Nesting&) = delete;

 private:
  Parser& parser_;
};

}  // namespace haq::text::jinja
