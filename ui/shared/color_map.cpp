// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shared/color_map.h"

#include <algorithm>
#include <array>
#include <cmath>

#include "ui/shared/theme.h"

namespace haq::ui {

namespace {

constexpr std::array<QRgb, 9> kViridis{0xFF440154, 0xFF472D7B, 0xFF3B528B, 0xFF2C728E, 0xFF21918C,
                                       0xFF28AE80, 0xFF5EC962, 0xFFADDC30, 0xFFFDE725};

}  // namespace

QColor quantityColor(double t, bool dark) {
  if (!std::isfinite(t)) return Theme::tableColor(Role::kSunken, dark);
  t = std::clamp(dark ? t : 1 - t, 0.0, 1.0);
  const double at = t * (kViridis.size() - 1);
  const auto left = std::min(static_cast<std::size_t>(at), kViridis.size() - 2);
  return blend(QColor(kViridis.at(left)), QColor(kViridis.at(left + 1)),
               at - static_cast<double>(left));
}

QColor differenceColor(double t, bool dark) {
  if (!std::isfinite(t)) return Theme::tableColor(Role::kSunken, dark);
  t = std::clamp(t, -1.0, 1.0);
  const QColor middle = blend(Theme::tableColor(Role::kRaised, dark),
                              Theme::tableColor(Role::kText, dark), dark ? 0.10 : 0.04);
  const Role end = t < 0 ? Role::kGpuLane : Role::kMiss;
  return blend(middle, Theme::tableColor(end, dark), std::abs(t));
}

}  // namespace haq::ui
