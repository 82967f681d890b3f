// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/wizard/parts.h"

#include <QGridLayout>
#include <QHBoxLayout>
#include <QPainter>
#include <QVBoxLayout>
#include <algorithm>

namespace haq::ui {

namespace {

constexpr int kMarkSide = 16;
constexpr int kReadable = 760;

}  // namespace

StepPage::StepPage(const QString& question, const QString& sentence, QWidget* parent)
    : QWidget(parent) {
  auto* outer = new QVBoxLayout(this);
  outer->setContentsMargins(0, 0, 0, 0);
  auto* content = new QWidget;
  auto* scroll = new QScrollArea;
  scroll->setFrameShape(QFrame::NoFrame);
  scroll->setWidgetResizable(true);
  scroll->setWidget(content);
  scroll->setFocusPolicy(Qt::NoFocus);
  scroll->setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  content->setAutoFillBackground(false);
  scroll->viewport()->setAutoFillBackground(false);
  outer->addWidget(scroll);
  m_column = new QVBoxLayout(content);
  m_column->setContentsMargins(space::kL, space::kM, space::kL, space::kM);
  m_column->setSpacing(space::kM);
  auto* titles = new QVBoxLayout;
  titles->setSpacing(2);
  auto* heading = new TextLabel(question, FontRole::kHeading);
  heading->setWordWrap(true);
  titles->addWidget(heading);
  if (!sentence.isEmpty()) {
    auto* text = new TextLabel(sentence, FontRole::kBody, Role::kMuted);
    text->setWordWrap(true);
    text->setMaximumWidth(kReadable);
    auto* row = new QHBoxLayout;
    row->addWidget(text, kReadable);
    row->addStretch(1);
    titles->addLayout(row);
  }
  m_column->addLayout(titles);
  setAccessibleName(question);
}

CheckLine::CheckLine(const QString& what, QWidget* parent)
    : QWidget(parent), m_what(what), m_text(new TextLabel({}, FontRole::kBody)) {
  auto* row = new QHBoxLayout(this);
  row->setContentsMargins(0, 0, 0, 0);
  row->setSpacing(space::kS);
  auto* name = new TextLabel(what, FontRole::kBody, Role::kMuted);
  const auto resize = [row, name] {
    row->setContentsMargins(Theme::instance().scaled(kMarkSide) + space::kS, 1, 0, 1);
    name->setMinimumWidth(Theme::instance().scaled(110));
  };
  connect(&Theme::instance(), &Theme::changed, this, resize);
  resize();
  row->addWidget(name, 0, Qt::AlignTop);
  m_text->setWordWrap(true);
  m_text->setTextInteractionFlags(Qt::TextSelectableByMouse | Qt::TextSelectableByKeyboard);
  row->addWidget(m_text, 1);
  set(Mark::kPending, QString(QChar(0x2013)));
}

void CheckLine::set(Mark mark, const QString& text) {
  m_mark = mark;
  m_text->setText(text);
  m_text->setRole(mark == Mark::kBad       ? Role::kError
                  : mark == Mark::kPending ? Role::kMuted
                                           : Role::kText);
  const QString word = mark == Mark::kGood      ? tr("fine")
                       : mark == Mark::kWarning ? tr("look at this")
                       : mark == Mark::kBad     ? tr("in the way")
                                                : tr("not checked");
  setAccessibleName(QStringLiteral("%1: %2 (%3)").arg(m_what, text, word));
  update();
}

void CheckLine::paintEvent(QPaintEvent*) {
  const Theme& theme = Theme::instance();
  QPainter painter(this);
  const int side = theme.scaled(kMarkSide);
  const int line = QFontMetrics(theme.font(FontRole::kBody)).height() + 2;
  const QRectF square(0, (line - side) / 2.0, side, side);
  switch (m_mark) {
    case Mark::kGood:
      paintIcon(painter, Icon::kCheck, square, theme.color(Role::kHit));
      return;
    case Mark::kWarning:
      paintIcon(painter, Icon::kWarning, square, theme.color(Role::kWarning));
      return;
    case Mark::kBad:
      paintIcon(painter, Icon::kError, square, theme.color(Role::kError));
      return;
    case Mark::kPending:
      paintIcon(painter, Icon::kMore, square, theme.color(Role::kDisabled));
  }
}

FigureTile::FigureTile(const QString& name, QWidget* parent)
    : Card(parent),
      m_name(new TextLabel(name, FontRole::kSmall, Role::kMuted)),
      m_value(new TextLabel({}, FontRole::kHeading)),
      m_note(new TextLabel({}, FontRole::kSmall, Role::kMuted)) {
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(space::kM, space::kS, space::kM, space::kS);
  column->setSpacing(1);
  for (TextLabel* label : {m_name, m_value, m_note}) {
    label->setTextInteractionFlags(Qt::TextSelectableByMouse);
    label->setWordWrap(label == m_note);
    column->addWidget(label);
  }
  column->addStretch(1);
}

void FigureTile::set(const QString& value, const QString& note, const QString& help) {
  m_value->setText(value);
  m_note->setText(note);
  setToolTip(help);
  setAccessibleName(QStringLiteral("%1: %2 %3").arg(m_name->text(), value, note).trimmed());
}

Columns::Columns(const QVector<QWidget*>& widgets, int least, QWidget* parent)
    : QWidget(parent), m_widgets(widgets), m_least(least), m_grid(new QGridLayout(this)) {
  m_grid->setContentsMargins(0, 0, 0, 0);
  m_grid->setSpacing(space::kS);
  for (QWidget* widget : widgets) widget->setParent(this);
  arrange();
  connect(&Theme::instance(), &Theme::changed, this, &Columns::arrange);
}

void Columns::arrange() {
  const int column = Theme::instance().scaled(m_least) + space::kS;
  const int across =
      std::clamp((width() + space::kS) / column, 1, static_cast<int>(m_widgets.size()));
  if (across == m_across) return;
  for (int at = 0; at < m_across; ++at) m_grid->setColumnStretch(at, 0);
  m_across = across;
  for (int index = 0; index < m_widgets.size(); ++index) {
    m_grid->removeWidget(m_widgets[index]);
    m_grid->addWidget(m_widgets[index], index / across, index % across);
  }
  for (int at = 0; at < across; ++at) m_grid->setColumnStretch(at, 1);
}

QSize Columns::minimumSizeHint() const {
  return {std::min(Theme::instance().scaled(m_least), 320), m_grid->minimumSize().height()};
}

void Columns::resizeEvent(QResizeEvent* event) {
  QWidget::resizeEvent(event);
  arrange();
}

Fold::Fold(const QString& title, QWidget* content, QWidget* parent)
    : QWidget(parent), m_button(new QToolButton), m_content(content) {
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(0, 0, 0, 0);
  column->setSpacing(space::kS);
  m_button->setText(title);
  m_button->setCheckable(true);
  m_button->setAutoRaise(true);
  m_button->setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
  m_button->setFocusPolicy(Qt::StrongFocus);
  m_button->setAccessibleName(title);
  connect(m_button, &QToolButton::toggled, this, &Fold::setOpen);
  column->addWidget(m_button, 0, Qt::AlignLeft);
  column->addWidget(content);
  setOpen(false);
}

void Fold::setOpen(bool open) {
  m_button->setChecked(open);
  m_button->setIcon(icon(open ? Icon::kChevronDown : Icon::kChevronRight, Role::kMuted));
  m_content->setVisible(open);
}

}  // namespace haq::ui
