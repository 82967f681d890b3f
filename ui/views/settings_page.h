// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QVector>
#include <QWidget>

#include "ui/models/settings.h"

class QLineEdit;
class QVBoxLayout;

namespace haq::ui {

class EmptyState;

/// Every setting of the table with its control, explanation and reset; searchable.
class SettingsPage : public QWidget {
  Q_OBJECT
 public:
  /// `facts` are lines shown below the settings: what is where ("Conversations", path).
  SettingsPage(Settings& settings, const QVector<QPair<QString, QString>>& facts,
               QWidget* parent = nullptr);

  QLineEdit& search() { return *m_search; }
  int visibleRows() const;

 private:
  struct Row {
    QWidget* widget = nullptr;
    QWidget* section = nullptr;
    QString words;  ///< lower case, what the search looks at
  };

  QWidget* makeRow(const SettingSpec& spec);
  void filter(const QString& text);

  Settings& m_settings;
  QLineEdit* m_search;
  EmptyState* m_nothing;
  QWidget* m_factsCard = nullptr;
  QVector<Row> m_rows;
};

}  // namespace haq::ui
