// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/conversation_list_model.h"

#include <QDateTime>
#include <QLocale>

namespace haq::ui {

QString dayGroup(const QDate& day, const QDate& today) {
  const qint64 age = day.daysTo(today);
  if (age <= 0) return QObject::tr("Today");
  if (age == 1) return QObject::tr("Yesterday");
  if (age < 7) return QObject::tr("Last 7 days");
  if (age < 30) return QObject::tr("Last 30 days");
  const QString month = QLocale().standaloneMonthName(day.month());
  return day.year() == today.year() ? month : QStringLiteral("%1 %2").arg(month).arg(day.year());
}

ConversationListModel::ConversationListModel(ChatService& chats, QObject* parent,
                                             std::function<QDate()> today)
    : QAbstractListModel(parent), m_chats(chats), m_today(std::move(today)) {
  connect(&chats, &ChatService::listChanged, this, [this] {
    if (m_search.isEmpty()) {
      rebuild();
    } else {
      setSearch(m_search);
    }
  });
  connect(&chats, &ChatService::conversationChanged, this, [this](qint64 id) {
    const profile::Conversation* chat = m_chats.find(id);
    if (chat == nullptr) return;
    for (std::size_t row = 0; row < m_rows.size(); ++row) {
      if (m_rows[row].kind == kHeading || m_rows[row].hit.conversation != id) continue;
      m_rows[row].hit.title = chat->title;
      const QModelIndex changed = index(static_cast<int>(row));
      Q_EMIT dataChanged(changed, changed);
    }
  });
  rebuild();
}

int ConversationListModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(m_rows.size());
}

QVariant ConversationListModel::data(const QModelIndex& index, int role) const {
  if (!checkIndex(index, CheckIndexOption::IndexIsValid)) return {};
  const Row& row = m_rows[static_cast<std::size_t>(index.row())];
  switch (role) {
    case kKindRole:
      return row.kind;
    case Qt::DisplayRole:
    case Qt::EditRole:
      return row.kind == kHeading ? row.heading : QString::fromStdString(row.hit.title);
    case Qt::ToolTipRole:
      return row.kind == kHeading ? QVariant() : QString::fromStdString(row.hit.title);
    case Qt::AccessibleTextRole: {
      if (row.kind == kHeading) return row.heading;
      QString text = QString::fromStdString(row.hit.title);
      if (row.kind == kHit && !row.hit.snippet.empty()) {
        QString snippet = QString::fromStdString(row.hit.snippet);
        snippet.remove(QLatin1Char(profile::kMatchBegin)).remove(QLatin1Char(profile::kMatchEnd));
        text += QStringLiteral(": ") + snippet;
      }
      return text;
    }
    case kConversationRole:
      return static_cast<qint64>(row.hit.conversation);
    case kMessageRole:
      return static_cast<qint64>(row.hit.message);
    case kSnippetRole:
      return QString::fromStdString(row.hit.snippet);
    case kTimeRole:
      return QDateTime::fromMSecsSinceEpoch(row.hit.created_ms);
    default:
      return {};
  }
}

Qt::ItemFlags ConversationListModel::flags(const QModelIndex& index) const {
  if (!index.isValid()) return Qt::NoItemFlags;
  const Row& row = m_rows[static_cast<std::size_t>(index.row())];
  if (row.kind == kHeading) return Qt::NoItemFlags;
  Qt::ItemFlags flags = Qt::ItemIsEnabled | Qt::ItemIsSelectable | Qt::ItemNeverHasChildren;
  return row.kind == kConversation ? flags | Qt::ItemIsEditable : flags;
}

bool ConversationListModel::setData(const QModelIndex& index, const QVariant& value, int role) {
  if (role != Qt::EditRole || !index.isValid()) return false;
  const Row& row = m_rows[static_cast<std::size_t>(index.row())];
  const QString title = value.toString().simplified();
  if (row.kind == kHeading || title.isEmpty()) return false;
  m_chats.rename(row.hit.conversation, title);
  return true;
}

QModelIndex ConversationListModel::indexOf(qint64 conversation) const {
  for (std::size_t row = 0; row < m_rows.size(); ++row) {
    if (m_rows[row].kind != kHeading && m_rows[row].hit.conversation == conversation) {
      return index(static_cast<int>(row));
    }
  }
  return {};
}

void ConversationListModel::show(std::vector<Row> rows) {
  beginResetModel();
  m_rows = std::move(rows);
  endResetModel();
}

void ConversationListModel::rebuild() {
  std::vector<Row> rows;
  const QDate today = m_today();
  QString group;
  for (const profile::Conversation& chat : m_chats.conversations()) {
    const QString heading = dayGroup(QDateTime::fromMSecsSinceEpoch(chat.updated_ms).date(), today);
    if (heading != group) {
      group = heading;
      rows.push_back({kHeading, heading, {}});
    }
    rows.push_back({kConversation, {}, {chat.id, 0, chat.title, {}, chat.updated_ms}});
  }
  show(std::move(rows));
}

void ConversationListModel::setSearch(const QString& text) {
  m_search = text.trimmed();
  const quint64 number = ++m_searchNumber;
  if (m_search.isEmpty()) {
    rebuild();
    return;
  }
  m_chats.search(m_search, this, [this, number](const std::vector<profile::SearchHit>& hits) {
    if (number != m_searchNumber) return;  // a later question is on its way
    std::vector<Row> rows;
    for (const profile::SearchHit& hit : hits) rows.push_back({kHit, {}, hit});
    show(std::move(rows));
    Q_EMIT searched(static_cast<int>(hits.size()));
  });
}

}  // namespace haq::ui
