// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QTimer>
#include <QWidget>

#include "ui/models/engine_controller.h"

namespace haq::ui {

class TextLabel;

/// The figures at the foot of the window: speed, context, memory, what computes.
class StatusStrip : public QWidget {
  Q_OBJECT
 public:
  explicit StatusStrip(EngineController& engine, QWidget* parent = nullptr);
  /// Tokens of the conversation shown and the model's limit; 0 of both when not known.
  void setContext(qint64 tokens, qint64 limit);
  QString speedText() const;

 protected:
  void paintEvent(QPaintEvent* event) override;

 private:
  TextLabel* field(const QString& name, const QString& help);
  void refreshMemory();
  void refreshModel();
  void showTokens(int tokens);

  EngineController& m_engine;
  TextLabel* m_state;
  TextLabel* m_speed;
  TextLabel* m_context;
  TextLabel* m_memory;
  TextLabel* m_machine;
  QTimer m_memoryTimer;
  qint64 m_firstTokenMs = 0;  ///< of the running answer; 0 before it
  qint64 m_tokens = 0;
};

}  // namespace haq::ui
