// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shared/style.h"

#include <QPainter>
#include <QStyleFactory>
#include <QStyleOption>
#include <QWidget>

#include "ui/shared/icons.h"
#include "ui/shared/theme.h"

namespace haq::ui {

namespace {

constexpr int kScrollBar = 10;
constexpr int kGroove = 4;
constexpr int kHandle = 16;

const Theme& theme() {
  return Theme::instance();
}

bool focusVisible(const QStyleOption& option) {
  return (option.state & QStyle::State_HasFocus) &&
         (option.state & QStyle::State_KeyboardFocusChange);
}

void paintButton(const QStyleOption& option, QPainter& painter, const QWidget* widget) {
  const bool enabled = option.state & QStyle::State_Enabled;
  const bool hover = enabled && (option.state & QStyle::State_MouseOver);
  const bool down = option.state & QStyle::State_Sunken;
  const bool primary = enabled && widget != nullptr && widget->property("primary").toBool();
  const auto* button = qstyleoption_cast<const QStyleOptionButton*>(&option);
  const bool flat = button != nullptr && (button->features & QStyleOptionButton::Flat);
  const QColor text = theme().color(Role::kText);
  QColor fill = primary ? theme().color(Role::kAccent) : option.palette.color(QPalette::Button);
  if (option.state & QStyle::State_On) fill = theme().tint(Role::kAccent, Role::kRaised, 0.18);
  if (down) {
    fill = blend(fill, text, primary ? 0.2 : 0.12);
  } else if (hover) {
    fill = blend(fill, text, primary ? 0.1 : 0.06);
  }
  if (flat && !hover && !down && !(option.state & QStyle::State_On)) fill = QColor();
  const QColor line = primary || flat ? QColor() : blend(theme().hairline(), text, 0.08);
  paintPanel(painter, option.rect, fill, line, kRadius);
  if (focusVisible(option)) paintFocusRing(painter, option.rect, kRadius);
}

void paintToolButton(const QStyleOption& option, QPainter& painter) {
  const QColor text = theme().color(Role::kText);
  QColor fill;
  if (option.state & QStyle::State_Sunken) {
    fill = blend(theme().color(Role::kWindow), text, 0.14);
  } else if (option.state & QStyle::State_On) {
    fill = theme().tint(Role::kAccent, Role::kWindow, 0.18);
  } else if ((option.state & QStyle::State_MouseOver) && (option.state & QStyle::State_Enabled)) {
    fill = blend(theme().color(Role::kWindow), text, 0.07);
  }
  paintPanel(painter, option.rect, fill, {}, kRadius);
  if (focusVisible(option)) paintFocusRing(painter, option.rect, kRadius);
}

void paintField(const QStyleOption& option, QPainter& painter) {
  const bool enabled = option.state & QStyle::State_Enabled;
  paintPanel(painter, option.rect, theme().color(enabled ? Role::kRaised : Role::kWindow),
             blend(theme().hairline(), theme().color(Role::kText), 0.08), kRadius);
  if (option.state & QStyle::State_HasFocus) paintFocusRing(painter, option.rect, kRadius);
}

void paintIndicator(const QStyleOption& option, QPainter& painter, bool round) {
  const bool enabled = option.state & QStyle::State_Enabled;
  const bool on = option.state & (QStyle::State_On | QStyle::State_NoChange);
  const QRectF box = QRectF(option.rect).adjusted(0.5, 0.5, -0.5, -0.5);
  const double radius = round ? box.width() / 2 : 4;
  const QColor accent = theme().color(enabled ? Role::kAccent : Role::kDisabled);
  const QColor line = enabled ? theme().color(Role::kMuted) : theme().color(Role::kDisabled);
  paintPanel(painter, option.rect, on ? accent : theme().color(Role::kRaised), on ? accent : line,
             radius);
  if (!on) return;
  if (round) {
    painter.setBrush(theme().color(Role::kAccentText));
    painter.setPen(Qt::NoPen);
    painter.drawEllipse(box.center(), box.width() / 5, box.width() / 5);
  } else {
    paintIcon(painter, Icon::kCheck, box.adjusted(1, 1, -1, -1), theme().color(Role::kAccentText));
  }
}

void paintArrow(QPainter& painter, Icon icon, const QRect& rect, bool enabled) {
  const int side = std::min({rect.width(), rect.height(), 12});
  const QRectF square(rect.center().x() - side / 2.0 + 0.5, rect.center().y() - side / 2.0 + 0.5,
                      side, side);
  paintIcon(painter, icon, square, theme().color(enabled ? Role::kMuted : Role::kDisabled));
}

void paintSlider(const QStyle& style, const QStyleOptionSlider& option, QPainter& painter,
                 const QWidget* widget) {
  const bool enabled = option.state & QStyle::State_Enabled;
  const QRect handle =
      style.subControlRect(QStyle::CC_Slider, &option, QStyle::SC_SliderHandle, widget);
  const QRectF all(option.rect);
  const bool horizontal = option.orientation == Qt::Horizontal;
  const QRectF groove =
      horizontal ? QRectF(all.left(), all.center().y() - kGroove / 2.0, all.width(), kGroove)
                 : QRectF(all.center().x() - kGroove / 2.0, all.top(), kGroove, all.height());
  paintPanel(painter, groove, theme().hairline(), {}, kGroove / 2.0);
  QRectF filled = groove;
  if (horizontal) {
    option.upsideDown ? filled.setLeft(handle.center().x()) : filled.setRight(handle.center().x());
  } else {
    option.upsideDown ? filled.setTop(handle.center().y()) : filled.setBottom(handle.center().y());
  }
  const QColor accent = theme().color(enabled ? Role::kAccent : Role::kDisabled);
  paintPanel(painter, filled, accent, {}, kGroove / 2.0);
  const QPointF center = QRectF(handle).center();
  const QRectF knob(center.x() - kHandle / 2.0 + 1, center.y() - kHandle / 2.0 + 1, kHandle - 2,
                    kHandle - 2);
  paintPanel(painter, knob, theme().color(Role::kRaised), accent, knob.width() / 2);
  if (focusVisible(option)) paintFocusRing(painter, knob.adjusted(-1, -1, 1, 1), kHandle / 2.0);
}

}  // namespace

void paintPanel(QPainter& painter, const QRectF& rect, const QColor& fill, const QColor& line,
                double radius) {
  painter.save();
  painter.setRenderHint(QPainter::Antialiasing);
  painter.setBrush(fill.isValid() ? QBrush(fill) : QBrush(Qt::NoBrush));
  QRectF inner = rect;
  if (line.isValid()) {
    painter.setPen(QPen(line, kHairline));
    inner.adjust(0.5, 0.5, -0.5, -0.5);
  } else {
    painter.setPen(Qt::NoPen);
  }
  if (fill.isValid() || line.isValid()) painter.drawRoundedRect(inner, radius, radius);
  painter.restore();
}

void paintFocusRing(QPainter& painter, const QRectF& rect, double radius) {
  painter.save();
  painter.setRenderHint(QPainter::Antialiasing);
  painter.setBrush(Qt::NoBrush);
  painter.setPen(QPen(theme().color(Role::kAccent), kFocusRing));
  painter.drawRoundedRect(rect.adjusted(1, 1, -1, -1), radius, radius);
  painter.restore();
}

QuietStyle::QuietStyle() : QProxyStyle(QStyleFactory::create(QStringLiteral("Fusion"))) {}

void QuietStyle::drawPrimitive(PrimitiveElement element, const QStyleOption* option,
                               QPainter* painter, const QWidget* widget) const {
  switch (element) {
    case PE_PanelButtonCommand:
      paintButton(*option, *painter, widget);
      return;
    case PE_PanelButtonTool:
      paintToolButton(*option, *painter);
      return;
    case PE_FrameFocusRect:
      if (option->state & State_KeyboardFocusChange) {
        paintFocusRing(*painter, option->rect, kRadius);
      }
      return;
    case PE_FrameDefaultButton:
    case PE_FrameStatusBarItem:
    case PE_PanelStatusBar:
      return;
    case PE_PanelLineEdit: {
      const auto* frame = qstyleoption_cast<const QStyleOptionFrame*>(option);
      if (frame != nullptr && frame->lineWidth > 0) paintField(*option, *painter);
      return;
    }
    case PE_FrameLineEdit:
      paintField(*option, *painter);
      return;
    case PE_Frame:
      paintPanel(*painter, option->rect, {}, theme().hairline(), kRadius);
      return;
    case PE_PanelMenu:
    case PE_PanelTipLabel:
      painter->fillRect(option->rect, theme().color(Role::kRaised));
      painter->setPen(theme().hairline(Role::kRaised));
      painter->drawRect(option->rect.adjusted(0, 0, -1, -1));
      return;
    case PE_FrameMenu:
      return;
    case PE_IndicatorCheckBox:
      paintIndicator(*option, *painter, false);
      return;
    case PE_IndicatorRadioButton:
      paintIndicator(*option, *painter, true);
      return;
    case PE_IndicatorArrowDown:
      paintArrow(*painter, Icon::kChevronDown, option->rect, option->state & State_Enabled);
      return;
    default:
      QProxyStyle::drawPrimitive(element, option, painter, widget);
  }
}

void QuietStyle::drawControl(ControlElement element, const QStyleOption* option, QPainter* painter,
                             const QWidget* widget) const {
  switch (element) {
    case CE_PushButtonLabel:
      if (const auto* button = qstyleoption_cast<const QStyleOptionButton*>(option)) {
        const bool primary = (option->state & State_Enabled) && widget != nullptr &&
                             widget->property("primary").toBool();
        if (primary) {
          QStyleOptionButton copy(*button);
          copy.palette.setColor(QPalette::ButtonText, theme().color(Role::kAccentText));
          QProxyStyle::drawControl(element, &copy, painter, widget);
          return;
        }
      }
      break;
    case CE_HeaderLabel:
      if (const auto* header = qstyleoption_cast<const QStyleOptionHeader*>(option)) {
        QStyleOptionHeader copy(*header);
        copy.rect.adjust(space::kXs, 0, -space::kXs, 0);
        copy.palette.setColor(QPalette::ButtonText, theme().color(Role::kMuted));
        painter->setFont(theme().font(FontRole::kSmall));
        QProxyStyle::drawControl(element, &copy, painter, widget);
        return;
      }
      break;
    case CE_HeaderSection:
      painter->fillRect(option->rect, theme().color(Role::kWindow));
      painter->fillRect(QRect(option->rect.left(), option->rect.bottom(), option->rect.width(), 1),
                        theme().hairline());
      return;
    case CE_HeaderEmptyArea:
      painter->fillRect(option->rect, theme().color(Role::kWindow));
      painter->fillRect(QRect(option->rect.left(), option->rect.bottom(), option->rect.width(), 1),
                        theme().hairline());
      return;
    case CE_ProgressBarGroove: {
      const QRectF groove(option->rect.left(), QRectF(option->rect).center().y() - kGroove / 2.0,
                          option->rect.width(), kGroove);
      paintPanel(*painter, groove, theme().hairline(), {}, kGroove / 2.0);
      return;
    }
    case CE_ProgressBarContents:
      if (const auto* bar = qstyleoption_cast<const QStyleOptionProgressBar*>(option)) {
        QRectF filled(option->rect.left(), QRectF(option->rect).center().y() - kGroove / 2.0,
                      option->rect.width(), kGroove);
        const int range = bar->maximum - bar->minimum;
        // Without a known total a quarter of the bar is filled: something happens, how much is
        // open.
        filled.setWidth(filled.width() *
                        (range > 0 ? double(bar->progress - bar->minimum) / range : 0.25));
        paintPanel(*painter, filled, theme().color(Role::kAccent), {}, kGroove / 2.0);
        return;
      }
      break;
    default:
      break;
  }
  QProxyStyle::drawControl(element, option, painter, widget);
}

void QuietStyle::drawComplexControl(ComplexControl control, const QStyleOptionComplex* option,
                                    QPainter* painter, const QWidget* widget) const {
  if (control == CC_Slider) {
    if (const auto* slider = qstyleoption_cast<const QStyleOptionSlider*>(option)) {
      paintSlider(*this, *slider, *painter, widget);
      return;
    }
  }
  if (control == CC_ScrollBar) {
    const QRect handle = subControlRect(control, option, SC_ScrollBarSlider, widget);
    const bool active = option->state & (State_MouseOver | State_Sunken);
    painter->fillRect(option->rect, option->palette.color(QPalette::Base));
    paintPanel(*painter, QRectF(handle).adjusted(2, 2, -2, -2),
               blend(option->palette.color(QPalette::Base), theme().color(Role::kText),
                     active ? 0.4 : 0.22),
               {}, (kScrollBar - 4) / 2.0);
    return;
  }
  if (control == CC_SpinBox) {
    const bool enabled = option->state & State_Enabled;
    QStyleOption frame(*option);
    if (widget != nullptr && widget->hasFocus()) frame.state |= State_HasFocus;
    paintField(frame, *painter);
    paintArrow(*painter, Icon::kChevronUp, subControlRect(control, option, SC_SpinBoxUp, widget),
               enabled);
    paintArrow(*painter, Icon::kChevronDown,
               subControlRect(control, option, SC_SpinBoxDown, widget), enabled);
    return;
  }
  QProxyStyle::drawComplexControl(control, option, painter, widget);
}

QRect QuietStyle::subControlRect(ComplexControl control, const QStyleOptionComplex* option,
                                 SubControl subControl, const QWidget* widget) const {
  if (control == CC_ScrollBar) {
    const auto* bar = qstyleoption_cast<const QStyleOptionSlider*>(option);
    if (bar == nullptr) return {};
    const bool horizontal = bar->orientation == Qt::Horizontal;
    const int length = horizontal ? option->rect.width() : option->rect.height();
    const int range = bar->maximum - bar->minimum;
    const qint64 wanted =
        range > 0 ? qint64(length) * bar->pageStep / (qint64(range) + bar->pageStep) : length;
    const int handle = static_cast<int>(std::clamp<qint64>(wanted, std::min(length, 28), length));
    const int start = sliderPositionFromValue(bar->minimum, bar->maximum, bar->sliderPosition,
                                              length - handle, bar->upsideDown);
    const auto part = [&](int from, int extent) {
      const QRect& all = option->rect;
      return horizontal ? QRect(all.left() + from, all.top(), extent, all.height())
                        : QRect(all.left(), all.top() + from, all.width(), extent);
    };
    switch (subControl) {
      case SC_ScrollBarSlider:
        return part(start, handle);
      case SC_ScrollBarSubPage:
        return part(0, start);
      case SC_ScrollBarAddPage:
        return part(start + handle, length - start - handle);
      case SC_ScrollBarGroove:
        return option->rect;
      default:
        return {};
    }
  }
  return QProxyStyle::subControlRect(control, option, subControl, widget);
}

QSize QuietStyle::sizeFromContents(ContentsType type, const QStyleOption* option, const QSize& size,
                                   const QWidget* widget) const {
  QSize result = QProxyStyle::sizeFromContents(type, option, size, widget);
  switch (type) {
    case CT_PushButton:
      result += QSize(space::kS, space::kXs);
      break;
    case CT_ComboBox:
    case CT_LineEdit:
      result += QSize(space::kXs, space::kXs);
      break;
    case CT_MenuItem:
      result += QSize(0, space::kXs);
      break;
    case CT_HeaderSection:
      result += QSize(space::kM, space::kS);
      break;
    default:
      return result;
  }
  return result.expandedTo(QSize(0, kHitTarget));
}

int QuietStyle::pixelMetric(PixelMetric metric, const QStyleOption* option,
                            const QWidget* widget) const {
  switch (metric) {
    case PM_ScrollBarExtent:
      return kScrollBar;
    case PM_SliderLength:
    case PM_SliderThickness:
    case PM_SliderControlThickness:
      return kHandle;
    case PM_ButtonShiftHorizontal:
    case PM_ButtonShiftVertical:
      return 0;
    case PM_IndicatorWidth:
    case PM_IndicatorHeight:
    case PM_ExclusiveIndicatorWidth:
    case PM_ExclusiveIndicatorHeight:
      return 18;
    default:
      return QProxyStyle::pixelMetric(metric, option, widget);
  }
}

int QuietStyle::styleHint(StyleHint hint, const QStyleOption* option, const QWidget* widget,
                          QStyleHintReturn* data) const {
  // A click on a slider's groove goes there, as people expect of a value (not of a scroll bar).
  if (hint == SH_Slider_AbsoluteSetButtons) return Qt::LeftButton;
  if (hint == SH_EtchDisabledText || hint == SH_DitherDisabledText) return 0;
  return QProxyStyle::styleHint(hint, option, widget, data);
}

}  // namespace haq::ui
