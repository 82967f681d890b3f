// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QWidget>

#include "ui/models/settings.h"

namespace haq::ui {

/// The control of one setting, made from its row of the table: check box, spin box, choice or list
/// of folders. Reads and writes the store; follows changes made elsewhere.
QWidget* makeSettingControl(Settings& settings, const SettingSpec& spec, QWidget* parent);

}  // namespace haq::ui
