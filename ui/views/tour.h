// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>

namespace haq::ui {

class Studio;

/// Drives the program through all its pages on the demo model as a user would, checks what each
/// step has done, and saves a picture of the window (1280 x 720), light and dark, after each.
/// Prints one line per step. Returns 0 only if every step worked, else 1.
int runTour(Studio& studio, const QString& folder);

}  // namespace haq::ui
