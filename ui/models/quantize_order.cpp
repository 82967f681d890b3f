// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/models/quantize_order.h"

#include <QCoreApplication>
#include <QFileInfo>
#include <QJsonArray>
#include <QRegularExpression>
#include <cmath>

namespace haq::ui {

namespace {

constexpr int kMaxFiles = 1000;

QString tr(const char* text) {
  return QCoreApplication::translate("QuantizeOrder", text);
}

int bounded(const QJsonValue& value, int low, int high, int standard) {
  const double number = value.toDouble(standard);
  return number >= low && number <= high && number == std::floor(number) ? static_cast<int>(number)
                                                                         : standard;
}

template <typename Value, typename Name>
Value choice(const QJsonValue& value, std::initializer_list<Value> all, Value standard,
             const Name& name) {
  for (const Value candidate : all) {
    if (value.toString() == QLatin1String(name(candidate))) return candidate;
  }
  return standard;
}

}  // namespace

QJsonObject toJson(const QuantizeOrder& order) {
  return {{QStringLiteral("source"), order.source},
          {QStringLiteral("source_name"), order.sourceName},
          {QStringLiteral("target"), order.target},
          {QStringLiteral("method"), QLatin1String(to_string(order.method))},
          {QStringLiteral("rotate"), QLatin1String(to_string(order.rotate))},
          {QStringLiteral("rotation_seeds"), order.rotationSeeds},
          {QStringLiteral("experts_only"), order.expertsOnly},
          {QStringLiteral("calibration"), QJsonArray::fromStringList(order.calibration)},
          {QStringLiteral("tokens"), order.tokens},
          {QStringLiteral("sequence_length"), order.sequenceLength},
          {QStringLiteral("seed"), order.seed},
          {QStringLiteral("measure_quality"), order.measureQuality},
          {QStringLiteral("eval_text"), order.evalText},
          {QStringLiteral("eval_context"), order.evalContext},
          {QStringLiteral("eval_tokens"), order.evalTokens},
          {QStringLiteral("ablate"), order.ablate}};
}

QuantizeOrder orderFromJson(const QJsonObject& json) {
  using quant::Method;
  using quant::RotateMode;
  const QuantizeOrder standard;
  QuantizeOrder order;
  const auto at = [&json](const char* key) { return json.value(QLatin1String(key)); };
  order.source = at("source").toString();
  order.sourceName = at("source_name").toString();
  order.target = at("target").toString();
  order.method =
      choice(at("method"), {Method::kHaq, Method::kGptq, Method::kSmoothQuant, Method::kRtn},
             standard.method, [](Method value) { return quant::to_string(value); });
  order.rotate = choice(at("rotate"), {RotateMode::kAuto, RotateMode::kOn, RotateMode::kOff},
                        standard.rotate, [](RotateMode value) { return quant::to_string(value); });
  order.rotationSeeds = bounded(at("rotation_seeds"), 1, 16, standard.rotationSeeds);
  order.expertsOnly = at("experts_only").toBool();
  for (const QJsonValue& file : at("calibration").toArray()) {
    if (!file.toString().isEmpty() && order.calibration.size() < kMaxFiles) {
      order.calibration << file.toString();
    }
  }
  order.tokens = bounded(at("tokens"), 256, 1 << 24, standard.tokens);
  order.sequenceLength = bounded(at("sequence_length"), 16, 131072, standard.sequenceLength);
  order.seed = bounded(at("seed"), 0, 0x7fffffff, standard.seed);
  order.measureQuality = at("measure_quality").toBool(standard.measureQuality);
  order.evalText = at("eval_text").toString();
  order.evalContext = bounded(at("eval_context"), 0, 1 << 30, standard.evalContext);
  order.evalTokens = bounded(at("eval_tokens"), 0, 1 << 30, standard.evalTokens);
  order.ablate = at("ablate").toBool();
  return order;
}

session::QuantizeJobOptions jobOptions(const QuantizeOrder& order, int threads,
                                       quant::ResumeMode resume) {
  session::QuantizeJobOptions job;
  job.quantize.source = order.source.toStdString();
  job.quantize.target = order.target.toStdString();
  for (const QString& file : order.calibration) {
    job.quantize.calibration.files.emplace_back(file.toStdString());
  }
  job.quantize.calibration.tokens = order.tokens;
  job.quantize.calibration.sequence_length = order.sequenceLength;
  job.quantize.calibration.seed = static_cast<std::uint64_t>(order.seed);
  job.quantize.method = order.method;
  job.quantize.rotate = order.rotate;
  job.quantize.rotation_seeds = order.rotationSeeds;
  job.quantize.experts_only = order.expertsOnly;
  job.quantize.resume = resume;
  job.quantize.threads = threads;
  job.eval_text = order.evalText.toStdString();
  job.eval_context = order.evalContext;
  job.eval_tokens = order.evalTokens;
  job.measure_quality = order.measureQuality;
  job.ablate = order.ablate;
  return job;
}

QString suggestedTarget(const QString& parent, const QString& sourceName, quant::Method method) {
  QString name = sourceName.section(QLatin1Char('/'), -1);
  static const QRegularExpression awkward(QStringLiteral("[^A-Za-z0-9._-]+"));
  name.replace(awkward, QStringLiteral("-"));
  if (name.isEmpty()) name = QStringLiteral("model");
  const QString base =
      QStringLiteral("%1/%2-W8A8-%3").arg(parent, name, QLatin1String(quant::to_string(method)));
  QString folder = base;
  for (int number = 2; QFileInfo::exists(folder); ++number) {
    folder = QStringLiteral("%1-%2").arg(base).arg(number);
  }
  return folder;
}

QString methodTitle(quant::Method method) {
  switch (method) {
    case quant::Method::kHaq:
      return tr("HAQ");
    case quant::Method::kGptq:
      return tr("GPTQ");
    case quant::Method::kSmoothQuant:
      return tr("SmoothQuant");
    case quant::Method::kRtn:
      break;
  }
  return tr("Plain rounding");
}

QString methodSentence(quant::Method method) {
  switch (method) {
    case quant::Method::kHaq:
      return tr(
          "Searches rotation and smoothing per group, then rounds against the measured "
          "Hessian: the least loss, and the longest run.");
    case quant::Method::kGptq:
      return tr("Rounds against the measured Hessian, without smoothing: for comparison.");
    case quant::Method::kSmoothQuant:
      return tr(
          "Moves activation peaks into the weights by one published exponent, then rounds: "
          "for comparison.");
    case quant::Method::kRtn:
      break;
  }
  return tr("Rounds every weight to the nearest step: done at once, the baseline of the others.");
}

}  // namespace haq::ui
