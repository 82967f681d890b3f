// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QtGlobal>
#include <optional>

namespace haq::ui {

/// Resident memory of this process in bytes.
std::optional<qint64> residentBytes();
/// Memory that programs can still get without swapping (MemAvailable), in bytes.
std::optional<qint64> availableBytes();

}  // namespace haq::ui
