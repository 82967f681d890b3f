// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QIcon>
#include <QPainterPath>

#include "ui/shared/theme.h"

namespace haq::ui {

/// The drawn icon set.
enum class Icon {
  kChat,
  kModels,
  kSettings,
  kSend,
  kStop,
  kPlus,
  kClose,
  kSearch,
  kCopy,
  kCheck,
  kEdit,
  kRegenerate,
  kContinue,
  kBranch,
  kChevronLeft,
  kChevronRight,
  kChevronUp,
  kChevronDown,
  kFolder,
  kTrash,
  kExport,
  kWarning,
  kError,
  kInfo,
  kSliders,
  kMore,
  kSun,
  kMoon,
  kKeyboard,
  kUndo,
  kChip,
  kDrop,
  kSpark,
  kQueue,
  kQuantize,
  kCount,
};

/// Outline of an icon on a grid of 16 x 16 units, drawn with strokes of 1.5.
QPainterPath iconPath(Icon icon);

/// Draws an icon into a square.
void paintIcon(QPainter& painter, Icon icon, const QRectF& square, const QColor& color);

/// A QIcon that is drawn at paint time in the theme's colours: sharp at every scale factor, right
/// after a change of theme. `role` tints the enabled state.
QIcon icon(Icon icon, Role role = Role::kText);

/// The program's own icon (window, desktop entry), at any size.
QIcon applicationIcon();
QPixmap applicationPixmap(int side);

}  // namespace haq::ui
