// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractListModel>
#include <QDate>
#include <functional>
#include <vector>

#include "ui/models/chat_service.h"

namespace haq::ui {

/// Heading of the day group in which a conversation of `day` stands: Today, Yesterday, This week,
/// the month, with the year when it is another.
QString dayGroup(const QDate& day, const QDate& today);

/// The conversations, newest first, under headings by day; or what a search found.
class ConversationListModel : public QAbstractListModel {
  Q_OBJECT
 public:
  enum Role {
    kKindRole = Qt::UserRole + 1,  ///< a Kind
    kConversationRole,             ///< qint64
    kMessageRole,                  ///< qint64, of a hit; 0: the title
    kSnippetRole,                  ///< QString with profile::kMatchBegin and kMatchEnd
    kTimeRole,                     ///< QDateTime
  };
  enum Kind { kHeading, kConversation, kHit };

  /// `today` is asked each time the list is built.
  explicit ConversationListModel(ChatService& chats, QObject* parent = nullptr,
                                 std::function<QDate()> today = &QDate::currentDate);

  int rowCount(const QModelIndex& parent = {}) const override;
  QVariant data(const QModelIndex& index, int role) const override;
  Qt::ItemFlags flags(const QModelIndex& index) const override;
  /// Renames (Qt::EditRole); an empty title is refused.
  bool setData(const QModelIndex& index, const QVariant& value, int role) override;

  /// Shows hits instead of the list; an empty text shows the list again.
  void setSearch(const QString& text);
  const QString& searchText() const { return m_search; }
  QModelIndex indexOf(qint64 conversation) const;

 Q_SIGNALS:
  void searched(int hits);

 private:
  struct Row {
    Kind kind = kHeading;
    QString heading;
    profile::SearchHit hit;  ///< kConversation uses id, title, time
  };
  void rebuild();
  void show(std::vector<Row> rows);

  ChatService& m_chats;
  std::function<QDate()> m_today;
  std::vector<Row> m_rows;
  QString m_search;
  quint64 m_searchNumber = 0;
};

}  // namespace haq::ui
