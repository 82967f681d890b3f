// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shared/format.h"

#include <QTest>
#include <cmath>
#include <limits>

using namespace haq::ui;

class FormatTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void numbersHaveThreeFigures_data() {
    QTest::addColumn<double>("value");
    QTest::addColumn<QString>("text");
    QTest::newRow("zero") << 0.0 << "0";
    QTest::newRow("one") << 1.0 << "1.00";
    QTest::newRow("round up to the next power") << 9.996 << "10.0";
    QTest::newRow("hundreds") << 123.4 << "123";
    QTest::newRow("thousands keep three figures") << 12345.0 << "12300";
    QTest::newRow("small") << 0.012345 << "0.0123";
    QTest::newRow("negative") << -1.2345 << "-1.23";
    QTest::newRow("not a number") << std::nan("") << "–";
    QTest::newRow("infinite") << std::numeric_limits<double>::infinity() << "–";
  }
  void numbersHaveThreeFigures() {
    QFETCH(double, value);
    QFETCH(QString, text);
    QCOMPARE(format::number(value), text);
  }

  void everyNumberKeepsItsValueWithinHalfAPermille() {
    for (double value = 1.234e-4; value < 1e9; value *= 1.37) {
      const double back = format::number(value).toDouble();
      QVERIFY2(std::abs(back - value) <= value * 5.01e-3, qPrintable(format::number(value)));
    }
  }

  void memoryIsBinary_data() {
    QTest::addColumn<double>("bytes");
    QTest::addColumn<QString>("text");
    QTest::newRow("none") << 0.0 << "0\u2009B";
    QTest::newRow("bytes") << 512.0 << "512\u2009B";
    QTest::newRow("kib") << 1024.0 << "1.00\u2009KiB";
    QTest::newRow("never four digits") << 1023.0 * 1024 << "0.999\u2009MiB";
    QTest::newRow("model") << 34961640.0 << "33.3\u2009MiB";
    QTest::newRow("gib") << 8.5 * 1024 * 1024 * 1024 << "8.50\u2009GiB";
    QTest::newRow("not known") << -1.0 << "–";
  }
  void memoryIsBinary() {
    QFETCH(double, bytes);
    QFETCH(QString, text);
    QCOMPARE(format::bytes(bytes), text);
  }

  void ratesAreDecimal() {
    QCOMPARE(format::rate(38.2, "tok"), QStringLiteral("38.2\u2009tok/s"));
    QCOMPARE(format::rate(1204, "tok"), QStringLiteral("1.20\u2009ktok/s"));
    QCOMPARE(format::rate(12e9, "B"), QStringLiteral("12.0\u2009GB/s"));
    QCOMPARE(format::rate(-1, "tok"), QStringLiteral("–"));
  }

  void durations_data() {
    QTest::addColumn<double>("seconds");
    QTest::addColumn<QString>("text");
    QTest::newRow("zero") << 0.0 << "0\u2009s";
    QTest::newRow("micro") << 340e-6 << "340\u2009µs";
    QTest::newRow("milli") << 0.09 << "90.0\u2009ms";
    QTest::newRow("rounds into seconds") << 0.99996 << "1.00\u2009s";
    QTest::newRow("seconds") << 12.34 << "12.3\u2009s";
    QTest::newRow("minutes") << 125.0 << "2\u2009min 5\u2009s";
    QTest::newRow("hours") << 11045.0 << "3\u2009h 4\u2009min";
    QTest::newRow("not known") << -1.0 << "–";
  }
  void durations() {
    QFETCH(double, seconds);
    QFETCH(QString, text);
    QCOMPARE(format::duration(seconds), text);
  }

  void counts() {
    QCOMPARE(format::count(17460480), QStringLiteral("17\u2009460\u2009480"));
    QCOMPARE(format::count(-1234), QStringLiteral("-1\u2009234"));
    QCOMPARE(format::count(999), QStringLiteral("999"));
    QCOMPARE(format::compactCount(17460480), QStringLiteral("17.5\u2009M"));
    QCOMPARE(format::compactCount(12), QStringLiteral("12"));
    QCOMPARE(format::counted(1, "model", "models"), QStringLiteral("1 model"));
    QCOMPARE(format::counted(0, "model", "models"), QStringLiteral("0 models"));
    QCOMPARE(format::percent(0.861), QStringLiteral("86.1\u2009%"));
  }
};

QTEST_GUILESS_MAIN(FormatTest)
#include "format_test.moc"
