// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

#include "engine/profile/chats/chat_types.h"
#include "ui/shared/widgets.h"

class QPlainTextEdit;

namespace haq::ui {

class MarkdownView;

/// What the transcript tells a message about its place.
struct MessagePlace {
  int sibling = 0;  ///< from 0
  int siblings = 1;
  bool canAct = true;  ///< a model is there and no answer is being written
};

/// One message: the user's words in a tinted card at the right, the model's without a box, with a
/// footer of facts. Actions show while the pointer is over it or the focus is in it. Lays itself
/// out for the width it is given.
class MessageView : public QWidget {
  Q_OBJECT
 public:
  /// The widget is wider than its column by this much at each side, for the focus ring.
  static constexpr int kSideMargin = space::kS;

  MessageView(const profile::Message& message, const MessagePlace& place, QWidget* parent);

  profile::Id id() const { return m_id; }
  void appendText(const QString& text);
  void finish(const profile::Message& message);
  void setPlace(const MessagePlace& place);
  void setPrefill(qint64 done, qint64 total);
  /// Height at a width; cheap when neither text nor width has changed.
  int heightFor(int width);
  bool holdsFocus() const;
  bool isEditing() const { return m_editor != nullptr; }
  void startEdit();
  MarkdownView& body() { return *m_body; }
  QString footerText() const { return m_footer; }

 Q_SIGNALS:
  void heightChanged();
  void copyAsked(qint64 id);
  void regenerateAsked(qint64 id);
  void continueAsked(qint64 id);
  void reproduceAsked(qint64 id);
  void editAsked(qint64 id, const QString& text);
  void siblingAsked(qint64 id, int step);
  void linkActivated(const QUrl& url);

 protected:
  void paintEvent(QPaintEvent* event) override;
  void resizeEvent(QResizeEvent* event) override;
  void enterEvent(QEnterEvent* event) override;
  void leaveEvent(QEvent* event) override;
  void contextMenuEvent(QContextMenuEvent* event) override;
  bool eventFilter(QObject* watched, QEvent* event) override;

 private:
  void setFooter(const QString& text, const QString& detail = {});
  QToolButton* action(Icon which, const QString& name);
  void describe(const profile::Message& message);
  void showActions();
  void endEdit(bool save);
  int arrange(int width, bool apply);

  profile::Id m_id;
  profile::Role m_role;
  profile::MessageState m_state;
  MessagePlace m_place;
  QString m_source;
  QString m_footer;
  bool m_hasText = false;
  bool m_resumable = false;
  bool m_reproducible = false;
  bool m_hovered = false;
  MarkdownView* m_body;
  TextLabel* m_name;
  TextLabel* m_note;  ///< what is to be known about this answer: left-out turns, full context
  Banner* m_failure;
  ElidedLabel* m_facts;
  TextLabel* m_siblingLabel;
  QToolButton* m_previous;
  QToolButton* m_next;
  QToolButton* m_copy;
  QToolButton* m_edit;
  QToolButton* m_regenerate;
  QToolButton* m_continue;
  QToolButton* m_reproduce;
  QPlainTextEdit* m_editor = nullptr;
  QWidget* m_editButtons = nullptr;
  QRect m_card;
  int m_cachedWidth = -1;
  int m_cachedHeight = 0;
};

}  // namespace haq::ui
