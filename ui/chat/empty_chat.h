// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/models/engine_controller.h"
#include "ui/shared/widgets.h"

namespace haq::ui {

/// What a conversation without messages shows: which model answers, and four prompts it is good at.
/// Without a model: that one is needed, and where to get it.
class EmptyChat : public QWidget {
  Q_OBJECT
 public:
  explicit EmptyChat(QWidget* parent = nullptr);
  void show(EngineController::State state, const ModelInfo* model);
  const QStringList& samples() const { return m_samples; }

 Q_SIGNALS:
  void sampleChosen(const QString& text);
  void modelsAsked();

 private:
  TextLabel* m_title;
  TextLabel* m_text;
  QList<QPushButton*> m_buttons;
  QPushButton* m_models;
  QStringList m_samples;
};

}  // namespace haq::ui
