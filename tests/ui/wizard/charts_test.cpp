// SPDX-License-Identifier: GPL-3.0-or-later
#include <QClipboard>
#include <QGuiApplication>
#include <QSet>
#include <QSignalSpy>
#include <QTest>
#include <cmath>

#include "tests/ui/wizard/reports.h"
#include "ui/shared/chart_frame.h"
#include "ui/shared/color_map.h"
#include "ui/shared/data_table.h"
#include "ui/shared/heatmap_view.h"
#include "ui/shared/install_theme.h"
#include "ui/shared/line_plot.h"
#include "ui/shared/table_text.h"
#include "ui/wizard/coverage_view.h"
#include "ui/wizard/run_step.h"

using namespace haq;
using namespace haq::ui;

namespace {

/// How many colours a picture holds, coarsely.
int colors(const QImage& image) {
  QSet<QRgb> seen;
  for (int y = 0; y < image.height(); y += 2) {
    for (int x = 0; x < image.width(); x += 2) seen.insert(image.pixel(x, y) & 0xF0F0F0);
  }
  return static_cast<int>(seen.size());
}

}  // namespace

class ChartsTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void initTestCase() { installTheme(); }
  void init() { Theme::instance().setMode(Theme::Mode::kLight); }

  void quantityIsMonotoneInLightness() {
    for (const bool dark : {false, true}) {
      const int base = qGray(Theme::tableColor(Role::kRaised, dark).rgb());
      // The low end is nearer to the page than the high end.
      QVERIFY(std::abs(qGray(quantityColor(0, dark).rgb()) - base) <
              std::abs(qGray(quantityColor(1, dark).rgb()) - base));
      for (int i = 1; i <= 16; ++i) {
        const int luma = qGray(quantityColor(i / 16.0, dark).rgb());
        const int last = qGray(quantityColor((i - 1) / 16.0, dark).rgb());
        QVERIFY(dark ? luma > last : luma < last);
      }
    }
    QVERIFY(differenceColor(-1, false) != differenceColor(1, false));
  }

  void heatmapIsDrawnReadAndWalked() {
    QuantizeHeatmapModel model;
    model.add(test::report().modules);
    HeatmapView view;
    showErrors(view, model);
    view.resize(500, 200);
    view.show();
    view.setFocus();
    QVERIFY(colors(view.grab().toImage()) > 8);
    QTest::keyClick(&view, Qt::Key_Right);
    QTest::keyClick(&view, Qt::Key_Down);
    QCOMPARE(view.cursorCell(), QPoint(1, 1));
    QVERIFY(view.accessibleDescription().contains(QStringLiteral("layer 1, o")));
    QTest::keyClick(&view, Qt::Key_End);
    QTest::keyClick(&view, Qt::Key_Right);
    QCOMPARE(view.cursorCell(), QPoint(4, 1));
    QTest::keyClick(&view, Qt::Key_C, Qt::ControlModifier);
    const QString copied = QGuiApplication::clipboard()->text();
    QCOMPARE(copied.count(QLatin1Char('\n')), 3);
    QVERIFY(copied.contains(QStringLiteral("up 2")));
    QSignalSpy activated(&view, &HeatmapView::cellActivated);
    QTest::mouseClick(&view, Qt::LeftButton, {}, QPoint(60, 30));
    QCOMPARE(activated.size(), 1);
  }

  void aHugeHeatmapKeepsItsPeaks() {
    QuantizeHeatmapModel model;
    std::vector<quant::ModuleReport> modules;
    for (int layer = 0; layer < 48; ++layer) {
      for (int expert = 0; expert < 128; ++expert) {
        for (const model::Role role : {model::Role::kGate, model::Role::kUp, model::Role::kDown}) {
          modules.push_back(test::module(layer, role, expert, 0.001 * (1 + expert)));
        }
      }
    }
    model.add(modules);
    QCOMPARE(model.columnCount(), 384);
    HeatmapView view;
    showErrors(view, model);
    view.resize(900, 400);
    QVERIFY(colors(view.grab().toImage()) > 20);
  }

  void aChartHasATableTwin() {
    QuantizeHeatmapModel model;
    model.add(test::report().modules);
    auto* view = new HeatmapView;
    showErrors(*view, model);
    ChartFrame frame(QStringLiteral("Error"), view, &model);
    frame.resize(500, 240);
    frame.show();
    QVERIFY(!frame.tableShown() && !frame.table().isVisible());
    QTest::mouseClick(&frame.tableButton(), Qt::LeftButton);
    QVERIFY(frame.tableShown() && frame.table().isVisible());
    QCOMPARE(frame.table().model()->rowCount(), 2);
    QCOMPARE(view->accessibleName(), QStringLiteral("Error"));
  }

  void curvesFollowTheTheme() {
    LayerErrorsModel model;
    model.add(test::report().modules);
    LinePlot plot;
    plot.setFormatY([](double value) { return QString::number(value); });
    showCurves(plot, model, 2);
    plot.resize(400, 220);
    plot.show();
    const auto ground = [&plot] {
      QTest::qWait(50);
      return plot.grab().toImage().pixelColor(2, 218);
    };
    QCOMPARE(ground(), Theme::tableColor(Role::kRaised, false));
    QVERIFY(colors(plot.grab().toImage()) > 3);
    Theme::instance().setMode(Theme::Mode::kDark);
    QCOMPARE(ground(), Theme::tableColor(Role::kRaised, true));
  }

  void coverageIsWalkedByKeys() {
    ExpertCoverageModel model;
    CoverageView view(&model);
    view.resize(400, 160);
    view.show();
    model.add({{0, 0, 1000}, {0, 1, 5}, {0, 2, 0}, {1, 0, 10}, {1, 1, 10}, {1, 2, 10}});
    view.setFocus();
    QTest::keyClick(&view, Qt::Key_Right);
    QVERIFY(view.accessibleDescription().contains(QStringLiteral("hardly seen")));
    QTest::keyClick(&view, Qt::Key_Right);
    QVERIFY(view.accessibleDescription().contains(QStringLiteral("never")));
    QTest::keyClick(&view, Qt::Key_Down);
    QVERIFY(view.accessibleDescription().contains(QStringLiteral("layer 1")));
    QVERIFY(colors(view.grab().toImage()) > 3);
  }

  void tablesCopyAsText() {
    LayerErrorsModel model;
    model.add(test::report().modules);
    DataTable table(QStringLiteral("Errors"));
    table.setModel(&model);
    QTest::keyClick(&table, Qt::Key_C, Qt::ControlModifier);
    const QStringList lines =
        QGuiApplication::clipboard()->text().trimmed().split(QLatin1Char('\n'));
    QCOMPARE(lines.size(), 3);
    QCOMPARE(lines[0].split(QLatin1Char('\t')).size(), 5);
    QCOMPARE(tableText(model).count(QLatin1Char('\n')), 3);
  }
};

QTEST_MAIN(ChartsTest)
#include "charts_test.moc"
