// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/chat/empty_chat.h"

#include <QGridLayout>
#include <QPushButton>
#include <QVBoxLayout>

#include "ui/shared/format.h"

namespace haq::ui {
namespace {

constexpr int kSamples = 4;
constexpr int kReadableWidth = 560;

/// What the demo model was trained for (its model card).
QStringList demoSamples() {
  return {EmptyChat::tr("Tell me a story about a dog and a ball."),
          EmptyChat::tr("What is the capital of France?"), EmptyChat::tr("What is 3 plus 4?"),
          EmptyChat::tr("What is the opposite of hot?")};
}

QStringList generalSamples() {
  return {EmptyChat::tr("Explain in three sentences how a rainbow forms."),
          EmptyChat::tr("Write a Python function that reverses a list, with a test."),
          EmptyChat::tr("Compare tea and coffee in a short table."),
          EmptyChat::tr("Suggest five names for a small bookshop.")};
}

}  // namespace

EmptyChat::EmptyChat(QWidget* parent)
    : QWidget(parent),
      m_title(new TextLabel({}, FontRole::kHeading)),
      m_text(new TextLabel({}, FontRole::kBody, Role::kMuted)),
      m_models(pushButton(tr("Open Models"), true)) {
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(space::kXl, space::kXl, space::kXl, space::kXl);
  column->setSpacing(space::kS);
  column->addStretch(3);
  m_title->setAlignment(Qt::AlignHCenter);
  m_text->setAlignment(Qt::AlignHCenter);
  m_text->setWordWrap(true);
  column->addWidget(m_title);
  column->addWidget(m_text);
  column->addSpacing(space::kL);
  auto* frame = new QWidget;
  frame->setMaximumWidth(kReadableWidth);
  auto* grid = new QGridLayout(frame);
  grid->setContentsMargins(0, 0, 0, 0);
  grid->setSpacing(space::kS);
  for (int i = 0; i < kSamples; ++i) {
    QPushButton* button = pushButton({});
    connect(button, &QPushButton::clicked, this,
            [this, i] { Q_EMIT sampleChosen(m_samples.at(i)); });
    m_buttons.append(button);
    grid->addWidget(button, i / 2, i % 2);
    grid->setColumnStretch(i % 2, 1);
  }
  auto* middle = new QHBoxLayout;
  middle->addStretch(1);
  middle->addWidget(frame, 100);
  middle->addStretch(1);
  column->addLayout(middle);
  column->addWidget(m_models, 0, Qt::AlignHCenter);
  column->addStretch(4);
  connect(m_models, &QPushButton::clicked, this, &EmptyChat::modelsAsked);
  show(EngineController::State::kNoModel, nullptr);
}

void EmptyChat::show(EngineController::State state, const ModelInfo* model) {
  const bool loading = state == EngineController::State::kLoading;
  m_models->setVisible(model == nullptr && !loading);
  m_samples = model != nullptr && !model->isDemo ? generalSamples() : demoSamples();
  for (qsizetype i = 0; i < m_buttons.size(); ++i) {
    m_buttons[i]->setText(m_samples.at(i));
    m_buttons[i]->setAccessibleName(tr("Ask: %1").arg(m_samples.at(i)));
    m_buttons[i]->setVisible(model != nullptr);
  }
  if (model == nullptr) {
    m_title->setText(loading ? tr("Loading the model") : tr("No model is loaded"));
    m_text->setText(loading ? tr("You can write already; it is sent when the model is there.")
                            : tr("Choose one on the Models page; the demo model is always there."));
    return;
  }
  m_title->setText(model->name);
  QString facts;
  if (model->experts > 0) {
    facts = tr("%1 layers, %2 experts in each, %3 chosen per token")
                .arg(model->layers)
                .arg(model->experts)
                .arg(model->topK);
  } else {
    facts = tr("%1 layers").arg(model->layers);
  }
  if (model->isDemo) facts = tr("A tiny demonstration model: short stories and simple questions.");
  if (!model->hasChatTemplate) {
    facts += tr(" This model has no chat format: it goes on writing where your text ends.");
  }
  m_text->setText(facts);
}

}  // namespace haq::ui
