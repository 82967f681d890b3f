// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QTextBrowser>
#include <memory>
#include <vector>

#include "ui/models/markdown_renderer.h"
#include "ui/models/markdown_stream.h"

class QToolButton;

namespace haq::ui {

/// The text of one message: Markdown that may still be growing, or the user's words as typed. As
/// tall as its text (it never scrolls); selectable; loads nothing. Code blocks stand in wells with
/// their language and a copy button.
class MarkdownView : public QTextBrowser {
  Q_OBJECT
 public:
  explicit MarkdownView(QWidget* parent = nullptr);
  ~MarkdownView() override;

  void setPlain(const QString& text);
  void setMarkdown(const QString& text, bool finished);
  /// Adds to the Markdown; only what follows its last final block is drawn anew.
  void appendMarkdown(const QString& text);
  void finishMarkdown();

  /// Height that the text takes at a width.
  int heightFor(int width);
  /// Width that the text would like to have, at most `limit`.
  int naturalWidth(int limit);

 Q_SIGNALS:
  void linkActivated(const QUrl& url);

 protected:
  QVariant loadResource(int type, const QUrl& name) override;
  void paintEvent(QPaintEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;
  void wheelEvent(QWheelEvent* event) override;
  void keyPressEvent(QKeyEvent* event) override;

 private:
  struct CodeBlock {
    int number = 0;
    QToolButton* button = nullptr;
    QRectF well;
    QString language;
  };

  void rebuild();
  void draw(const std::vector<MarkdownPiece>& pieces);
  void measureCodes();
  void paintBlocks(QPainter& painter, const QRectF& clip) const;

  QString m_source;
  bool m_plain = true;
  bool m_finished = true;
  std::unique_ptr<MarkdownStream> m_stream;
  std::unique_ptr<MarkdownRenderer> m_renderer;
  std::vector<CodeBlock> m_codes;
  bool m_codesDirty = true;
  int m_codeHead = 0;
};

}  // namespace haq::ui
