// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QHash>
#include <QJsonObject>
#include <QObject>
#include <QStringList>
#include <QVariant>
#include <span>
#include <vector>

namespace haq::ui {

enum class SettingType { kBool, kInt, kReal, kChoice, kFolders };

struct SettingChoice {
  const char* value;
  const char* label;
};

/// One row of the settings table: everything the store and the page need to know about a key.
struct SettingSpec {
  const char* key;  ///< "chat.max_tokens"; the part before the dot is the section
  SettingType type;
  const char* title;
  const char* help;     ///< what it does and where it is used, one or two sentences
  double standard = 0;  ///< default of kBool (0, 1), kInt, kReal; index of the default choice
  double minimum = 0, maximum = 0, step = 1;
  const char* unit = "";
  std::vector<SettingChoice> choices = {};
  const char* special = "";  ///< text shown for the minimum, e.g. "automatic"
};

/// The user's settings: a table of keys with types, ranges and defaults over one JSON file that is
/// replaced atomically at every change. Values that do not fit the table are reported once and
/// reset key by key; a file that is no JSON is kept aside. GUI thread only.
class Settings : public QObject {
  Q_OBJECT
 public:
  /// Reads `file`; a missing file means defaults.
  explicit Settings(QString file, QObject* parent = nullptr);

  /// $XDG_CONFIG_HOME/haq-studio/settings.json.
  static QString standardFile();
  static std::span<const SettingSpec> specs();
  static const SettingSpec& spec(QLatin1String key);  ///< a key of the table

  QVariant value(const char* key) const;
  bool boolean(const char* key) const { return value(key).toBool(); }
  int integer(const char* key) const { return value(key).toInt(); }
  double real(const char* key) const { return value(key).toDouble(); }
  QString text(const char* key) const { return value(key).toString(); }
  QStringList list(const char* key) const { return value(key).toStringList(); }

  /// Stores a value. Returns an empty string, or what is wrong with it (nothing is stored then).
  QString setValue(const char* key, const QVariant& value);
  void reset(const char* key);
  void resetAll();
  bool isDefault(const char* key) const;
  static QVariant defaultValue(const SettingSpec& spec);

  /// Things the program remembers that are no settings: window geometry, last model, dismissed
  /// hints. Lost without harm.
  QVariant state(const QString& key) const;
  void setState(const QString& key, const QVariant& value);

  /// What was wrong with the file at start, one sentence each.
  const QStringList& problems() const { return m_problems; }
  const QString& file() const { return m_file; }
  /// Why the last change could not be written; empty when it was.
  const QString& saveError() const { return m_saveError; }

 Q_SIGNALS:
  void changed(const QString& key);
  void saveFailed(const QString& message);

 private:
  void load();
  void save();

  QString m_file;
  QHash<QString, QVariant> m_values;  ///< only those that differ from the default
  QJsonObject m_unknown;              ///< keys of a newer version, kept
  QJsonObject m_state;
  QStringList m_problems;
  QString m_saveError;
};

}  // namespace haq::ui
