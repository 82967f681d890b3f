// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shared/theme.h"

#include <QEvent>
#include <QFontDatabase>
#include <QFontMetricsF>
#include <QGuiApplication>
#include <array>
#include <cmath>

namespace haq::ui {

namespace {

struct Pair {
  QRgb light;
  QRgb dark;
};

constexpr std::array<Pair, static_cast<std::size_t>(Role::kCount)> kColors{{
    {0xFFF7F7F5, 0xFF1B1D1F},  // window
    {0xFFFFFFFF, 0xFF24272A},  // raised
    {0xFFEEEEEA, 0xFF141618},  // sunken
    {0xFF1D1F21, 0xFFE8E6E3},  // text
    {0xFF5B6166, 0xFFA3A9AE},  // muted
    {0xFF7E848A, 0xFF6B7176},  // disabled
    {0xFF0B6E99, 0xFF5CB8E6},  // accent
    {0xFFFFFFFF, 0xFF10212B},  // text on accent
    {0xFF0072B2, 0xFF56B4E9},  // GPU lane
    {0xFFB86E00, 0xFFE69F00},  // CPU lane
    {0xFFA6558A, 0xFFCC79A7},  // link
    {0xFF00805F, 0xFF2BC59A},  // hit
    {0xFFC24A00, 0xFFFF7A33},  // miss
    {0xFF2F6FB3, 0xFF6AA9E9},  // plan stage 1
    {0xFF5E8431, 0xFFA9CF7A},  // plan stage 2
    {0xFF8F6BC2, 0xFFB99AE6},  // plan by hand
    {0xFF8A6100, 0xFFF2C14E},  // warning
    {0xFFB3261E, 0xFFFF8A80},  // error
}};

// WCAG 2.1, "relative luminance".
double luminance(const QColor& color) {
  const auto channel = [](double c) {
    return c <= 0.04045 ? c / 12.92 : std::pow((c + 0.055) / 1.055, 2.4);
  };
  return 0.2126 * channel(color.redF()) + 0.7152 * channel(color.greenF()) +
         0.0722 * channel(color.blueF());
}

bool digitsShareWidth(const QFont& font) {
  const QFontMetricsF metrics(font);
  const double width = metrics.horizontalAdvance(QLatin1Char('0'));
  for (char digit = '1'; digit <= '9'; ++digit) {
    if (std::abs(metrics.horizontalAdvance(QLatin1Char(digit)) - width) > 0.01) return false;
  }
  return true;
}

}  // namespace

double contrastRatio(const QColor& a, const QColor& b) {
  const double la = luminance(a);
  const double lb = luminance(b);
  return (std::max(la, lb) + 0.05) / (std::min(la, lb) + 0.05);
}

QColor blend(const QColor& base, const QColor& top, double opacity) {
  const auto mix = [opacity](double from, double to) {
    return static_cast<float>(from + (to - from) * opacity);
  };
  return QColor::fromRgbF(mix(base.redF(), top.redF()), mix(base.greenF(), top.greenF()),
                          mix(base.blueF(), top.blueF()));
}

Theme& Theme::instance() {
  static Theme theme;
  return theme;
}

QColor Theme::tableColor(Role role, bool dark) {
  const Pair& pair = kColors.at(static_cast<std::size_t>(role));
  return QColor::fromRgb(dark ? pair.dark : pair.light);
}

void Theme::install() {
  m_systemFont = QGuiApplication::font();
  m_systemDark = systemIsDark();
  m_installed = true;
  qApp->installEventFilter(this);
  apply();
}

void Theme::setMode(Mode mode) {
  if (mode == m_mode) return;
  m_mode = mode;
  apply();
}

void Theme::setFontScale(double scale) {
  scale = std::clamp(scale, 0.5, 3.0);
  if (qFuzzyCompare(scale, m_fontScale)) return;
  m_fontScale = scale;
  apply();
}

QColor Theme::hairline(Role base) const {
  return blend(color(base), color(Role::kText), kHairlineOpacity);
}

QColor Theme::userCard() const {
  return tint(Role::kAccent, Role::kWindow, m_dark ? 0.16 : 0.10);
}

QColor Theme::tint(Role role, Role base, double opacity) const {
  return blend(color(base), color(role), opacity);
}

QFont Theme::font(FontRole role) const {
  QFont font = m_systemFont;
  const double body =
      (m_systemFont.pointSizeF() > 0 ? m_systemFont.pointSizeF() : 10) * m_fontScale;
  font.setPointSizeF(body);
  switch (role) {
    case FontRole::kBody:
      break;
    case FontRole::kSmall:
      font.setPointSizeF(std::max(body - m_fontScale, 6.0));
      break;
    case FontRole::kHeading:
      font.setPointSizeF(body + 3 * m_fontScale);
      font.setWeight(QFont::DemiBold);
      break;
    case FontRole::kStrong:
      font.setWeight(QFont::DemiBold);
      break;
    case FontRole::kFigures:
      if (digitsShareWidth(font)) break;
      [[fallthrough]];
    case FontRole::kMono:
      font = QFontDatabase::systemFont(QFontDatabase::FixedFont);
      font.setPointSizeF(body);
      break;
  }
  return font;
}

QPalette Theme::palette() const {
  const QColor window = color(Role::kWindow);
  const QColor raised = color(Role::kRaised);
  const QColor text = color(Role::kText);
  const QColor button = m_dark ? blend(raised, text, 0.06) : raised;
  QPalette palette(text, button, blend(button, Qt::white, m_dark ? 0.15 : 1.0),
                   blend(button, Qt::black, 0.5), blend(button, Qt::black, 0.25), text, text,
                   raised, window);
  palette.setColor(QPalette::Midlight, blend(button, Qt::white, m_dark ? 0.08 : 0.5));
  palette.setColor(QPalette::Shadow, blend(window, Qt::black, 0.6));
  palette.setColor(QPalette::AlternateBase, blend(raised, text, 0.03));
  palette.setColor(QPalette::Highlight, color(Role::kAccent));
  palette.setColor(QPalette::HighlightedText, color(Role::kAccentText));
  palette.setColor(QPalette::Link, color(Role::kAccent));
  palette.setColor(QPalette::LinkVisited, color(Role::kAccent));
  palette.setColor(QPalette::PlaceholderText, color(Role::kMuted));
  palette.setColor(QPalette::ToolTipBase, raised);
  palette.setColor(QPalette::ToolTipText, text);
  for (const auto role : {QPalette::WindowText, QPalette::Text, QPalette::ButtonText}) {
    palette.setColor(QPalette::Disabled, role, color(Role::kDisabled));
  }
  palette.setColor(QPalette::Disabled, QPalette::Highlight, hairline());
  palette.setColor(QPalette::Disabled, QPalette::HighlightedText, color(Role::kDisabled));
  return palette;
}

bool Theme::eventFilter(QObject* watched, QEvent* event) {
  // Qt 6.4 has no signal for the system's colour scheme; the theme change event of a window is
  // the one trace of it.
  if (event->type() == QEvent::ThemeChange && watched->isWindowType()) {
    QGuiApplication::setPalette(QPalette());
    m_systemDark = systemIsDark();
    apply();
  }
  return QObject::eventFilter(watched, event);
}

bool Theme::systemIsDark() const {
  const QPalette system = QGuiApplication::palette();
  return system.color(QPalette::Window).lightnessF() <
         system.color(QPalette::WindowText).lightnessF();
}

void Theme::apply() {
  m_dark = m_mode == Mode::kDark || (m_mode == Mode::kSystem && m_systemDark);
  if (!m_installed) return;
  QGuiApplication::setPalette(palette());
  Q_EMIT changed();
}

}  // namespace haq::ui
