// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shared/theme.h"

#include <QApplication>
#include <QFontMetricsF>
#include <QImage>
#include <QPainter>
#include <QSignalSpy>
#include <QTest>

#include "ui/shared/icons.h"
#include "ui/shared/install_theme.h"
#include "ui/shared/widgets.h"

using namespace haq::ui;

class ThemeTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void initTestCase() { installTheme(); }
  void cleanup() {
    Theme::instance().setMode(Theme::Mode::kSystem);
    Theme::instance().setFontScale(1);
  }

  void contrastFormulaIsThatOfWcag() {
    QCOMPARE(contrastRatio(Qt::black, Qt::white), 21.0);
    QCOMPARE(contrastRatio(Qt::red, Qt::red), 1.0);
    // #777777 on white, the well-known example just below 4.5.
    QVERIFY(std::abs(contrastRatio(QColor(0x77, 0x77, 0x77), Qt::white) - 4.478) < 0.001);
  }

  void textIsReadable_data() {
    QTest::addColumn<int>("text");
    QTest::addColumn<double>("least");
    QTest::newRow("text") << int(Role::kText) << 7.0;
    QTest::newRow("muted") << int(Role::kMuted) << 4.5;
    QTest::newRow("disabled") << int(Role::kDisabled) << 3.0;
    QTest::newRow("accent") << int(Role::kAccent) << 4.5;
    QTest::newRow("warning") << int(Role::kWarning) << 4.5;
    QTest::newRow("error") << int(Role::kError) << 4.5;
  }
  void textIsReadable() {
    QFETCH(int, text);
    QFETCH(double, least);
    for (const bool dark : {false, true}) {
      for (const Role base : {Role::kWindow, Role::kRaised, Role::kSunken}) {
        const double ratio = contrastRatio(Theme::tableColor(static_cast<Role>(text), dark),
                                           Theme::tableColor(base, dark));
        QVERIFY2(ratio >= least,
                 qPrintable(
                     QStringLiteral("%1 (dark %2, base %3)").arg(ratio).arg(dark).arg(int(base))));
      }
    }
  }

  void textOnTintsIsReadable() {
    for (const auto mode : {Theme::Mode::kLight, Theme::Mode::kDark}) {
      Theme& theme = Theme::instance();
      theme.setMode(mode);
      QVERIFY(contrastRatio(theme.color(Role::kText), theme.userCard()) >= 7);
      QVERIFY(contrastRatio(theme.color(Role::kAccentText), theme.color(Role::kAccent)) >= 4.5);
      QVERIFY(contrastRatio(theme.palette().color(QPalette::HighlightedText),
                            theme.palette().color(QPalette::Highlight)) >= 4.5);
    }
  }

  void aChangeReachesThePaletteAndIsToldOnce() {
    QSignalSpy changed(&Theme::instance(), &Theme::changed);
    Theme::instance().setMode(Theme::Mode::kDark);
    QCOMPARE(changed.size(), 1);
    QVERIFY(Theme::instance().isDark());
    QCOMPARE(QApplication::palette().color(QPalette::Window),
             Theme::tableColor(Role::kWindow, true));
    Theme::instance().setMode(Theme::Mode::kDark);
    QCOMPARE(changed.size(), 1);
    Theme::instance().setMode(Theme::Mode::kLight);
    QCOMPARE(QApplication::palette().color(QPalette::Base),
             Theme::tableColor(Role::kRaised, false));
  }

  void fontsKeepTheirDistances() {
    const Theme& theme = Theme::instance();
    const double body = theme.font(FontRole::kBody).pointSizeF();
    QCOMPARE(theme.font(FontRole::kSmall).pointSizeF(), body - 1);
    QCOMPARE(theme.font(FontRole::kHeading).pointSizeF(), body + 3);
    QCOMPARE(theme.font(FontRole::kHeading).weight(), QFont::DemiBold);
    Theme::instance().setFontScale(2);
    QCOMPARE(theme.font(FontRole::kBody).pointSizeF(), 2 * body);
    QCOMPARE(QApplication::font().pointSizeF(), 2 * body);
  }

  void digitsOfFiguresShareOneWidth() {
    const QFontMetricsF metrics(Theme::instance().font(FontRole::kFigures));
    for (char digit = '1'; digit <= '9'; ++digit) {
      QCOMPARE(metrics.horizontalAdvance(QLatin1Char(digit)),
               metrics.horizontalAdvance(QLatin1Char('0')));
    }
  }

  void labelsFollowTheTheme() {
    TextLabel label(QStringLiteral("x"), FontRole::kSmall, Role::kMuted);
    Theme::instance().setMode(Theme::Mode::kDark);
    QCOMPARE(label.palette().color(QPalette::WindowText), Theme::tableColor(Role::kMuted, true));
    Theme::instance().setMode(Theme::Mode::kLight);
    QCOMPARE(label.palette().color(QPalette::WindowText), Theme::tableColor(Role::kMuted, false));
  }

  void everyIconIsDrawnInsideItsGrid() {
    for (int i = 0; i < static_cast<int>(Icon::kCount); ++i) {
      const QRectF box = iconPath(static_cast<Icon>(i)).boundingRect();
      QVERIFY2(QRectF(0.75, 0.75, 14.5, 14.5).contains(box), qPrintable(QString::number(i)));
      QVERIFY(box.width() > 3 || box.height() > 3);
    }
  }

  void iconsTakeTheColourOfTheThemeAtPaintTime() {
    const QIcon stop = icon(Icon::kStop);
    Theme::instance().setMode(Theme::Mode::kLight);
    const QImage light = stop.pixmap(32).toImage();
    Theme::instance().setMode(Theme::Mode::kDark);
    const QImage dark = stop.pixmap(32).toImage();
    QVERIFY(light != dark);
  }
};

QTEST_MAIN(ThemeTest)
#include "theme_test.moc"
