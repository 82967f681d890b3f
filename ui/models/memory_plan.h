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

  qint64 total() const;
  /// Bytes missing; 0 when it fits or nobody knows.
  qint64 missing() const;
  /// One sentence with the figures.
  QString verdict() const;
};

MemoryPlan planMemory(const model::MemoryEstimate& estimate, qint64 context, qint64 reserve,
                      qint64 available);

}  // namespace haq::ui
