// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/action_model.h"

#include <QKeySequence>
#include <algorithm>

namespace haq::ui {
namespace {

/// A word typed in one piece counts more than the same letters strewn over the text, most of all at
/// the beginning of a word.
int wholeWordScore(const QString& text, const QString& pattern) {
  int score = 0;
  for (const QString& word : pattern.split(QLatin1Char(' '), Qt::SkipEmptyParts)) {
    const auto length = static_cast<int>(word.size());
    int best = 0;
    for (qsizetype at = text.indexOf(word, 0, Qt::CaseInsensitive); at >= 0;
         at = text.indexOf(word, at + 1, Qt::CaseInsensitive)) {
      const bool startsWord = at == 0 || !text.at(at - 1).isLetterOrNumber();
      best = std::max(best, startsWord ? 12 * length : 8 * length);
    }
    score += best;
  }
  return score;
}

}  // namespace

std::optional<int> fuzzyScore(const QString& text, const QString& pattern) {
  int score = wholeWordScore(text, pattern);
  qsizetype at = 0;
  bool follows = false;
  for (const QChar wanted : pattern) {
    if (wanted.isSpace()) {
      follows = false;
      continue;
    }
    const qsizetype found = text.indexOf(wanted, at, Qt::CaseInsensitive);
    if (found < 0) return std::nullopt;
    const bool startsWord = found == 0 || !text.at(found - 1).isLetterOrNumber();
    score += 1;
    if (follows && found == at) score += 4;
    if (startsWord) score += 6;
    score -= static_cast<int>(std::min<qsizetype>(found - at, 3));
    at = found + 1;
    follows = true;
  }
  return score;
}

void ActionModel::clear() {
  beginResetModel();
  m_entries.clear();
  m_shown.clear();
  endResetModel();
}

void ActionModel::add(const QString& group, QAction* action) {
  if (plainText(*action).isEmpty() || action->isSeparator()) return;
  m_entries.push_back({group, action});
  setFilter(m_filter);
}

void ActionModel::setFilter(const QString& text) {
  beginResetModel();
  m_filter = text;
  std::vector<std::pair<int, std::size_t>> scored;
  for (std::size_t i = 0; i < m_entries.size(); ++i) {
    const Entry& entry = m_entries[i];
    if (entry.action == nullptr || !entry.action->isEnabled() || !entry.action->isVisible())
      continue;
    const QString name = plainText(*entry.action);
    const auto own = fuzzyScore(name, text);
    const auto withGroup = fuzzyScore(entry.group + QLatin1Char(' ') + name, text);
    if (!own && !withGroup) continue;
    // A fit of the name alone goes before one that needs the group's name.
    scored.emplace_back(std::max(own ? *own + 2 : INT_MIN, withGroup.value_or(INT_MIN)), i);
  }
  if (!text.trimmed().isEmpty()) {
    std::stable_sort(scored.begin(), scored.end(),
                     [](const auto& a, const auto& b) { return a.first > b.first; });
  }
  m_shown.clear();
  for (const auto& [score, index] : scored) m_shown.push_back(index);
  endResetModel();
}

QAction* ActionModel::action(int row) const {
  if (row < 0 || row >= rowCount()) return nullptr;
  return m_entries[m_shown[static_cast<std::size_t>(row)]].action;
}

QString ActionModel::plainText(const QAction& action) {
  QString text = action.text();
  text.remove(QLatin1Char('&'));
  while (text.endsWith(QChar(0x2026)) || text.endsWith(QLatin1Char('.'))) text.chop(1);
  return text;
}

QString ActionModel::shortcutText(const QAction& action) {
  QStringList keys;
  for (const QKeySequence& key : action.shortcuts()) {
    keys << key.toString(QKeySequence::NativeText);
  }
  return keys.join(QStringLiteral("  or  "));
}

int ActionModel::rowCount(const QModelIndex& parent) const {
  return parent.isValid() ? 0 : static_cast<int>(m_shown.size());
}

QVariant ActionModel::data(const QModelIndex& index, int role) const {
  const QAction* found = index.isValid() ? action(index.row()) : nullptr;
  if (found == nullptr) return {};
  const Entry& entry = m_entries[m_shown[static_cast<std::size_t>(index.row())]];
  switch (role) {
    case Qt::DisplayRole:
      return plainText(*found);
    case Qt::DecorationRole:
      return found->icon();
    case Qt::AccessibleTextRole:
      return QStringLiteral("%1, %2 %3").arg(plainText(*found), entry.group, shortcutText(*found));
    case kGroup:
      return entry.group;
    case kShortcut:
      return shortcutText(*found);
    default:
      return {};
  }
}

}  // namespace haq::ui
