// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/settings.h"

#include <QDir>
#include <QFile>
#include <QFileInfo>
#include <QJsonArray>
#include <QJsonDocument>
#include <QSaveFile>
#include <QStandardPaths>
#include <algorithm>
#include <cmath>

namespace haq::ui {

namespace {

constexpr qint64 kMaxFileBytes = 4 << 20;
constexpr qsizetype kMaxFolders = 1000;

/// Checks a value against its row and brings it into the row's type. Returns what is wrong, or an
/// empty string.
QString conform(const SettingSpec& spec, QVariant& value) {
  const auto outOfRange = [&] {
    return QStringLiteral("must be between %1 and %2").arg(spec.minimum).arg(spec.maximum);
  };
  switch (spec.type) {
    case SettingType::kBool:
      if (value.typeId() != QMetaType::Bool) return QStringLiteral("must be true or false");
      return {};
    case SettingType::kInt:
    case SettingType::kReal: {
      bool isNumber = value.typeId() != QMetaType::Bool && value.typeId() != QMetaType::QString;
      const double number = isNumber ? value.toDouble(&isNumber) : 0;
      if (!isNumber || !std::isfinite(number)) return QStringLiteral("must be a number");
      if (number < spec.minimum || number > spec.maximum) return outOfRange();
      if (spec.type == SettingType::kReal) {
        value = number;
      } else if (number != std::floor(number)) {
        return QStringLiteral("must be a whole number");
      } else {
        value = static_cast<int>(number);
      }
      return {};
    }
    case SettingType::kChoice: {
      QStringList allowed;
      for (const SettingChoice& choice : spec.choices) {
        allowed << QString::fromLatin1(choice.value);
      }
      if (value.typeId() == QMetaType::QString && allowed.contains(value.toString())) return {};
      return QStringLiteral("must be one of %1").arg(allowed.join(QStringLiteral(", ")));
    }
    case SettingType::kFolders: {
      if (!value.canConvert<QStringList>() || value.typeId() == QMetaType::QString) {
        return QStringLiteral("must be a list of folders");
      }
      QStringList folders;
      for (const QVariant& entry : value.toList()) {
        const QString folder = QDir::cleanPath(entry.toString());
        if (entry.typeId() != QMetaType::QString || !QDir::isAbsolutePath(folder)) {
          return QStringLiteral("must be a list of absolute folders");
        }
        if (!folders.contains(folder)) folders << folder;
      }
      if (folders.size() > kMaxFolders) return QStringLiteral("has too many folders");
      value = folders;
      return {};
    }
  }
  return {};
}

QString quoted(const QJsonValue& value) {
  QJsonArray holder;
  holder.append(value);
  QString text = QString::fromUtf8(QJsonDocument(holder).toJson(QJsonDocument::Compact));
  text = text.mid(1, text.size() - 2);
  return text.size() > 40 ? text.left(40) + QChar(0x2026) : text;
}

}  // namespace

Settings::Settings(QString file, QObject* parent) : QObject(parent), m_file(std::move(file)) {
  load();
}

QString Settings::standardFile() {
  return QStandardPaths::writableLocation(QStandardPaths::GenericConfigLocation) +
         QStringLiteral("/haq-studio/settings.json");
}

const SettingSpec& Settings::spec(QLatin1String key) {
  const auto table = specs();
  const auto found = std::find_if(table.begin(), table.end(), [key](const SettingSpec& row) {
    return QLatin1String(row.key) == key;
  });
  if (found == table.end()) qFatal("no setting is called %s", key.data());
  return *found;
}

QVariant Settings::defaultValue(const SettingSpec& spec) {
  switch (spec.type) {
    case SettingType::kBool:
      return spec.standard != 0;
    case SettingType::kInt:
      return static_cast<int>(spec.standard);
    case SettingType::kReal:
      return spec.standard;
    case SettingType::kChoice:
      return QString::fromLatin1(spec.choices.at(static_cast<std::size_t>(spec.standard)).value);
    case SettingType::kFolders:
      return QStringList();
  }
  return {};
}

QVariant Settings::value(const char* key) const {
  const SettingSpec& row = spec(QLatin1String(key));
  const auto found = m_values.constFind(QString::fromLatin1(key));
  return found == m_values.constEnd() ? defaultValue(row) : *found;
}

QString Settings::setValue(const char* key, const QVariant& value) {
  const SettingSpec& row = spec(QLatin1String(key));
  QVariant fitting = value;
  const QString problem = conform(row, fitting);
  if (!problem.isEmpty()) return problem;
  if (fitting == this->value(key)) return {};
  if (fitting == defaultValue(row)) {
    m_values.remove(QString::fromLatin1(key));
  } else {
    m_values.insert(QString::fromLatin1(key), fitting);
  }
  save();
  Q_EMIT changed(QString::fromLatin1(key));
  return {};
}

void Settings::reset(const char* key) {
  setValue(key, defaultValue(spec(QLatin1String(key))));
}

void Settings::resetAll() {
  for (const SettingSpec& row : specs()) reset(row.key);
}

bool Settings::isDefault(const char* key) const {
  return !m_values.contains(QString::fromLatin1(key));
}

QVariant Settings::state(const QString& key) const {
  return m_state.value(key).toVariant();
}

void Settings::setState(const QString& key, const QVariant& value) {
  const QJsonValue json = QJsonValue::fromVariant(value);
  if (m_state.value(key) == json) return;
  m_state.insert(key, json);
  save();
}

void Settings::load() {
  QFile file(m_file);
  if (!file.exists()) return;
  if (!file.open(QIODevice::ReadOnly)) {
    m_problems << QStringLiteral("%1 cannot be read (%2); defaults are used.")
                      .arg(m_file, file.errorString());
    return;
  }
  QJsonParseError error;
  const QByteArray bytes = file.read(kMaxFileBytes + 1);
  const QJsonDocument document = QJsonDocument::fromJson(bytes, &error);
  if (bytes.size() > kMaxFileBytes || !document.isObject()) {
    const QString aside = m_file + QStringLiteral(".damaged");
    QFile::remove(aside);
    const bool kept = QFile::copy(m_file, aside);
    m_problems << QStringLiteral("%1 is not a settings file (%2); defaults are used%3.")
                      .arg(m_file,
                           error.error == QJsonParseError::NoError
                               ? QStringLiteral("no JSON object")
                               : error.errorString(),
                           kept ? QStringLiteral(", the old file is kept as ") + aside : QString());
    return;
  }
  m_state = document.object().value(QLatin1String("state")).toObject();
  const QJsonObject values = document.object().value(QLatin1String("settings")).toObject();
  for (auto entry = values.begin(); entry != values.end(); ++entry) {
    const auto table = specs();
    const auto row = std::find_if(table.begin(), table.end(), [&](const SettingSpec& candidate) {
      return QLatin1String(candidate.key) == entry.key();
    });
    if (row == table.end()) {
      m_unknown.insert(entry.key(), entry.value());
      continue;
    }
    QVariant value = entry.value().toVariant();
    const QString problem = conform(*row, value);
    if (problem.isEmpty()) {
      if (value != defaultValue(*row)) m_values.insert(entry.key(), value);
    } else {
      m_problems << QStringLiteral("%1 was %2, but %3; it is reset.")
                        .arg(QString::fromLatin1(row->title), quoted(entry.value()), problem);
    }
  }
}

void Settings::save() {
  QJsonObject values = m_unknown;
  for (auto entry = m_values.constBegin(); entry != m_values.constEnd(); ++entry) {
    values.insert(entry.key(), QJsonValue::fromVariant(entry.value()));
  }
  const QJsonObject root{{QStringLiteral("settings"), values}, {QStringLiteral("state"), m_state}};
  QDir().mkpath(QFileInfo(m_file).absolutePath());
  QSaveFile file(m_file);
  const bool written = file.open(QIODevice::WriteOnly) &&
                       file.write(QJsonDocument(root).toJson()) >= 0 && file.commit();
  m_saveError =
      written
          ? QString()
          : QStringLiteral("Settings cannot be written to %1: %2.").arg(m_file, file.errorString());
  if (!written) Q_EMIT saveFailed(m_saveError);
}

}  // namespace haq::ui
