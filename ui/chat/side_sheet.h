// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>
#include <functional>

#include "ui/models/chat_session.h"
#include "ui/shared/widgets.h"

class QFormLayout;
class QPlainTextEdit;

namespace haq::ui {

/// System prompt and sampling of the conversation on show. Each value says whether it is the
/// conversation's own or where it comes from; the effective one is what the engine is given.
class SideSheet : public QWidget {
  Q_OBJECT
 public:
  explicit SideSheet(ChatSession& session, QWidget* parent = nullptr);
  QPlainTextEdit& systemPrompt() { return *m_system; }
  QString effectiveText() const;

 Q_SIGNALS:
  void closed();

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  /// One line: a check box "own", the value, and what is effective.
  struct Field {
    QWidget* control = nullptr;
    QToolButton* reset = nullptr;
    std::function<void(const session::SamplingOptions&, int maxTokens)> showValue;
    std::function<bool(const ChatOptions&)> isOwn;
  };
  void addReal(QFormLayout& form, const QString& name, const QString& help, double least,
               double most, double step, std::optional<float> ChatOptions::*own,
               float session::SamplingOptions::*effective);
  void addInteger(QFormLayout& form, const QString& name, const QString& help, int least, int most,
                  std::optional<int> ChatOptions::*own,
                  std::function<int(const session::SamplingOptions&, int)> read,
                  const QString& special);
  void addSeed(QFormLayout& form);
  void addRow(QFormLayout& form, const QString& name, const QString& help, Field field,
              const std::function<void(ChatOptions&)>& reset);
  void change(const std::function<void(ChatOptions&)>& edit);
  void refresh();

  ChatSession& m_session;
  QPlainTextEdit* m_system;
  TextLabel* m_source;
  std::vector<Field> m_fields;
  QTimer* m_systemTimer;
  bool m_refreshing = false;
};

}  // namespace haq::ui
