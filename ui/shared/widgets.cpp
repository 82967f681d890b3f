// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shared/widgets.h"

#include <QAction>
#include <QEvent>
#include <QHBoxLayout>
#include <QPainter>
#include <QPushButton>
#include <QStyleOptionToolButton>
#include <QVBoxLayout>

#include "ui/shared/style.h"

namespace haq::ui {

namespace {

constexpr int kIconSide = 16;
constexpr int kBigIcon = 40;
constexpr int kReadableWidth = 460;

class IconView : public QWidget {
 public:
  IconView(Icon which, Role role, int side, QWidget* parent)
      : QWidget(parent), m_icon(which), m_role(role) {
    setFixedSize(side, side);
  }
  void set(Icon which, Role role) {
    m_icon = which;
    m_role = role;
    update();
  }

 protected:
  void paintEvent(QPaintEvent*) override {
    QPainter painter(this);
    paintIcon(painter, m_icon, rect(), Theme::instance().color(m_role));
  }

 private:
  Icon m_icon;
  Role m_role;
};

Role bannerRole(Banner::Kind kind) {
  switch (kind) {
    case Banner::Kind::kWarning:
      return Role::kWarning;
    case Banner::Kind::kError:
      return Role::kError;
    case Banner::Kind::kInfo:
      break;
  }
  return Role::kAccent;
}

Icon bannerIcon(Banner::Kind kind) {
  switch (kind) {
    case Banner::Kind::kWarning:
      return Icon::kWarning;
    case Banner::Kind::kError:
      return Icon::kError;
    case Banner::Kind::kInfo:
      break;
  }
  return Icon::kInfo;
}

}  // namespace

TextLabel::TextLabel(const QString& text, FontRole font, Role color, QWidget* parent)
    : QLabel(text, parent), m_font(font), m_color(color) {
  setTextFormat(Qt::PlainText);
  // Inside a scroll area the inherited role would be another one, which restyle() does not set.
  setForegroundRole(QPalette::WindowText);
  connect(&Theme::instance(), &Theme::changed, this, &TextLabel::restyle);
  restyle();
}

void TextLabel::setRole(Role color) {
  if (color == m_color) return;
  m_color = color;
  restyle();
}

void TextLabel::restyle() {
  setFont(Theme::instance().font(m_font));
  QPalette colors = Theme::instance().palette();
  colors.setColor(QPalette::WindowText, Theme::instance().color(m_color));
  setPalette(colors);
}

Card::Card(QWidget* parent, Role surface) : QFrame(parent), m_surface(surface) {
  setFrameShape(QFrame::NoFrame);
}

void Card::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  const Theme& theme = Theme::instance();
  paintPanel(painter, rect(), theme.color(m_surface), theme.hairline(m_surface), kRadius);
}

Chip::Chip(QWidget* parent) : QToolButton(parent) {
  setPopupMode(QToolButton::InstantPopup);
  setToolButtonStyle(Qt::ToolButtonTextBesideIcon);
  setFocusPolicy(Qt::TabFocus);
}

QSize Chip::sizeHint() const {
  const QFontMetrics metrics(font());
  int width = metrics.horizontalAdvance(text()) + 2 * space::kM + 2;
  if (!icon().isNull()) width += Theme::instance().scaled(kIconSide) + space::kS;
  if (menu() != nullptr) width += space::kM + space::kXs;
  return {width, std::max(metrics.height() + 2 * space::kXs, kHitTarget + space::kXs)};
}

QSize Chip::minimumSizeHint() const {
  // A chip with a menu shows a name that may be long and can be shortened; a command cannot.
  return menu() == nullptr ? sizeHint() : QSize(6 * space::kXl, sizeHint().height());
}

void Chip::paintEvent(QPaintEvent*) {
  QStyleOptionToolButton option;
  initStyleOption(&option);
  QPainter painter(this);
  const Theme& theme = Theme::instance();
  const QColor text = theme.color(isEnabled() ? Role::kText : Role::kDisabled);
  QColor fill = theme.color(Role::kRaised);
  if (isDown()) {
    fill = blend(fill, text, 0.12);
  } else if (underMouse() && isEnabled()) {
    fill = blend(fill, text, 0.06);
  }
  const double radius = height() / 2.0;
  paintPanel(painter, rect(), fill, blend(theme.hairline(Role::kRaised), text, 0.06), radius);
  if (hasFocus()) paintFocusRing(painter, rect(), radius);
  QRect inner = rect().adjusted(space::kM, 0, -space::kM, 0);
  if (!icon().isNull()) {
    const int side = theme.scaled(kIconSide);
    const QRect square(inner.left(), inner.center().y() - side / 2 + 1, side, side);
    icon().paint(&painter, square, Qt::AlignCenter, isEnabled() ? QIcon::Normal : QIcon::Disabled);
    inner.setLeft(square.right() + 1 + space::kS);
  }
  if (menu() != nullptr) {
    const QRectF arrow(inner.right() - space::kM + space::kXs, inner.center().y() - 5, 11, 11);
    paintIcon(painter, Icon::kChevronDown, arrow, theme.color(Role::kMuted));
    inner.setRight(inner.right() - space::kM - space::kXs);
  }
  painter.setPen(text);
  painter.setFont(font());
  painter.drawText(inner, Qt::AlignVCenter | Qt::AlignLeft,
                   painter.fontMetrics().elidedText(this->text(), Qt::ElideMiddle, inner.width()));
}

QToolButton* iconButton(Icon which, const QString& name, QWidget* parent) {
  auto* button = new QToolButton(parent);
  button->setIcon(icon(which));
  const auto resize = [button] {
    const Theme& theme = Theme::instance();
    button->setIconSize({theme.scaled(kIconSide), theme.scaled(kIconSide)});
    const int side = std::max(theme.scaled(kHitTarget + space::kXs), kHitTarget);
    button->setMinimumSize(side, side);
  };
  QObject::connect(&Theme::instance(), &Theme::changed, button, resize);
  resize();
  button->setAutoRaise(true);
  button->setToolTip(name);
  button->setAccessibleName(name);

  button->setFocusPolicy(Qt::TabFocus);
  return button;
}

QPushButton* pushButton(const QString& text, bool primary, QWidget* parent) {
  auto* button = new QPushButton(text, parent);
  button->setProperty("primary", primary);
  button->setAutoDefault(false);
  return button;
}

QAction* pageAction(QWidget* page, const QString& text, Icon which, const QKeySequence& key,
                    Role color) {
  auto* action = new QAction(icon(which, color), text, page);
  action->setShortcut(key);
  action->setShortcutContext(Qt::WidgetWithChildrenShortcut);
  page->addAction(action);
  return action;
}

Banner::Banner(QWidget* parent)
    : QFrame(parent),
      m_title(new TextLabel({}, FontRole::kStrong)),
      m_more(new TextLabel({}, FontRole::kBody)),
      m_buttons(new QHBoxLayout) {
  setFrameShape(QFrame::NoFrame);
  auto* row = new QHBoxLayout(this);
  row->setContentsMargins(space::kM, space::kS, space::kS, space::kS);
  row->setSpacing(space::kM);
  auto* mark = new IconView(Icon::kInfo, Role::kAccent, 20, this);
  mark->setObjectName(QStringLiteral("mark"));
  row->addWidget(mark, 0, Qt::AlignTop);
  auto* texts = new QVBoxLayout;
  texts->setSpacing(2);
  for (TextLabel* label : {m_title, m_more}) {
    label->setWordWrap(true);
    label->setTextInteractionFlags(Qt::TextSelectableByMouse);
    texts->addWidget(label);
  }
  row->addLayout(texts, 1);
  m_buttons->setSpacing(space::kS);
  row->addLayout(m_buttons);
  auto* close = iconButton(Icon::kClose, tr("Dismiss this message"), this);
  connect(close, &QToolButton::clicked, this, [this] {
    hide();
    Q_EMIT dismissed();
  });
  row->addWidget(close, 0, Qt::AlignTop);
  hide();
}

void Banner::show(Kind kind, const QString& text, const QString& detail) {
  m_kind = kind;
  m_text = text;
  m_detail = detail;
  m_title->setText(text);
  m_more->setText(detail);
  m_more->setVisible(!detail.isEmpty());
  while (QLayoutItem* item = m_buttons->takeAt(0)) {
    item->widget()->deleteLater();
    delete item;
  }
  static_cast<IconView*>(findChild<QWidget*>(QStringLiteral("mark")))
      ->set(bannerIcon(kind), bannerRole(kind));
  setAccessibleName(detail.isEmpty() ? text : text + QLatin1Char(' ') + detail);
  QFrame::show();
  update();
}

QPushButton* Banner::addButton(const QString& text) {
  QPushButton* button = pushButton(text, false, this);
  m_buttons->addWidget(button);
  return button;
}

void Banner::paintEvent(QPaintEvent*) {
  QPainter painter(this);
  const Theme& theme = Theme::instance();
  const Role role = bannerRole(m_kind);
  paintPanel(painter, rect(), theme.tint(role, Role::kRaised, 0.09),
             theme.tint(role, Role::kRaised, 0.35), kRadius);
}

EmptyState::EmptyState(Icon which, const QString& title, const QString& text, QWidget* parent)
    : QWidget(parent), m_buttons(new QHBoxLayout) {
  auto* column = new QVBoxLayout(this);
  column->setContentsMargins(space::kXl, space::kXl, space::kXl, space::kXl);
  column->setSpacing(space::kM);
  column->addStretch(2);
  column->addWidget(new IconView(which, Role::kMuted, kBigIcon, this), 0, Qt::AlignHCenter);
  for (TextLabel* label : {new TextLabel(title, FontRole::kHeading),
                           new TextLabel(text, FontRole::kBody, Role::kMuted)}) {
    label->setAlignment(Qt::AlignHCenter);
    label->setWordWrap(true);
    label->setMaximumWidth(kReadableWidth);
    label->setMinimumWidth(std::min(kReadableWidth, 280));
    // Not by an alignment: a layout would take the height of the text at the whole page's width.
    auto* row = new QHBoxLayout;
    row->addStretch(1);
    row->addWidget(label, kReadableWidth);
    row->addStretch(1);
    column->addLayout(row);
  }
  m_buttons->setSpacing(space::kS);
  m_buttons->setAlignment(Qt::AlignHCenter);
  column->addLayout(m_buttons);
  column->addStretch(3);
}

QPushButton* EmptyState::addButton(const QString& text, bool primary) {
  QPushButton* button = pushButton(text, primary, this);
  m_buttons->addWidget(button);
  return button;
}

FittingScroll::FittingScroll(QWidget* content, QWidget* parent) : QScrollArea(parent) {
  setFrameShape(QFrame::NoFrame);
  setWidgetResizable(true);
  setHorizontalScrollBarPolicy(Qt::ScrollBarAlwaysOff);
  setWidget(content);
  // Lets the surface below shine through.
  content->setAutoFillBackground(false);
  viewport()->setAutoFillBackground(false);
  setSizePolicy(QSizePolicy::Preferred, QSizePolicy::Maximum);
  content->installEventFilter(this);
}

bool FittingScroll::eventFilter(QObject* watched, QEvent* event) {
  if (watched == widget() && event->type() == QEvent::LayoutRequest) updateGeometry();
  return QScrollArea::eventFilter(watched, event);
}

QSize FittingScroll::sizeHint() const {
  return widget()->sizeHint() + QSize(0, 2);
}

QSize FittingScroll::minimumSizeHint() const {
  return {widget()->minimumSizeHint().width(), 4 * space::kXl};
}

ElidedLabel::ElidedLabel(FontRole font, Role color, QWidget* parent)
    : TextLabel({}, font, color, parent) {
  setSizePolicy(QSizePolicy::Ignored, QSizePolicy::Preferred);
}

void ElidedLabel::setFullText(const QString& text) {
  m_full = text;
  setToolTip(text);
  setAccessibleName(text);
  updateGeometry();
  elide();
}

QSize ElidedLabel::minimumSizeHint() const {
  return {40, fontMetrics().height()};
}

QSize ElidedLabel::sizeHint() const {
  return {fontMetrics().horizontalAdvance(m_full) + 2, fontMetrics().height()};
}

void ElidedLabel::resizeEvent(QResizeEvent* event) {
  TextLabel::resizeEvent(event);
  elide();
}

void ElidedLabel::elide() {
  setText(fontMetrics().elidedText(m_full, Qt::ElideMiddle, width()));
}

}  // namespace haq::ui
