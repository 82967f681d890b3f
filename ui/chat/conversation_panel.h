// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QStyledItemDelegate>

#include "engine/profile/chats/chat_export.h"
#include "ui/models/conversation_list_model.h"
#include "ui/shared/widgets.h"

class QLineEdit;
class QListView;

namespace haq::ui {

/// Draws headings, titles with their time, and search hits with the match in bold.
class ConversationDelegate : public QStyledItemDelegate {
  Q_OBJECT
 public:
  using QStyledItemDelegate::QStyledItemDelegate;
  void paint(QPainter* painter, const QStyleOptionViewItem& option,
             const QModelIndex& index) const override;
  QSize sizeHint(const QStyleOptionViewItem& option, const QModelIndex& index) const override;
  void updateEditorGeometry(QWidget* editor, const QStyleOptionViewItem& option,
                            const QModelIndex& index) const override;
};

/// The stored conversations: search, open, new, rename, delete with undo, export.
class ConversationPanel : public QWidget {
  Q_OBJECT
 public:
  explicit ConversationPanel(ChatService& chats, QWidget* parent = nullptr);

  void select(profile::Id conversation);
  void renameSelected();
  void removeSelected();
  void undoRemove();
  bool canUndo() const { return m_removed != 0; }
  void focusSearch();
  void exportSelected(profile::ExportFormat format);
  /// Exports to a file without asking for its name.
  void exportTo(profile::Id conversation, profile::ExportFormat format, const QString& file);
  QListView& list() { return *m_list; }
  QLineEdit& search() { return *m_search; }
  ConversationListModel& model() { return *m_model; }

 Q_SIGNALS:
  void newAsked();
  /// `message` is 0 unless a search hit was opened.
  void openAsked(qint64 conversation, qint64 message);
  void removed(qint64 conversation);
  void exported(const QString& file, const QString& error);

 protected:
  void paintEvent(QPaintEvent* event) override;
  bool eventFilter(QObject* watched, QEvent* event) override;

 private:
  profile::Id selected() const;
  void openIndex(const QModelIndex& index);
  void showMenu(const QPoint& position);
  void updateEmpty(int hits);

  ChatService& m_chats;
  ConversationListModel* m_model;
  QLineEdit* m_search;
  QListView* m_list;
  TextLabel* m_empty;
  QWidget* m_undoBar;
  ElidedLabel* m_undoText;
  QTimer* m_searchTimer;
  profile::Id m_current = 0;
  profile::Id m_removed = 0;
};

}  // namespace haq::ui
