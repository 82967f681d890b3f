// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>
#include <vector>

#include "engine/model/checkpoint.h"
#include "ui/shared/theme.h"

namespace haq::ui {

/// One named part of the memory a model needs.
struct MemoryTerm {
  QString name;
  QString help;
  qint64 bytes = 0;
  Role color = Role::kAccent;
};

/// What a model needs against what is there.
struct MemoryPlan {
  std::vector<MemoryTerm> terms;  ///< weights, packed copies, KV cache, buffers, reserve
  qint64 available = -1;          ///< of the system, -1 when it does not say
  /// Of the total: what the system may drop and read again (weights used in place) or what is only
  /// made while there is room (packed copies).
  qint64 optional = 0;

  qint64 total() const;
  /// Bytes missing; 0 when it fits or nobody knows.
  qint64 missing() const;
  /// It does not fit and runs all the same, reading weights from the disk.
  bool runsFromDisk() const;
  /// One sentence with the figures.
  QString verdict() const;
};

/// `inPlace`: of the weights, see session::weights_in_place().
MemoryPlan planMemory(const model::MemoryEstimate& estimate, qint64 context, qint64 reserve,
                      qint64 available, qint64 inPlace = 0);

}  // namespace haq::ui
