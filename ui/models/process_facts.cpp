// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/process_facts.h"

#include <QByteArray>
#include <QFile>

namespace haq::ui {

namespace {

/// A line "Name:   123 kB" of a file below /proc.
std::optional<qint64> procField(const char* path, const char* name) {
  QFile file(QString::fromLatin1(path));
  if (!file.open(QIODevice::ReadOnly)) return std::nullopt;
  for (const QByteArray& line : file.readAll().split('\n')) {
    if (!line.startsWith(name)) continue;
    const QByteArray rest = line.mid(line.indexOf(':') + 1).trimmed();
    bool ok = false;
    const qint64 kib = rest.left(rest.indexOf(' ')).toLongLong(&ok);
    if (ok) return kib * 1024;
  }
  return std::nullopt;
}

}  // namespace

std::optional<qint64> residentBytes() {
  return procField("/proc/self/status", "VmRSS:");
}

std::optional<qint64> availableBytes() {
  return procField("/proc/meminfo", "MemAvailable:");
}

}  // namespace haq::ui
