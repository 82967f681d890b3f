// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractItemModel>

namespace haq::ui {

/// A model's display texts with its headers, one line per row, columns parted by tabs: what
/// spreadsheets paste.
QString tableText(const QAbstractItemModel& model);

/// Puts tableText() on the clipboard.
void copyTable(const QAbstractItemModel& model);

}  // namespace haq::ui
