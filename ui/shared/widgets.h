// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QFrame>
#include <QLabel>
#include <QScrollArea>
#include <QToolButton>

#include "ui/shared/icons.h"

class QHBoxLayout;
class QPushButton;
class QVBoxLayout;

namespace haq::ui {

/// A label in one of the theme's font and colour roles; follows changes of the theme.
class TextLabel : public QLabel {
  Q_OBJECT
 public:
  explicit TextLabel(const QString& text, FontRole font = FontRole::kBody, Role color = Role::kText,
                     QWidget* parent = nullptr);
  void setRole(Role color);

 private:
  void restyle();
  FontRole m_font;
  Role m_color;
};

/// A raised surface with a hairline and rounded corners.
class Card : public QFrame {
  Q_OBJECT
 public:
  explicit Card(QWidget* parent = nullptr, Role surface = Role::kRaised);

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  Role m_surface;
};

/// A pill that opens a menu or does one thing.
class Chip : public QToolButton {
  Q_OBJECT
 public:
  explicit Chip(QWidget* parent = nullptr);
  QSize sizeHint() const override;
  QSize minimumSizeHint() const override;

 protected:
  void paintEvent(QPaintEvent* event) override;
};

/// A square icon button with a name for tool tip and screen reader.
QToolButton* iconButton(Icon which, const QString& name, QWidget* parent = nullptr);
/// A push button; `primary` ones are filled with the accent.
QPushButton* pushButton(const QString& text, bool primary = false, QWidget* parent = nullptr);
/// A command of a page: its key works while the focus is somewhere in the page. Owned by the page.
QAction* pageAction(QWidget* page, const QString& text, Icon which, const QKeySequence& key,
                    Role color = Role::kMuted);

/// A message in place: what happened, why, what to do; with buttons and, when dismissible, a cross.
class Banner : public QFrame {
  Q_OBJECT
 public:
  enum class Kind { kInfo, kWarning, kError };

  explicit Banner(QWidget* parent = nullptr);
  /// `detail` may be empty. Removes the buttons of the former message and shows the banner.
  void show(Kind kind, const QString& text, const QString& detail = {});
  QPushButton* addButton(const QString& text);
  const QString& text() const { return m_text; }
  const QString& detail() const { return m_detail; }

 Q_SIGNALS:
  void dismissed();

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  Kind m_kind = Kind::kInfo;
  QString m_text, m_detail;
  TextLabel* m_title;
  TextLabel* m_more;
  QHBoxLayout* m_buttons;
};

/// What a page shows instead of nothing: an icon, what is missing, what to do about it.
class EmptyState : public QWidget {
  Q_OBJECT
 public:
  EmptyState(Icon which, const QString& title, const QString& text, QWidget* parent = nullptr);
  QPushButton* addButton(const QString& text, bool primary = false);

 private:
  QHBoxLayout* m_buttons;
};

/// A scroll area that wants to be as tall as its content and scrolls only when it cannot be.
class FittingScroll : public QScrollArea {
  Q_OBJECT
 public:
  explicit FittingScroll(QWidget* content, QWidget* parent = nullptr);
  QSize sizeHint() const override;
  QSize minimumSizeHint() const override;

 protected:
  bool eventFilter(QObject* watched, QEvent* event) override;
};

/// Shortens a label's text in the middle to the width it gets; the whole text is the tool tip.
class ElidedLabel : public TextLabel {
  Q_OBJECT
 public:
  explicit ElidedLabel(FontRole font = FontRole::kBody, Role color = Role::kText,
                       QWidget* parent = nullptr);
  void setFullText(const QString& text);
  QSize minimumSizeHint() const override;
  QSize sizeHint() const override;

 protected:
  void resizeEvent(QResizeEvent* event) override;

 private:
  void elide();
  QString m_full;
};

}  // namespace haq::ui
