// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QProxyStyle>

namespace haq::ui {

/// Fusion with flat surfaces: hairlines instead of gradients, rounded corners, one kind of focus
/// ring. Colours and sizes come from Theme.
///
/// A QPushButton with the dynamic property "primary" is filled with the accent.
class QuietStyle : public QProxyStyle {
  Q_OBJECT
 public:
  QuietStyle();

  void drawPrimitive(PrimitiveElement element, const QStyleOption* option, QPainter* painter,
                     const QWidget* widget) const override;
  void drawControl(ControlElement element, const QStyleOption* option, QPainter* painter,
                   const QWidget* widget) const override;
  void drawComplexControl(ComplexControl control, const QStyleOptionComplex* option,
                          QPainter* painter, const QWidget* widget) const override;
  QRect subControlRect(ComplexControl control, const QStyleOptionComplex* option,
                       SubControl subControl, const QWidget* widget) const override;
  QSize sizeFromContents(ContentsType type, const QStyleOption* option, const QSize& size,
                         const QWidget* widget) const override;
  int pixelMetric(PixelMetric metric, const QStyleOption* option,
                  const QWidget* widget) const override;
  int styleHint(StyleHint hint, const QStyleOption* option, const QWidget* widget,
                QStyleHintReturn* data) const override;
};

/// Fills a rounded rectangle with a hairline; colours that are invalid are left out.
void paintPanel(QPainter& painter, const QRectF& rect, const QColor& fill, const QColor& line,
                double radius);

/// The focus ring, inside `rect`.
void paintFocusRing(QPainter& painter, const QRectF& rect, double radius);

}  // namespace haq::ui
