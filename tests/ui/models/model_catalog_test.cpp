// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/model_catalog.h"

#include <QAbstractItemModelTester>
#include <QSignalSpy>
#include <QTemporaryDir>
#include <QTest>

#include "engine/base/file.h"
#include "tests/support/paths.h"
#include "ui/models/memory_plan.h"

using namespace haq::ui;

class ModelCatalogTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void listsTheDemoModelTheFoldersAndWhatCannotBeLoaded() {
    QTemporaryDir home;
    QVERIFY(QDir(home.path()).mkpath(QStringLiteral("models/broken")));
    const std::string broken = home.filePath(QStringLiteral("models/broken")).toStdString();
    haq::write_file_atomically(broken + "/config.json", "{\"model_type\": \"no_such_model\"}");
    haq::write_file_atomically(broken + "/model.safetensors", "not one");
    Settings settings(home.filePath(QStringLiteral("settings.json")));
    ModelCatalog catalog(settings);
    QAbstractItemModelTester tester(&catalog,
                                    QAbstractItemModelTester::FailureReportingMode::QtTest);
    QSignalSpy finished(&catalog, &ModelCatalog::scanFinished);
    catalog.addFolder(home.filePath(QStringLiteral("models")));
    catalog.addFolder(QString::fromStdString(haq::test::golden_dir().string()) +
                      QStringLiteral("/models"));
    QVERIFY(catalog.scanning());
    QTRY_VERIFY_WITH_TIMEOUT(!catalog.scanning(), 60'000);
    QVERIFY(catalog.rowCount() > 3);
    QCOMPARE(catalog.columnCount(), int(ModelCatalog::kColumns));

    const ModelEntry* demo = catalog.entry(catalog.rowOf({}));
    QVERIFY(demo != nullptr && demo->isDemo);
    QCOMPARE(demo->shape(), QStringLiteral("6L×16E top-2"));
    QVERIFY(demo->problem.isEmpty());
    QVERIFY(demo->neededBytes > demo->diskBytes);

    const int row = catalog.rowOf(home.filePath(QStringLiteral("models/broken")));
    QVERIFY(row >= 0);
    QVERIFY(!catalog.entry(row)->problem.isEmpty());
    QCOMPARE(catalog.index(row, ModelCatalog::kFits).data(ModelCatalog::kFitsRole).toBool(), false);
    QCOMPARE(catalog.index(row, ModelCatalog::kShape).data().toString(), QStringLiteral("–"));

    const int llama =
        catalog.rowOf(QString::fromStdString((haq::test::golden_dir() / "models/llama").string()));
    QVERIFY(llama >= 0);
    QCOMPARE(catalog.index(llama, ModelCatalog::kFamily).data().toString(),
             QStringLiteral("llama"));

    catalog.removeFolder(home.filePath(QStringLiteral("models")));
    QTRY_VERIFY_WITH_TIMEOUT(!catalog.scanning(), 60'000);
    QCOMPARE(catalog.rowOf(home.filePath(QStringLiteral("models/broken"))), -1);
  }

  void opensAModelAndAnswersOnlyTheLatestQuestion() {
    QTemporaryDir home;
    Settings settings(home.filePath(QStringLiteral("settings.json")));
    ModelCatalog catalog(settings);
    QSignalSpy opened(&catalog, &ModelCatalog::opened);
    QSignalSpy failed(&catalog, &ModelCatalog::openFailed);
    catalog.open(QStringLiteral("/no/such/folder"));
    QVERIFY(failed.wait());
    QVERIFY(!failed[0][1].toString().isEmpty());
    catalog.open(QStringLiteral("/no/such/folder"));
    catalog.open({});
    QVERIFY(opened.wait());
    QCOMPARE(failed.size(), 1);
    QCOMPARE(opened[0][0].toString(), QString());
  }

  void memoryPlanNamesEveryTerm() {
    haq::model::MemoryEstimate estimate;
    estimate.weights = 100;
    estimate.packed = 20;
    estimate.kv_cache = 30;
    estimate.buffers = 5;
    const MemoryPlan fits = planMemory(estimate, 4096, 45, 200);
    QCOMPARE(fits.terms.size(), std::size_t{5});
    QCOMPARE(fits.total(), 200);
    QCOMPARE(fits.missing(), 0);
    QVERIFY(fits.verdict().startsWith(QStringLiteral("Fits")));
    const MemoryPlan large = planMemory(estimate, 4096, 46, 200);
    QCOMPARE(large.missing(), 1);
    QVERIFY(large.verdict().startsWith(QStringLiteral("Does not fit")));
    QVERIFY(!large.runsFromDisk());
    const MemoryPlan fromDisk = planMemory(estimate, 4096, 46, 200, estimate.weights);
    QVERIFY(fromDisk.runsFromDisk());
    QVERIFY(fromDisk.verdict().startsWith(QStringLiteral("Larger than the memory")));
    const MemoryPlan unknown = planMemory(estimate, 4096, 46, -1);
    QCOMPARE(unknown.missing(), 0);
    QVERIFY(unknown.verdict().startsWith(QStringLiteral("Needs")));
  }
};

QTEST_GUILESS_MAIN(ModelCatalogTest)
#include "model_catalog_test.moc"
