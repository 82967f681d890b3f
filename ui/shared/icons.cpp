// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shared/icons.h"

#include <QIconEngine>
#include <QPainter>
#include <QPixmap>
#include <array>
#include <sstream>
#include <string>

namespace haq::ui {

namespace {

constexpr double kGrid = 16;
constexpr double kStroke = 1.5;

/// Outlines in a small path language on the 16 x 16 grid: M x y, L x y, C x1 y1 x2 y2 x y, Z,
/// O cx cy r (circle), R x y w h r (rounded rectangle).
constexpr std::array<const char*, static_cast<std::size_t>(Icon::kCount)> kOutlines{{
    // chat: a speech bubble with two lines
    "M 4.5 2.5 L 11.5 2.5 C 13 2.5 14 3.5 14 5 L 14 8.5 C 14 10 13 11 11.5 11 L 7 11 L 4 13.8 "
    "L 4 11 C 2.7 10.8 2 9.9 2 8.5 L 2 5 C 2 3.5 3 2.5 4.5 2.5 Z M 5 5.6 L 11 5.6 M 5 8 L 9 8",
    // models: a stack of layers
    "M 8 2 L 14 5 L 8 8 L 2 5 Z M 2.3 8 L 8 10.9 L 13.7 8 M 2.3 11 L 8 13.9 L 13.7 11",
    // settings: two slider lines
    "M 2 5 L 8.2 5 M 12 5 L 14 5 O 10.1 5 1.9 M 2 11 L 4 11 M 7.8 11 L 14 11 O 5.9 11 1.9",
    // send
    "M 8 13.5 L 8 3 M 3.6 7.2 L 8 2.8 L 12.4 7.2",
    // stop
    "R 4 4 8 8 1.4",
    // plus
    "M 8 3 L 8 13 M 3 8 L 13 8",
    // close
    "M 4 4 L 12 12 M 12 4 L 4 12",
    // search
    "O 7 7 4.5 M 10.3 10.3 L 14 14",
    // copy
    "R 5.5 5.5 8 8 1.5 M 3.4 10.5 C 2.8 10.4 2.5 10 2.5 9.4 L 2.5 4 C 2.5 3.1 3.1 2.5 4 2.5 "
    "L 9.4 2.5 C 10 2.5 10.4 2.8 10.5 3.4",
    // check
    "M 3 8.6 L 6.5 12 L 13 4.5",
    // edit
    "M 3 13 L 3.6 10.2 L 10.8 3 C 11.4 2.4 12.2 2.4 12.7 3 L 13 3.3 C 13.6 3.8 13.6 4.6 13 5.2 "
    "L 5.8 12.4 Z M 9.6 4.4 L 11.7 6.5",
    // regenerate
    "M 13 8 C 13 10.8 10.8 13 8 13 C 5.2 13 3 10.8 3 8 C 3 5.2 5.2 3 8 3 C 9.8 3 11.3 3.9 12.2 5.2 "
    "M 12.6 2.2 L 12.4 5.4 L 9.2 5.2",
    // continue
    "M 3 4 L 3 12 L 9 8 Z M 12.5 4 L 12.5 12",
    // branch
    "O 4.5 3.8 1.6 O 4.5 12.2 1.6 O 11.5 5.5 1.6 M 4.5 5.5 L 4.5 10.5 "
    "M 11.5 7.2 C 11.5 9.6 9 8.6 6.8 9.2 C 5.4 9.6 4.6 10 4.5 10.5",
    // chevrons: left, right, up, down
    "M 10 3.5 L 5.5 8 L 10 12.5",
    "M 6 3.5 L 10.5 8 L 6 12.5",
    "M 3.5 10 L 8 5.5 L 12.5 10",
    "M 3.5 6 L 8 10.5 L 12.5 6",
    // folder
    "M 2 4.5 C 2 3.7 2.5 3.2 3.3 3.2 L 6.2 3.2 L 7.8 5 L 12.7 5 C 13.5 5 14 5.5 14 6.3 L 14 11.5 "
    "C 14 12.3 13.5 12.8 12.7 12.8 L 3.3 12.8 C 2.5 12.8 2 12.3 2 11.5 Z",
    // trash
    "M 2.5 4.5 L 13.5 4.5 M 6 4.3 L 6 3 C 6 2.6 6.3 2.3 6.7 2.3 L 9.3 2.3 C 9.7 2.3 10 2.6 10 3 "
    "L 10 4.3 M 4 4.6 L 4.6 12.4 C 4.7 13.2 5.1 13.6 5.8 13.6 L 10.2 13.6 C 10.9 13.6 11.3 13.2 "
    "11.4 12.4 L 12 4.6 M 6.7 7.2 L 6.7 11 M 9.3 7.2 L 9.3 11",
    // export
    "M 8 10 L 8 2.4 M 4.8 5.4 L 8 2.2 L 11.2 5.4 M 3 9.5 L 3 12 C 3 12.8 3.6 13.4 4.4 13.4 "
    "L 11.6 13.4 C 12.4 13.4 13 12.8 13 12 L 13 9.5",
    // warning
    "M 8 2.5 L 14.3 13.3 L 1.7 13.3 Z M 8 6.4 L 8 9.5 M 8 11.2 L 8 11.4",
    // error
    "O 8 8 6 M 8 4.8 L 8 8.6 M 8 10.9 L 8 11.1",
    // info
    "O 8 8 6 M 8 7.4 L 8 11.2 M 8 4.9 L 8 5.1",
    // sliders: three vertical
    "M 3.5 2.5 L 3.5 7.4 M 3.5 11 L 3.5 13.5 O 3.5 9.2 1.6 M 8 2.5 L 8 3.6 M 8 7 L 8 13.5 "
    "O 8 5.3 1.6 M 12.5 2.5 L 12.5 8 M 12.5 11.5 L 12.5 13.5 O 12.5 9.8 1.6",
    // more
    "O 3.2 8 0.6 O 8 8 0.6 O 12.8 8 0.6",
    // sun
    "O 8 8 2.8 M 8 1.6 L 8 2.8 M 8 13.2 L 8 14.4 M 1.6 8 L 2.8 8 M 13.2 8 L 14.4 8 "
    "M 3.5 3.5 L 4.3 4.3 M 11.7 11.7 L 12.5 12.5 M 12.5 3.5 L 11.7 4.3 M 4.3 11.7 L 3.5 12.5",
    // moon
    "M 13.3 9.6 C 12.6 9.9 11.8 10 11 10 C 8.2 10 6 7.8 6 5 C 6 4.2 6.2 3.4 6.5 2.7 "
    "C 4.2 3.3 2.5 5.4 2.5 7.9 C 2.5 11 5 13.5 8.1 13.5 C 10.6 13.5 12.7 11.9 13.3 9.6 Z",
    // keyboard
    "R 1.8 4 12.4 8 1.5 M 4.5 6.8 L 4.7 6.8 M 7.9 6.8 L 8.1 6.8 M 11.3 6.8 L 11.5 6.8 "
    "M 5 9.4 L 11 9.4",
    // undo
    "M 3 6.5 L 10 6.5 C 12 6.5 13.4 7.9 13.4 9.8 C 13.4 11.7 12 13 10 13 L 7 13 "
    "M 6 3.2 L 2.8 6.5 L 6 9.8",
    // chip: a processor
    "R 4.2 4.2 7.6 7.6 1.2 M 6.3 2 L 6.3 4 M 9.7 2 L 9.7 4 M 6.3 12 L 6.3 14 M 9.7 12 L 9.7 14 "
    "M 2 6.3 L 4 6.3 M 2 9.7 L 4 9.7 M 12 6.3 L 14 6.3 M 12 9.7 L 14 9.7",
    // drop: an arrow into a tray
    "M 8 2.2 L 8 9.6 M 4.8 6.6 L 8 9.8 L 11.2 6.6 M 3 10.5 L 3 12.2 C 3 13 3.6 13.5 4.4 13.5 "
    "L 11.6 13.5 C 12.4 13.5 13 13 13 12.2 L 13 10.5",
    // spark
    "M 8 2 C 8.3 5.6 10.4 7.7 14 8 C 10.4 8.3 8.3 10.4 8 14 C 7.7 10.4 5.6 8.3 2 8 "
    "C 5.6 7.7 7.7 5.6 8 2 Z",
    // queue
    "M 2.5 4 L 13.5 4 M 2.5 8 L 13.5 8 M 2.5 12 L 8.5 12",
    // quantize: a curve made of steps
    "M 2 13.2 L 5 13.2 L 5 9.8 L 8 9.8 L 8 6.2 L 11 6.2 L 11 2.8 L 14 2.8 M 2.4 9.6 L 9.4 2.6",
}};

QPainterPath parse(const std::string& outline) {
  QPainterPath path;
  std::istringstream stream(outline);
  std::string op;
  const auto next = [&stream] {
    double value = 0;
    stream >> value;
    return value;
  };
  const auto point = [&next] {
    const double x = next();
    return QPointF(x, next());
  };
  while (stream >> op) {
    switch (op.front()) {
      case 'M':
        path.moveTo(point());
        break;
      case 'L':
        path.lineTo(point());
        break;
      case 'C': {
        const QPointF first = point();
        const QPointF second = point();
        path.cubicTo(first, second, point());
        break;
      }
      case 'O': {
        const QPointF center = point();
        const double radius = next();
        path.addEllipse(center, radius, radius);
        break;
      }
      case 'R': {
        const QPointF corner = point();
        const QPointF size = point();
        const double radius = next();
        path.addRoundedRect(QRectF(corner, QSizeF(size.x(), size.y())), radius, radius);
        break;
      }
      default:
        path.closeSubpath();
    }
  }
  return path;
}

class DrawnIcon : public QIconEngine {
 public:
  DrawnIcon(Icon icon, Role role) : m_icon(icon), m_role(role) {}

  void paint(QPainter* painter, const QRect& rect, QIcon::Mode mode, QIcon::State) override {
    const Role role = mode == QIcon::Disabled   ? Role::kDisabled
                      : mode == QIcon::Selected ? Role::kAccentText
                                                : m_role;
    paintIcon(*painter, m_icon, rect, Theme::instance().color(role));
  }

  QPixmap pixmap(const QSize& size, QIcon::Mode mode, QIcon::State state) override {
    QPixmap pixmap(size);
    pixmap.fill(Qt::transparent);
    QPainter painter(&pixmap);
    paint(&painter, pixmap.rect(), mode, state);
    return pixmap;
  }

  QIconEngine* clone() const override { return new DrawnIcon(*this); }

 private:
  Icon m_icon;
  Role m_role;
};

}  // namespace

QPainterPath iconPath(Icon icon) {
  static const auto paths = [] {
    std::array<QPainterPath, kOutlines.size()> all;
    for (std::size_t i = 0; i < all.size(); ++i) all[i] = parse(kOutlines.at(i));
    return all;
  }();
  return paths.at(static_cast<std::size_t>(icon));
}

void paintIcon(QPainter& painter, Icon icon, const QRectF& square, const QColor& color) {
  const double side = std::min(square.width(), square.height());
  painter.save();
  painter.setRenderHint(QPainter::Antialiasing);
  painter.translate(square.center() - QPointF(side / 2, side / 2));
  painter.scale(side / kGrid, side / kGrid);
  painter.setPen(QPen(color, kStroke, Qt::SolidLine, Qt::RoundCap, Qt::RoundJoin));
  painter.setBrush(Qt::NoBrush);
  painter.drawPath(iconPath(icon));
  painter.restore();
}

QIcon icon(Icon icon, Role role) {
  return QIcon(new DrawnIcon(icon, role));
}

QPixmap applicationPixmap(int side) {
  // A grid of experts of which one path is lit: the subject of the program.
  QPixmap pixmap(side, side);
  pixmap.fill(Qt::transparent);
  QPainter painter(&pixmap);
  painter.setRenderHint(QPainter::Antialiasing);
  painter.scale(side / 64.0, side / 64.0);
  painter.setPen(Qt::NoPen);
  painter.setBrush(Theme::tableColor(Role::kWindow, true));
  painter.drawRoundedRect(QRectF(2, 2, 60, 60), 14, 14);
  constexpr std::array kLit{1, 3, 2, 0};
  for (int row = 0; row < 4; ++row) {
    for (int column = 0; column < 4; ++column) {
      const bool lit = kLit.at(static_cast<std::size_t>(row)) == column;
      painter.setBrush(lit ? Theme::tableColor(Role::kAccent, true)
                           : blend(Theme::tableColor(Role::kWindow, true),
                                   Theme::tableColor(Role::kText, true), 0.18));
      painter.drawRoundedRect(QRectF(11 + 11 * column, 11 + 11 * row, 9, 9), 2.5, 2.5);
    }
  }
  return pixmap;
}

QIcon applicationIcon() {
  QIcon icon;
  for (const int side : {16, 24, 32, 48, 64, 128, 256}) icon.addPixmap(applicationPixmap(side));
  return icon;
}

}  // namespace haq::ui
