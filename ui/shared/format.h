// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>
#include <optional>

/// Numbers as the whole program writes them: three significant figures, a thin space before the
/// unit, binary units for memory, SI for rates and counts, an en dash for what is not known.
namespace haq::ui::format {

inline constexpr QChar kThinSpace{0x2009};
/// Stands for a figure that is not known; never 0.
QString unknown();

/// Three significant figures without exponent: 0.0123, 1.23, 12.3, 123, 1230, 12300. NaN and
/// infinities are not known.
QString number(double value);
/// A whole number with thin spaces between groups of three: 17 460 480.
QString count(qint64 value);
/// "1 model", "12 models".
QString counted(qint64 value, const QString& one, const QString& many);
/// SI prefix on a count: 17.5 M, 999, 1.23 k.
QString compactCount(double value);
/// Memory: 512 B, 1.23 KiB, 33.3 MiB, 7.91 GiB; negative is not known.
QString bytes(double value);
/// A rate with SI prefix: 38.2 tok/s, 1.20 ktok/s, 12.0 GB/s.
QString rate(double perSecond, const QString& unit);
/// 340 µs, 90.0 ms, 1.23 s, 2 min 5 s, 3 h 4 min; negative is not known.
QString duration(double seconds);
/// A share in [0, 1] as 86.1 %.
QString percent(double share);

template <typename T, typename F>
QString orUnknown(const std::optional<T>& value, F&& write) {
  return value ? write(*value) : unknown();
}

}  // namespace haq::ui::format
