// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/memory_plan.h"

#include <QCoreApplication>
#include <algorithm>
#include <numeric>

#include "ui/shared/format.h"

namespace haq::ui {

namespace {
QString tr(const char* text) {
  return QCoreApplication::translate("MemoryPlan", text);
}
}  // namespace

qint64 MemoryPlan::total() const {
  return std::accumulate(terms.begin(), terms.end(), qint64{0},
                         [](qint64 sum, const MemoryTerm& term) { return sum + term.bytes; });
}

qint64 MemoryPlan::missing() const {
  return available < 0 ? 0 : std::max<qint64>(0, total() - available);
}

bool MemoryPlan::runsFromDisk() const {
  return missing() > 0 && missing() <= optional;
}

QString MemoryPlan::verdict() const {
  const QString need = format::bytes(static_cast<double>(total()));
  if (available < 0) return tr("Needs %1.").arg(need);
  const QString there = format::bytes(static_cast<double>(available));
  if (runsFromDisk()) {
    return tr("Larger than the memory: needs %1 of %2. It runs, more slowly: what does not stay in "
              "memory is read from the disk again.")
        .arg(need, there);
  }
  if (missing() > 0) {
    return tr("Does not fit: needs %1 of %2, %3 too much.")
        .arg(need, there, format::bytes(static_cast<double>(missing())));
  }
  return tr("Fits: needs %1 of %2.").arg(need, there);
}

MemoryPlan planMemory(const model::MemoryEstimate& estimate, qint64 context, qint64 reserve,
                      qint64 available, qint64 inPlace) {
  MemoryPlan plan;
  plan.available = available;
  plan.optional = inPlace > 0 ? inPlace + estimate.packed : 0;
  plan.terms = {
      {tr("Weights"), tr("Mapped from the file, shared with its cached copy"), estimate.weights,
       Role::kGpuLane},
      {tr("Packed copies"), tr("Upper bound of the copies made for speed"), estimate.packed,
       Role::kHit},
      {tr("KV cache"), tr("Keys and values of %1 tokens").arg(format::count(context)),
       estimate.kv_cache, Role::kCpuLane},
      {tr("Buffers"), tr("Activations of one prompt chunk"), estimate.buffers, Role::kLink},
      {tr("Reserve"), tr("Kept free for other programs"), reserve, Role::kDisabled},
  };
  return plan;
}

}  // namespace haq::ui
