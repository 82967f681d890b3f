// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shared/format.h"

#include <array>
#include <cmath>

namespace haq::ui::format {

namespace {

constexpr int kFigures = 3;

QString withUnit(double value, const QString& unit) {
  return number(value) + kThinSpace + unit;
}

/// Divides by `base` until the three figures fit below it; 999.9 counts as 1000.
template <std::size_t N>
QString scaled(double value, double base, const std::array<const char*, N>& prefixes,
               const QString& unit) {
  std::size_t step = 0;
  while (step + 1 < N && std::abs(value) >= base * (1 - 0.5e-3)) {
    value /= base;
    ++step;
  }
  const QString name = QString::fromLatin1(prefixes.at(step)) + unit;
  return name.isEmpty() ? number(value) : withUnit(value, name);
}

}  // namespace

QString unknown() {
  return QString(QChar(0x2013));
}

QString number(double value) {
  if (!std::isfinite(value)) return unknown();
  if (value == 0) return QStringLiteral("0");
  // Round to three figures first, so that 9.996 becomes 10.0 and not 10.00.
  const int exponent = static_cast<int>(std::floor(std::log10(std::abs(value))));
  const double unit = std::pow(10.0, exponent - kFigures + 1);
  const double rounded = std::round(value / unit) * unit;
  const int digits = static_cast<int>(std::floor(std::log10(std::abs(rounded)) + 1e-12));
  return QString::number(rounded, 'f', std::max(0, kFigures - 1 - digits));
}

QString count(qint64 value) {
  QString digits = QString::number(value);
  const qsizetype first = value < 0 ? 1 : 0;
  for (qsizetype at = digits.size() - 3; at > first; at -= 3) digits.insert(at, kThinSpace);
  return digits;
}

QString counted(qint64 value, const QString& one, const QString& many) {
  return count(value) + QLatin1Char(' ') + (value == 1 ? one : many);
}

QString compactCount(double value) {
  if (!std::isfinite(value)) return unknown();
  if (std::abs(value) < 1000 && value == std::floor(value)) return QString::number(value, 'f', 0);
  return scaled(value, 1000, std::array{"", "k", "M", "G", "T"}, {});
}

QString bytes(double value) {
  if (!std::isfinite(value) || value < 0) return unknown();
  if (value < 1000 && value == std::floor(value)) {
    return QString::number(value, 'f', 0) + kThinSpace + QLatin1Char('B');
  }
  // 1000 MiB and more is shown as 0.98 GiB, so that a figure never has four digits.
  constexpr std::array kUnits{"B", "KiB", "MiB", "GiB", "TiB", "PiB"};
  std::size_t step = 0;
  while (step + 1 < kUnits.size() && value >= 999.5) {
    value /= 1024;
    ++step;
  }
  return withUnit(value, QString::fromLatin1(kUnits.at(step)));
}

QString rate(double perSecond, const QString& unit) {
  if (!std::isfinite(perSecond) || perSecond < 0) return unknown();
  return scaled(perSecond, 1000, std::array{"", "k", "M", "G", "T"}, unit + QStringLiteral("/s"));
}

QString duration(double seconds) {
  if (!std::isfinite(seconds) || seconds < 0) return unknown();
  if (seconds == 0) return QStringLiteral("0") + kThinSpace + QLatin1Char('s');
  if (seconds < 0.9995e-3) return withUnit(seconds * 1e6, QStringLiteral("µs"));
  if (seconds < 0.9995) return withUnit(seconds * 1e3, QStringLiteral("ms"));
  if (seconds < 99.95) return withUnit(seconds, QStringLiteral("s"));
  const auto whole = static_cast<qint64>(std::llround(seconds));
  const auto two = [](qint64 big, const char* bigUnit, qint64 small, const char* smallUnit) {
    return QString::number(big) + kThinSpace + QLatin1String(bigUnit) + QLatin1Char(' ') +
           QString::number(small) + kThinSpace + QLatin1String(smallUnit);
  };
  if (whole < 3600) return two(whole / 60, "min", whole % 60, "s");
  return two(whole / 3600, "h", whole / 60 % 60, "min");
}

QString percent(double share) {
  if (!std::isfinite(share)) return unknown();
  return withUnit(share * 100, QStringLiteral("%"));
}

}  // namespace haq::ui::format
