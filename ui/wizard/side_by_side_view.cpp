// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/wizard/side_by_side_view.h"

#include <QHBoxLayout>
#include <QLineEdit>
#include <QPlainTextEdit>
#include <QPushButton>
#include <QSpinBox>
#include <QTextBlock>
#include <QVBoxLayout>

#include "ui/models/request_defaults.h"
#include "ui/shared/format.h"

namespace haq::ui {

SideBySideView::SideBySideView(EngineController& engine, const Settings& settings, QWidget* parent)
    : QWidget(parent), m_settings(settings), m_sides(engine) {
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(0, 0, 0, 0);
  column->setSpacing(space::kS);
  auto* row = new QHBoxLayout;
  row->setSpacing(space::kS);
  m_prompt = new QLineEdit;
  m_prompt->setPlaceholderText(tr("A prompt for both"));
  m_prompt->setAccessibleName(tr("Prompt for both models"));
  row->addWidget(m_prompt, 1);
  m_tokens = new QSpinBox;
  m_tokens->setRange(1, 4096);
  m_tokens->setValue(128);
  m_tokens->setSuffix(QString(format::kThinSpace) + tr("tokens"));
  m_tokens->setAccessibleName(tr("Longest answer"));
  row->addWidget(m_tokens);
  m_run = pushButton(tr("Ask both"), true);
  row->addWidget(m_run);
  column->addLayout(row);
  m_problem = new Banner;
  column->addWidget(m_problem);
  m_verdict = new TextLabel(
      tr("One after the other, so that two models never need memory together; the quantized one "
         "stays loaded for the chat."),
      FontRole::kSmall, Role::kMuted);
  m_verdict->setWordWrap(true);
  m_verdict->setTextInteractionFlags(Qt::TextSelectableByMouse);
  column->addWidget(m_verdict);
  auto* columns = new QHBoxLayout;
  columns->setSpacing(space::kM);
  for (int which = 0; which < 2; ++which) columns->addWidget(makeColumn(which), 1);
  column->addLayout(columns, 1);

  connect(m_run, &QPushButton::clicked, this, &SideBySideView::run);
  connect(m_prompt, &QLineEdit::returnPressed, this, &SideBySideView::run);
  connect(&m_sides, &SideBySide::changed, this, &SideBySideView::refresh);
  connect(&m_sides, &SideBySide::finished, this, &SideBySideView::markDifference);
  connect(&m_sides, &SideBySide::failed, this, [this](const QString& message, const QString& hint) {
    m_problem->show(Banner::Kind::kError, message, hint);
  });
  connect(&Theme::instance(), &Theme::changed, this, [this] {
    if (m_sides.side(1).done) markDifference();
  });
}

Card* SideBySideView::makeColumn(int which) {
  Column& side = m_columns.at(static_cast<std::size_t>(which));
  auto* card = new Card;
  auto* list = new QVBoxLayout(card);
  list->setContentsMargins(space::kM, space::kS, space::kM, space::kS);
  list->setSpacing(space::kXs);
  side.title = new ElidedLabel(FontRole::kStrong);
  side.facts = new TextLabel({}, FontRole::kSmall, Role::kMuted);
  side.facts->setTextInteractionFlags(Qt::TextSelectableByMouse);
  side.facts->setWordWrap(true);
  side.text = new QPlainTextEdit;
  side.text->setReadOnly(true);
  side.text->setFrameShape(QFrame::NoFrame);
  side.text->setAccessibleName(which == 0 ? tr("Answer of the original")
                                          : tr("Answer of the quantized model"));
  side.text->setMinimumHeight(90);
  list->addWidget(side.title);
  list->addWidget(side.facts);
  list->addWidget(side.text, 1);
  return card;
}

void SideBySideView::setModels(const SideBySide::Side& original,
                               const SideBySide::Side& quantized) {
  m_models = {original, quantized};
  m_columns[0].title->setFullText(tr("Original: %1").arg(original.name));
  m_columns[1].title->setFullText(tr("Quantized: %1").arg(quantized.name));
  for (Column& side : m_columns) {
    side.text->clear();
    side.facts->setText(format::unknown());
  }
}

void SideBySideView::focusPrompt() {
  m_prompt->setFocus(Qt::OtherFocusReason);
}

void SideBySideView::run() {
  if (m_sides.running()) {
    m_sides.cancel();
    return;
  }
  if (m_prompt->text().trimmed().isEmpty()) {
    focusPrompt();
    return;
  }
  m_problem->hide();
  for (Column& side : m_columns) {
    side.text->clear();
    side.text->setExtraSelections({});
  }
  m_sides.start(m_prompt->text().trimmed(), m_models[0], m_models[1], m_tokens->value(),
                loadRequest(m_settings));
}

void SideBySideView::refresh() {
  m_run->setText(m_sides.running() ? tr("Stop") : tr("Ask both"));
  for (int which = 0; which < 2; ++which) {
    const SideBySide::Side& side = m_sides.side(which);
    Column& shown = m_columns.at(static_cast<std::size_t>(which));
    const QString before = shown.text->toPlainText();
    if (side.text != before) {
      if (side.text.startsWith(before)) {
        QTextCursor end(shown.text->document());
        end.movePosition(QTextCursor::End);
        end.insertText(side.text.mid(before.size()));
      } else {
        shown.text->setPlainText(side.text);
      }
    }
    if (side.done) {
      shown.facts->setText(
          tr("%1 · %2 · first token after %3")
              .arg(format::counted(side.summary.generatedTokens, tr("token"), tr("tokens")),
                   format::rate(side.summary.decodeTokensPerSecond, QStringLiteral("tok")),
                   format::duration(side.summary.ttftSeconds)));
    } else if (m_sides.running() && m_sides.current() == which) {
      shown.facts->setText(m_sides.stage() == SideBySide::Stage::kLoading ? tr("loading …")
                                                                          : tr("writing …"));
    } else {
      shown.facts->setText(format::unknown());
    }
  }
  if (m_sides.running()) m_verdict->setText(tr("The same prompt to both, greedy sampling."));
}

void SideBySideView::markDifference() {
  refresh();
  const qsizetype at = m_sides.firstDifference();
  for (Column& side : m_columns) {
    QList<QTextEdit::ExtraSelection> marks;
    if (at >= 0) {
      QTextEdit::ExtraSelection mark;
      mark.cursor = QTextCursor(side.text->document());
      mark.cursor.setPosition(static_cast<int>(std::min(at, side.text->toPlainText().size())));
      mark.cursor.movePosition(QTextCursor::End, QTextCursor::KeepAnchor);
      mark.format.setBackground(Theme::instance().tint(Role::kCpuLane, Role::kRaised, 0.22));
      mark.format.setFontUnderline(true);
      marks << mark;
    }
    side.text->setExtraSelections(marks);
  }
  m_verdict->setText(at < 0 ? tr("Both wrote the same text, letter by letter.")
                            : tr("The texts part after %1; what follows is marked.")
                                  .arg(format::counted(at, tr("letter"), tr("letters"))));
}

}  // namespace haq::ui
