// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

namespace haq::ui {

/// Gives the application its style and the theme's palette and font. Call once, right after the
/// QApplication is made.
void installTheme();

}  // namespace haq::ui
