// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/action_model.h"

#include <QAbstractItemModelTester>
#include <QAction>
#include <QGuiApplication>
#include <QTest>

using namespace haq::ui;

class ActionModelTest : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void lettersMustOccurInOrder() {
    QVERIFY(fuzzyScore(QStringLiteral("New conversation"), QStringLiteral("nc")).has_value());
    QVERIFY(fuzzyScore(QStringLiteral("New conversation"), QStringLiteral("NEW C")).has_value());
    QVERIFY(!fuzzyScore(QStringLiteral("New conversation"), QStringLiteral("cn w")).has_value());
    QVERIFY(!fuzzyScore(QStringLiteral("New"), QStringLiteral("news")).has_value());
    QCOMPARE(fuzzyScore(QStringLiteral("anything"), QString()), std::optional<int>(0));
    QVERIFY(*fuzzyScore(QStringLiteral("Regenerate the last answer"), QStringLiteral("ans")) >
            *fuzzyScore(QStringLiteral("System prompt and sampling"), QStringLiteral("ans")));
  }

  void wholeWordsBeatScatteredLetters() {
    const auto whole = fuzzyScore(QStringLiteral("Export as Markdown"), QStringLiteral("mark"));
    const auto scattered = fuzzyScore(QStringLiteral("Some far rank"), QStringLiteral("mark"));
    QVERIFY(whole && scattered);
    QVERIFY(*whole > *scattered);
  }

  void filterOrdersByFit() {
    QAction open(QStringLiteral("&Open a model folder…"), this);
    open.setShortcut(QKeySequence(Qt::CTRL | Qt::Key_O));
    QAction models(QStringLiteral("Models"), this);
    QAction off(QStringLiteral("Model that is off"), this);
    off.setEnabled(false);
    QAction nameless(QString(), this);
    ActionModel model;
    QAbstractItemModelTester tester(&model, QAbstractItemModelTester::FailureReportingMode::QtTest);
    for (QAction* action : {&open, &models, &off, &nameless})
      model.add(QStringLiteral("Window"), action);
    QCOMPARE(model.rowCount(), 2);
    QCOMPARE(model.index(0).data().toString(), QStringLiteral("Open a model folder"));
    QVERIFY(!model.index(0).data(ActionModel::kShortcut).toString().isEmpty());
    model.setFilter(QStringLiteral("models"));
    QCOMPARE(model.rowCount(), 1);
    QCOMPARE(model.action(0), &models);
    model.setFilter(QStringLiteral("window open"));
    QCOMPARE(model.action(0), &open);
    model.setFilter(QStringLiteral("zzz"));
    QCOMPARE(model.rowCount(), 0);
    QCOMPARE(model.action(0), nullptr);
    model.clear();
    QCOMPARE(model.rowCount(), 0);
  }

  void anActionThatGoesAwayIsNotShown() {
    ActionModel model;
    auto* action = new QAction(QStringLiteral("Short-lived"), this);
    model.add(QStringLiteral("Window"), action);
    delete action;
    QVERIFY(!model.index(0).data().isValid());
    model.setFilter({});
    QCOMPARE(model.rowCount(), 0);
  }
};

QTEST_MAIN(ActionModelTest)
#include "action_model_test.moc"
