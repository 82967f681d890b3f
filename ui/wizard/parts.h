// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/shared/widgets.h"

class QGridLayout;
class QVBoxLayout;

namespace haq::ui {

/// A page of the wizard: its question as a heading, a muted sentence, and a column that scrolls
/// when the window is too small for it.
class StepPage : public QWidget {
  Q_OBJECT
 public:
  StepPage(const QString& question, const QString& sentence, QWidget* parent = nullptr);

  /// Where the page's parts go, below the heading.
  QVBoxLayout* column() { return m_column; }

 private:
  QVBoxLayout* m_column;
};

/// One finding of a check: a mark (by shape and colour), what was looked at, the figures.
class CheckLine : public QWidget {
  Q_OBJECT
 public:
  enum class Mark { kPending, kGood, kWarning, kBad };
  explicit CheckLine(const QString& what, QWidget* parent = nullptr);
  void set(Mark mark, const QString& text);
  Mark mark() const { return m_mark; }
  QString text() const { return m_text->text(); }

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  Mark m_mark = Mark::kPending;
  QString m_what;
  TextLabel* m_text;
};

/// A figure in large digits over its name; selectable, with the explanation as tool tip.
class FigureTile : public Card {
  Q_OBJECT
 public:
  explicit FigureTile(const QString& name, QWidget* parent = nullptr);
  void set(const QString& value, const QString& note, const QString& help);
  QString value() const { return m_value->text(); }

 private:
  TextLabel* m_name;
  TextLabel* m_value;
  TextLabel* m_note;
};

/// Widgets beside each other in columns of one width, as many as fit.
class Columns : public QWidget {
  Q_OBJECT
 public:
  /// `least`: width of a column at normal text size, in pixels.
  Columns(const QVector<QWidget*>& widgets, int least, QWidget* parent = nullptr);
  QSize minimumSizeHint() const override;

 protected:
  void resizeEvent(QResizeEvent* event) override;

 private:
  void arrange();
  QVector<QWidget*> m_widgets;
  int m_least;
  int m_across = 0;
  QGridLayout* m_grid;
};

/// Advanced options under a line that opens and closes them.
class Fold : public QWidget {
  Q_OBJECT
 public:
  Fold(const QString& title, QWidget* content, QWidget* parent = nullptr);
  void setOpen(bool open);
  bool isOpen() const { return m_content->isVisibleTo(this); }

 private:
  QToolButton* m_button;
  QWidget* m_content;
};

}  // namespace haq::ui
