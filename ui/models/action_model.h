// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractListModel>
#include <QAction>
#include <QPointer>
#include <optional>
#include <vector>

namespace haq::ui {

/// How well `text` fits what was typed: every letter of `pattern` must occur in order; more for
/// letters that follow each other or begin a word. None when it does not fit; an empty pattern
/// fits everything with 0.
std::optional<int> fuzzyScore(const QString& text, const QString& pattern);

/// What the program can do, as a list for the command palette and the key sheet. Keeps the order
/// in which actions were added while nothing is typed, best fit first otherwise.
class ActionModel : public QAbstractListModel {
  Q_OBJECT
 public:
  enum DataRole { kGroup = Qt::UserRole, kShortcut };

  using QAbstractListModel::QAbstractListModel;

  void clear();
  /// `group` is the page or menu that the action belongs to. Actions without text are left out.
  void add(const QString& group, QAction* action);
  void setFilter(const QString& text);

  QAction* action(int row) const;
  /// Name of an action as people read it, without mnemonic marks.
  static QString plainText(const QAction& action);
  static QString shortcutText(const QAction& action);

  int rowCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;

 private:
  struct Entry {
    QString group;
    QPointer<QAction> action;
  };
  std::vector<Entry> m_entries;
  std::vector<std::size_t> m_shown;
  QString m_filter;
};

}  // namespace haq::ui
