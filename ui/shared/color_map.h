// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QColor>

namespace haq::ui {

/// Colour of a quantity, t in [0, 1]: the viridis map (S. van der Walt, N. Smith, CC0), monotone in
/// lightness and safe for colour-blind eyes; low values lie near the page's own lightness, so in
/// the light theme it runs the other way.
QColor quantityColor(double t, bool dark);

/// Colour of a difference, t in [-1, 1]: blue below, orange above, the surface's own colour at 0.
QColor differenceColor(double t, bool dark);

}  // namespace haq::ui
