// SPDX-License-Identifier: GPL-3.0-or-later
#include <QAbstractItemModelTester>
#include <QDir>
#include <QJsonArray>
#include <QJsonDocument>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>
#include <cmath>
#include <nlohmann/json.hpp>

#include "tests/ui/wizard/reports.h"
#include "ui/models/quantize_draft.h"
#include "ui/models/quantize_heatmap_model.h"
#include "ui/models/quantize_tables.h"
#include "ui/models/run_figures.h"
#include "ui/models/side_by_side.h"
#include "ui/models/time_left.h"

using namespace haq;
using namespace haq::ui;
using Measure = QuantizeHeatmapModel::Measure;

class QuantizeModelsTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void anOrderSurvivesJson() {
    QuantizeOrder order;
    order.source = QStringLiteral("/models/a b");
    order.sourceName = QStringLiteral("a b");
    order.target = QStringLiteral("/out");
    order.method = quant::Method::kGptq;
    order.rotate = quant::RotateMode::kOff;
    order.rotationSeeds = 5;
    order.expertsOnly = true;
    order.calibration = {QStringLiteral("/t/1.txt"), QStringLiteral("/t/2.jsonl")};
    order.tokens = 4096;
    order.sequenceLength = 128;
    order.seed = 7;
    order.measureQuality = false;
    order.evalText = QStringLiteral("/t/eval.txt");
    order.evalContext = 256;
    order.evalTokens = 2048;
    order.ablate = true;
    QVERIFY(orderFromJson(toJson(order)) == order);
  }

  void aDamagedOrderGetsDefaults() {
    QJsonObject json = toJson(QuantizeOrder{});
    json[QStringLiteral("tokens")] = -4;
    json[QStringLiteral("sequence_length")] = 3.5;
    json[QStringLiteral("method")] = QStringLiteral("magic");
    json[QStringLiteral("rotate")] = 12;
    json[QStringLiteral("calibration")] = QJsonArray{1, QStringLiteral("x"), QJsonValue()};
    json[QStringLiteral("rotation_seeds")] = 1e9;
    const QuantizeOrder read = orderFromJson(json);
    const QuantizeOrder standard;
    QCOMPARE(read.tokens, standard.tokens);
    QCOMPARE(read.sequenceLength, standard.sequenceLength);
    QCOMPARE(read.rotationSeeds, standard.rotationSeeds);
    QVERIFY(read.method == standard.method && read.rotate == standard.rotate);
    QCOMPARE(read.calibration, QStringList{QStringLiteral("x")});
  }

  void anOrderBecomesEngineOptions() {
    QuantizeOrder order;
    order.target = QStringLiteral("/out");
    order.calibration = QStringList{QStringLiteral("/t/1.txt")};
    order.seed = 3;
    order.ablate = true;
    const session::QuantizeJobOptions job = jobOptions(order, 2, quant::ResumeMode::kResume);
    QVERIFY(job.quantize.source.empty());
    QCOMPARE(job.quantize.target.string(), std::string("/out"));
    QCOMPARE(job.quantize.calibration.files.size(), std::size_t{1});
    QCOMPARE(job.quantize.calibration.seed, std::uint64_t{3});
    QCOMPARE(job.quantize.threads, 2);
    QVERIFY(job.quantize.resume == quant::ResumeMode::kResume && job.ablate);
  }

  void theCommandLineWritesTheSameOrder() {
    QuantizeOrder order;
    order.source = QStringLiteral("/models/a");
    order.target = QStringLiteral("/out");
    order.calibration = QStringList{QStringLiteral("/t/1.txt")};
    order.method = quant::Method::kSmoothQuant;
    order.tokens = 1024;
    order.evalContext = 128;
    order.ablate = true;
    const std::string text = session::quantize_options_json(jobOptions(order, 0)).dump();
    QVERIFY(orderFromJson(QJsonDocument::fromJson(QByteArray::fromStdString(text)).object()) ==
            order);
  }

  void aSuggestedFolderIsNew() {
    QTemporaryDir parent;
    const QString first =
        suggestedTarget(parent.path(), QStringLiteral("org/A model"), quant::Method::kHaq);
    QCOMPARE(first, parent.filePath(QStringLiteral("A-model-W8A8-haq")));
    QVERIFY(QDir().mkpath(first));
    QCOMPARE(suggestedTarget(parent.path(), QStringLiteral("org/A model"), quant::Method::kHaq),
             parent.filePath(QStringLiteral("A-model-W8A8-haq-2")));
  }

  void theDraftOutlivesTheProgram() {
    QTemporaryDir home;
    const QString file = home.filePath(QStringLiteral("settings.json"));
    {
      Settings settings(file);
      QuantizeDraft draft(settings);
      QVERIFY(!draft.begun());
      draft.begin();
      draft.change([](QuantizeOrder& order) { order.seed = 42; });
      draft.setStep(2);
    }
    Settings settings(file);
    QuantizeDraft draft(settings);
    QVERIFY(draft.begun());
    QCOMPARE(draft.order().seed, 42);
    QCOMPARE(draft.step(), 2);
  }

  void heatmapGrowsWithTheRun() {
    QuantizeHeatmapModel heatmap;
    const QAbstractItemModelTester tester(&heatmap,
                                          QAbstractItemModelTester::FailureReportingMode::QtTest);
    const quant::Report report = test::report();
    heatmap.add({report.modules.begin(), report.modules.begin() + 1});
    QCOMPARE(heatmap.rowCount(), 1);
    QCOMPARE(heatmap.columnCount(), 1);
    heatmap.add(report.modules);
    QCOMPARE(heatmap.rowCount(), 2);
    QCOMPARE(heatmap.columnCount(), 5);
    QCOMPARE(heatmap.known(), 10);
    QSignalSpy resets(&heatmap, &QAbstractItemModel::modelReset);
    QSignalSpy changes(&heatmap, &QAbstractItemModel::dataChanged);
    heatmap.add({report.modules.back()});
    QCOMPARE(resets.size(), 0);
    QCOMPARE(changes.size(), 1);
    const auto groups = heatmap.groups();
    QCOMPARE(groups.size(), std::size_t{3});
    QCOMPARE(groups[2].title, QStringLiteral("up"));
    QCOMPARE(groups[2].count, 3);
    QCOMPARE(heatmap.worst()->error_final, report.modules.back().error_final);
  }

  void heatmapMeasures() {
    QuantizeHeatmapModel heatmap;
    heatmap.add(test::report().modules);
    const QModelIndex first = heatmap.index(0, 0);
    QCOMPARE(*heatmap.value(first), 0.002);
    heatmap.setMeasure(Measure::kRtn);
    QCOMPARE(*heatmap.value(first), 0.008);
    heatmap.setMeasure(Measure::kGain);
    QCOMPARE(*heatmap.value(first), 0.25);
    QVERIFY(first.data(QuantizeHeatmapModel::kSentenceRole)
                .toString()
                .contains(QStringLiteral("layer 0, q")));
    heatmap.setDifference(test::report(), test::report(2));
    QVERIFY(std::abs(*heatmap.value(heatmap.index(1, 4)) - 1) < 1e-9);
    QCOMPARE(heatmap.index(1, 4).data().toString(), QStringLiteral("×2.00"));
  }

  void unknownCellsAreDashes() {
    QuantizeHeatmapModel heatmap;
    heatmap.add({test::module(1, model::Role::kQ, -1, 0.1)});
    QVERIFY(!heatmap.value(heatmap.index(0, 0)));
    QCOMPARE(heatmap.index(0, 0).data().toString(), QString(QChar(0x2013)));
    QVERIFY(!heatmap.index(0, 0).data(QuantizeHeatmapModel::kValueRole).isValid());
  }

  void layerErrorsAreMeans() {
    LayerErrorsModel model;
    const QAbstractItemModelTester tester(&model,
                                          QAbstractItemModelTester::FailureReportingMode::QtTest);
    const auto modules = test::report().modules;
    for (const auto& module : modules) model.add({module});
    QCOMPARE(model.rowCount(), 2);
    QVERIFY(std::abs(model.lines()[0].final - 0.004) < 1e-12);
    QVERIFY(std::abs(model.lines()[1].rtn - 0.036) < 1e-12);
    QCOMPARE(model.lines()[0].modules, 5);
  }

  void coverageNamesWeakExperts() {
    ExpertCoverageModel model;
    const QAbstractItemModelTester tester(&model,
                                          QAbstractItemModelTester::FailureReportingMode::QtTest);
    QVERIFY(model.warning().isEmpty());
    model.add({{0, 0, 1000}, {0, 1, 20}, {0, 2, 0}, {0, 3, 1000}});
    QVERIFY(model.verdict(0, 0) == ExpertCoverageModel::Verdict::kSeen);
    QVERIFY(model.verdict(0, 1) == ExpertCoverageModel::Verdict::kHardly);
    QVERIFY(model.verdict(0, 2) == ExpertCoverageModel::Verdict::kNever);
    QCOMPARE(model.weak(), 2);
    QVERIFY(model.warning().contains(QStringLiteral("2 of 4")));
    QVERIFY(model.index(0, 1).data(Qt::ToolTipRole).toString().contains(QStringLiteral("hardly")));
  }

  void moduleTableSortsByNumbers() {
    ModuleTableModel model;
    const QAbstractItemModelTester tester(&model,
                                          QAbstractItemModelTester::FailureReportingMode::QtTest);
    model.setModules(test::report().modules);
    const QModelIndex error = model.index(3, ModuleTableModel::kFinal);
    QCOMPARE(error.data(ModuleTableModel::kSortRole).toDouble(), 0.005);
    QVERIFY(error.data().toString().startsWith(QStringLiteral("0.500")));
  }

  void figuresTellLossAndInterval() {
    const quant::Report report = test::report();
    QVERIFY(runVerdict(report).contains(QStringLiteral("0.340")));
    FigureTableModel one;
    const QAbstractItemModelTester tester(&one,
                                          QAbstractItemModelTester::FailureReportingMode::QtTest);
    one.setReport(report);
    QCOMPARE(one.columnCount(), 2);
    one.setReports(report, test::report(2));
    QCOMPARE(one.columnCount(), 4);
    int compared = 0;
    for (int row = 0; row < one.rowCount(); ++row) {
      if (one.index(row, 0).data().toString() != QStringLiteral("KL divergence")) continue;
      QCOMPARE(one.index(row, 3).data().toString(), QStringLiteral("×2.00"));
      ++compared;
    }
    QCOMPARE(compared, 1);
    quant::Report unmeasured = report;
    unmeasured.quality.reset();
    QVERIFY(runVerdict(unmeasured).contains(QStringLiteral("not measured")));
    quant::Report lossless = report;
    lossless.quality->ppl_ratio_low = 0.999;
    QVERIFY(runVerdict(lossless).contains(QStringLiteral("No measurable loss")));
  }

  void ablationRows() {
    AblationTableModel model;
    const QAbstractItemModelTester tester(&model,
                                          QAbstractItemModelTester::FailureReportingMode::QtTest);
    model.setRows({{"rtn", *test::report(3).quality, 5}, {"haq", *test::report().quality, 9}});
    QCOMPARE(model.rowCount(), 2);
    QCOMPARE(model.index(1, 0).data().toString(), QStringLiteral("haq"));
  }

  void textsPartAtAWord() {
    QCOMPARE(firstDifference(QStringLiteral("one two three"), QStringLiteral("one two three")), -1);
    QCOMPARE(firstDifference(QStringLiteral("one two three"), QStringLiteral("one twig")), 4);
    QCOMPARE(firstDifference(QString(), QStringLiteral("x")), 0);
    QCOMPARE(firstDifference(QStringLiteral("a b"), QStringLiteral("a b c")), 2);
  }

  void timeLeftFollowsThePace() {
    TimeLeft left;
    QVERIFY(!left.left(0));
    left.add(0, 0);
    left.add(0.5, 0.01);
    QVERIFY(!left.left(0.5));
    left.add(10, 0.1);
    QVERIFY(std::abs(*left.left(10) - 90) < 1e-9);
    QVERIFY(std::abs(*left.left(20) - 80) < 1e-9);  // the clock runs while the share stands
    for (int second = 11; second <= 60; ++second) left.add(second, 0.1 + 0.018 * (second - 10));
    QVERIFY(*left.left(60) < 1e-6);  // done at the new pace
  }
};

QTEST_GUILESS_MAIN(QuantizeModelsTest)
#include "quantize_models_test.moc"
