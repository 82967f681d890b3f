// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <md4c.h>

#include <QTextTable>
#include <vector>

#include "ui/models/markdown_renderer.h"

namespace haq::ui {

/// Receives md4c's events for one piece and writes it behind the renderer's cursor.
struct MarkdownRenderer::Parser {
  explicit Parser(MarkdownRenderer& target) : renderer(target) {}

  void parse(const QByteArray& utf8);

  int enterBlock(MD_BLOCKTYPE type, void* detail);
  int leaveBlock(MD_BLOCKTYPE type, void* detail);
  int enterSpan(MD_SPANTYPE type, void* detail);
  int leaveSpan(MD_SPANTYPE type);
  int text(MD_TEXTTYPE type, const QString& value);

  void openBlock();
  void putText(const QString& value);
  double leftMargin() const;
  void enterTable(const MD_BLOCK_TABLE_DETAIL& detail);
  void enterCell(MD_BLOCKTYPE type, const MD_BLOCK_TD_DETAIL& detail);
  void leaveTable();
  void leaveCode();

  struct List {
    bool ordered = false;
    unsigned next = 1;
  };

  MarkdownRenderer& renderer;
  std::vector<QTextCharFormat> formats;  ///< innermost last
  std::vector<List> lists;
  int quotes = 0;
  int heading = 0;
  bool loose = true;  ///< the innermost text is a paragraph of its own
  bool open = false;  ///< a block to write into is open
  QString marker;     ///< of a list item whose first block is still to come
  bool inCode = false;
  QString code;
  QString codeLanguage;
  QTextTable* table = nullptr;
  int row = -1;
  int column = 0;
};

}  // namespace haq::ui
