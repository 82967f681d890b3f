// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/settings.h"

#include <QFile>
#include <QJsonDocument>
#include <QSet>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

using namespace haq::ui;

class SettingsTest : public QObject {
  Q_OBJECT

 private:
  QTemporaryDir m_folder;
  int m_count = 0;

  QString freshFile() {
    return m_folder.filePath(QStringLiteral("%1/settings.json").arg(m_count++));
  }
  QString fileWith(const QByteArray& text) {
    const QString name = m_folder.filePath(QStringLiteral("settings-%1.json").arg(m_count++));
    QFile file(name);
    if (!file.open(QIODevice::WriteOnly)) return {};
    file.write(text);
    return name;
  }
  /// A value other than the default that the row allows.
  static QVariant otherValue(const SettingSpec& spec) {
    switch (spec.type) {
      case SettingType::kBool:
        return spec.standard == 0;
      case SettingType::kInt:
        return static_cast<int>(spec.standard == spec.maximum ? spec.minimum : spec.maximum);
      case SettingType::kReal:
        return spec.standard == spec.maximum ? spec.minimum : spec.maximum;
      case SettingType::kChoice:
        return QString::fromLatin1(spec.choices.back().value);
      case SettingType::kFolders:
        return QStringList{QStringLiteral("/a"), QStringLiteral("/b c")};
    }
    return {};
  }

 private Q_SLOTS:
  void theTableIsConsistent() {
    QSet<QString> keys;
    for (const SettingSpec& spec : Settings::specs()) {
      QVERIFY2(!keys.contains(QString::fromLatin1(spec.key)), spec.key);
      keys.insert(QString::fromLatin1(spec.key));
      QVERIFY(QString::fromLatin1(spec.key).contains(QLatin1Char('.')));
      QVERIFY(*spec.title != '\0' && *spec.help != '\0');
      if (spec.type == SettingType::kInt || spec.type == SettingType::kReal) {
        QVERIFY2(spec.minimum <= spec.standard && spec.standard <= spec.maximum, spec.key);
        QVERIFY(spec.step > 0);
      }
      if (spec.type == SettingType::kChoice) QVERIFY(spec.choices.size() >= 2);
    }
  }

  void everyKeySurvivesARoundTrip() {
    const QString file = freshFile();
    {
      Settings settings(file);
      for (const SettingSpec& spec : Settings::specs()) {
        QVERIFY(settings.isDefault(spec.key));
        QCOMPARE(settings.setValue(spec.key, otherValue(spec)), QString());
      }
      settings.setState(QStringLiteral("a.b"), 7);
    }
    Settings again(file);
    QVERIFY(again.problems().isEmpty());
    for (const SettingSpec& spec : Settings::specs()) {
      QCOMPARE(again.value(spec.key), otherValue(spec));
      again.reset(spec.key);
      QCOMPARE(again.value(spec.key), Settings::defaultValue(spec));
    }
    QCOMPARE(again.state(QStringLiteral("a.b")).toInt(), 7);
  }

  void valuesOutsideTheTableAreRefused() {
    Settings settings(freshFile());
    QSignalSpy changed(&settings, &Settings::changed);
    QVERIFY(!settings.setValue("chat.max_tokens", 0).isEmpty());
    QVERIFY(!settings.setValue("chat.max_tokens", 1e9).isEmpty());
    QVERIFY(!settings.setValue("chat.max_tokens", 1.5).isEmpty());
    QVERIFY(!settings.setValue("chat.max_tokens", QStringLiteral("12")).isEmpty());
    QVERIFY(!settings.setValue("sampling.top_p", std::nan("")).isEmpty());
    QVERIFY(!settings.setValue("appearance.theme", QStringLiteral("pink")).isEmpty());
    QVERIFY(
        !settings.setValue("models.folders", QStringList{QStringLiteral("relative")}).isEmpty());
    QVERIFY(!settings.setValue("models.load_last", 1).isEmpty());
    QCOMPARE(changed.size(), 0);
    QCOMPARE(settings.integer("chat.max_tokens"), 512);
  }

  void aChangeIsToldOnceAndOnlyWhenItIsOne() {
    Settings settings(freshFile());
    QSignalSpy changed(&settings, &Settings::changed);
    settings.setValue("chat.max_tokens", 512);
    QCOMPARE(changed.size(), 0);
    settings.setValue("chat.max_tokens", 100);
    QCOMPARE(changed.size(), 1);
    QCOMPARE(changed.at(0).at(0).toString(), QStringLiteral("chat.max_tokens"));
  }

  void badValuesAreReportedAndResetKeyByKey() {
    Settings settings(
        fileWith("{\"settings\": {\"chat.max_tokens\": -5, \"appearance.theme\": \"dark\","
                 "\"sampling.top_p\": \"high\", \"future.key\": [1, 2]}}"));
    QCOMPARE(settings.problems().size(), 2);
    QVERIFY(settings.problems().join(' ').contains(QStringLiteral("Longest answer")));
    QVERIFY(settings.problems().join(' ').contains(QStringLiteral("-5")));
    QCOMPARE(settings.integer("chat.max_tokens"), 512);
    QCOMPARE(settings.text("appearance.theme"), QStringLiteral("dark"));
    settings.setValue("chat.max_tokens", 64);
    QFile file(settings.file());
    QVERIFY(file.open(QIODevice::ReadOnly));
    const QByteArray text = file.readAll();
    QVERIFY2(text.contains("future.key"), "a newer version's key is kept");
  }

  void aFileThatIsNoSettingsFileIsKeptAside_data() {
    QTest::addColumn<QByteArray>("text");
    QTest::newRow("garbage") << QByteArray("\x00\xff{{{", 6);
    QTest::newRow("array") << QByteArray("[1, 2]");
    QTest::newRow("cut off") << QByteArray("{\"settings\": {\"chat.max");
    QTest::newRow("empty") << QByteArray();
    QTest::newRow("deep") << QByteArray(5000, '[');
    QTest::newRow("huge") << QByteArray(5 << 20, ' ');
  }
  void aFileThatIsNoSettingsFileIsKeptAside() {
    QFETCH(QByteArray, text);
    const QString name = fileWith(text);
    Settings settings(name);
    QCOMPARE(settings.problems().size(), 1);
    settings.setValue("chat.max_tokens", 64);
    QFile aside(name + QStringLiteral(".damaged"));
    QVERIFY(aside.open(QIODevice::ReadOnly));
    QCOMPARE(aside.readAll(), text);
    QCOMPARE(Settings(name).integer("chat.max_tokens"), 64);
  }

  void sectionsOfWrongTypeAreHarmless() {
    Settings settings(fileWith("{\"settings\": 3, \"state\": \"x\"}"));
    QCOMPARE(settings.integer("chat.max_tokens"), 512);
    QVERIFY(!settings.state(QStringLiteral("x")).isValid() ||
            settings.state(QStringLiteral("x")).isNull());
  }

  void aFolderThatCannotBeWrittenIsTold() {
    const QString blocker = fileWith("x");
    Settings settings(blocker + QStringLiteral("/settings.json"));
    QSignalSpy failed(&settings, &Settings::saveFailed);
    QCOMPARE(settings.setValue("chat.max_tokens", 64), QString());
    QCOMPARE(failed.size(), 1);
    QCOMPARE(settings.integer("chat.max_tokens"), 64);
    QVERIFY(settings.saveError().contains(blocker));
  }
};

QTEST_GUILESS_MAIN(SettingsTest)
#include "settings_test.moc"
