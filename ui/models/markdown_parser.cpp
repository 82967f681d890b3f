// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/markdown_parser.h"

#include <QTextDocumentFragment>

#include "ui/shared/theme.h"

namespace haq::ui {
namespace {

QString fromMd(const MD_CHAR* text, MD_SIZE size) {
  return QString::fromUtf8(text, static_cast<qsizetype>(size));
}

QString attribute(const MD_ATTRIBUTE& value) {
  return fromMd(value.text, value.size);
}

/// Tables narrower than the column keep their natural width.
QTextTableFormat tableFormat(const MarkdownStyle& style) {
  QTextTableFormat format;
  format.setBorder(kHairline);
  format.setBorderBrush(style.hairline);
  format.setBorderStyle(QTextFrameFormat::BorderStyle_Solid);
  format.setBorderCollapse(true);
  format.setCellPadding(space::kXs + 2);
  format.setCellSpacing(0);
  format.setTopMargin(space::kXs);
  format.setBottomMargin(space::kS);
  return format;
}

}  // namespace

void MarkdownRenderer::Parser::parse(const QByteArray& utf8) {
  formats.push_back(renderer.charFormat());
  MD_PARSER parser{};
  parser.flags = MD_DIALECT_GITHUB | MD_FLAG_NOHTML;
  parser.enter_block = [](MD_BLOCKTYPE type, void* detail, void* self) {
    return static_cast<Parser*>(self)->enterBlock(type, detail);
  };
  parser.leave_block = [](MD_BLOCKTYPE type, void* detail, void* self) {
    return static_cast<Parser*>(self)->leaveBlock(type, detail);
  };
  parser.enter_span = [](MD_SPANTYPE type, void* detail, void* self) {
    return static_cast<Parser*>(self)->enterSpan(type, detail);
  };
  parser.leave_span = [](MD_SPANTYPE type, void*, void* self) {
    return static_cast<Parser*>(self)->leaveSpan(type);
  };
  parser.text = [](MD_TEXTTYPE type, const MD_CHAR* value, MD_SIZE size, void* self) {
    return static_cast<Parser*>(self)->text(type, fromMd(value, size));
  };
  if (md_parse(utf8.constData(), static_cast<MD_SIZE>(utf8.size()), &parser, this) != 0) {
    // md4c fails only when memory runs out; the text itself is still worth showing.
    putText(QString::fromUtf8(utf8));
  }
}

double MarkdownRenderer::Parser::leftMargin() const {
  return static_cast<double>(lists.size()) * (space::kXl + space::kXs) + quotes * space::kL;
}

void MarkdownRenderer::Parser::openBlock() {
  if (open) return;
  open = true;
  QTextBlockFormat format = renderer.blockFormat();
  const double gap = loose && lists.empty() ? space::kM : space::kXs;
  format.setTopMargin(gap);
  format.setBottomMargin(gap);
  if (heading > 0) {
    format.setTopMargin(heading <= 2 ? space::kXl : space::kL);
    format.setBottomMargin(space::kS);
    format.setHeadingLevel(heading);
  }
  format.setLeftMargin(leftMargin());
  if (quotes > 0) format.setProperty(block_property::kQuote, quotes);
  if (!marker.isEmpty()) {
    format.setProperty(block_property::kMarker, marker);
    marker.clear();
  }
  renderer.beginBlock(format, formats.back());
}

void MarkdownRenderer::Parser::putText(const QString& value) {
  if (table == nullptr) openBlock();
  renderer.m_cursor.insertText(value, formats.back());
}

int MarkdownRenderer::Parser::enterBlock(MD_BLOCKTYPE type, void* detail) {
  if (type != MD_BLOCK_DOC && table == nullptr) open = false;
  switch (type) {
    case MD_BLOCK_QUOTE: {
      ++quotes;
      QTextCharFormat format = formats.back();
      format.setForeground(renderer.m_style.muted);
      formats.push_back(format);
      break;
    }
    case MD_BLOCK_UL:
      lists.push_back({});
      break;
    case MD_BLOCK_OL:
      lists.push_back({true, static_cast<const MD_BLOCK_OL_DETAIL*>(detail)->start});
      break;
    case MD_BLOCK_LI: {
      const auto* item = static_cast<const MD_BLOCK_LI_DETAIL*>(detail);
      if (item->is_task) {
        marker = item->task_mark == ' ' ? QStringLiteral("☐") : QStringLiteral("☑");
      } else if (lists.back().ordered) {
        marker = QStringLiteral("%1.").arg(lists.back().next);
      } else {
        marker = lists.size() % 2 == 1 ? QStringLiteral("•") : QStringLiteral("◦");
      }
      if (lists.back().ordered) ++lists.back().next;
      break;
    }
    case MD_BLOCK_H: {
      heading = static_cast<int>(static_cast<const MD_BLOCK_H_DETAIL*>(detail)->level);
      QTextCharFormat format = formats.back();
      QFont font = renderer.m_style.heading;
      const double body = renderer.m_style.body.pointSizeF();
      // From the heading's size at level 1 down to the body's at level 4.
      const double step = (font.pointSizeF() - body) / 3;
      font.setPointSizeF(body + step * std::max(0, 4 - heading));
      format.setFont(font);
      formats.push_back(format);
      break;
    }
    case MD_BLOCK_HR: {
      QTextBlockFormat format = renderer.blockFormat();
      format.setTopMargin(space::kS);
      format.setBottomMargin(space::kS);
      format.setProperty(block_property::kRule, true);
      renderer.beginBlock(format, formats.back());
      break;
    }
    case MD_BLOCK_CODE:
      inCode = true;
      code.clear();
      codeLanguage = attribute(static_cast<const MD_BLOCK_CODE_DETAIL*>(detail)->lang).toLower();
      break;
    case MD_BLOCK_TABLE:
      enterTable(*static_cast<const MD_BLOCK_TABLE_DETAIL*>(detail));
      break;
    case MD_BLOCK_TR:
      ++row;
      column = 0;
      break;
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
      enterCell(type, *static_cast<const MD_BLOCK_TD_DETAIL*>(detail));
      break;
    default:
      break;
  }
  return 0;
}

int MarkdownRenderer::Parser::leaveBlock(MD_BLOCKTYPE type, void*) {
  switch (type) {
    case MD_BLOCK_QUOTE:
      --quotes;
      formats.pop_back();
      break;
    case MD_BLOCK_UL:
    case MD_BLOCK_OL:
      lists.pop_back();
      break;
    case MD_BLOCK_LI:
      if (!marker.isEmpty()) openBlock();  // an empty item
      break;
    case MD_BLOCK_H:
      if (!open) openBlock();
      heading = 0;
      formats.pop_back();
      break;
    case MD_BLOCK_CODE:
      leaveCode();
      break;
    case MD_BLOCK_TABLE:
      leaveTable();
      break;
    case MD_BLOCK_TH:
    case MD_BLOCK_TD:
      formats.pop_back();
      ++column;
      break;
    default:
      break;
  }
  if (table == nullptr) open = false;
  return 0;
}

void MarkdownRenderer::Parser::leaveCode() {
  inCode = false;
  if (code.endsWith(u'\n')) code.chop(1);
  renderer.beginCode(codeLanguage);
  for (const QString& line : code.split(u'\n')) renderer.codeLine(line, leftMargin());
  marker.clear();
}

void MarkdownRenderer::Parser::enterTable(const MD_BLOCK_TABLE_DETAIL& detail) {
  // A table cannot be the first thing in its block, so an unseen line of one pixel precedes it.
  QTextBlockFormat thin = renderer.blockFormat();
  thin.setLineHeight(1, QTextBlockFormat::FixedHeight);
  renderer.beginBlock(thin, formats.back());
  const int rows = static_cast<int>(detail.head_row_count + detail.body_row_count);
  table = renderer.m_cursor.insertTable(std::max(1, rows),
                                        std::max(1, static_cast<int>(detail.col_count)),
                                        tableFormat(renderer.m_style));
  row = -1;
}

void MarkdownRenderer::Parser::enterCell(MD_BLOCKTYPE type, const MD_BLOCK_TD_DETAIL& detail) {
  QTextCharFormat format = formats.front();
  if (type == MD_BLOCK_TH) format.setFontWeight(QFont::DemiBold);
  formats.push_back(format);
  if (row >= table->rows() || column >= table->columns()) return;
  renderer.m_cursor = table->cellAt(row, column).firstCursorPosition();
  QTextBlockFormat block;
  block.setAlignment(detail.align == MD_ALIGN_RIGHT    ? Qt::AlignRight
                     : detail.align == MD_ALIGN_CENTER ? Qt::AlignHCenter
                                                       : Qt::AlignLeft);
  renderer.m_cursor.setBlockFormat(block);
}

void MarkdownRenderer::Parser::leaveTable() {
  table = nullptr;
  renderer.m_cursor.movePosition(QTextCursor::End);
  QTextBlockFormat thin;
  thin.setLineHeight(1, QTextBlockFormat::FixedHeight);
  renderer.m_cursor.setBlockFormat(thin);
  renderer.m_fresh = true;
}

int MarkdownRenderer::Parser::enterSpan(MD_SPANTYPE type, void* detail) {
  QTextCharFormat format = formats.back();
  const MarkdownStyle& style = renderer.m_style;
  switch (type) {
    case MD_SPAN_EM:
      format.setFontItalic(true);
      break;
    case MD_SPAN_STRONG:
      format.setFontWeight(QFont::Bold);
      break;
    case MD_SPAN_DEL:
      format.setFontStrikeOut(true);
      break;
    case MD_SPAN_CODE:
      format.setFontFamilies(style.mono.families());
      format.setFontFixedPitch(true);
      format.setBackground(style.well);
      break;
    case MD_SPAN_A: {
      const QString target = attribute(static_cast<const MD_SPAN_A_DETAIL*>(detail)->href);
      format.setAnchor(true);
      format.setAnchorHref(target);
      format.setForeground(style.accent);
      format.setFontUnderline(true);
      format.setToolTip(target);
      break;
    }
    case MD_SPAN_IMG:
      format.setForeground(style.muted);
      format.setFontItalic(true);
      format.setToolTip(attribute(static_cast<const MD_SPAN_IMG_DETAIL*>(detail)->src));
      break;
    default:
      break;
  }
  formats.push_back(format);
  if (type == MD_SPAN_IMG) putText(QStringLiteral("[image: "));
  return 0;
}

int MarkdownRenderer::Parser::leaveSpan(MD_SPANTYPE type) {
  if (type == MD_SPAN_IMG) putText(QStringLiteral("]"));
  formats.pop_back();
  return 0;
}

int MarkdownRenderer::Parser::text(MD_TEXTTYPE type, const QString& value) {
  if (inCode) {
    code += value;
    return 0;
  }
  switch (type) {
    case MD_TEXT_NULLCHAR:
      putText(QString(QChar::ReplacementCharacter));
      break;
    case MD_TEXT_BR:
    // People and models end a line where they want it to end.
    case MD_TEXT_SOFTBR:
      putText(QString(QChar::LineSeparator));
      break;
    case MD_TEXT_ENTITY:
      putText(QTextDocumentFragment::fromHtml(value).toPlainText());
      break;
    default:
      putText(value);
  }
  return 0;
}

}  // namespace haq::ui
