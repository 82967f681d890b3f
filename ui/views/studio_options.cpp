// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/views/studio_options.h"

#include <QCommandLineParser>
#include <QFileInfo>

namespace haq::ui {

namespace {

const QStringList kPages{QStringLiteral("chat"), QStringLiteral("models"),
                         QStringLiteral("quantize"), QStringLiteral("settings")};

StudioArguments leave(int code, const QString& message) {
  StudioArguments result;
  result.exits = true;
  result.exitCode = code;
  result.message = message;
  return result;
}

StudioArguments wrongUsage(const QString& what) {
  return leave(2, QStringLiteral("haq-studio: %1; see haq-studio --help").arg(what));
}

}  // namespace

StudioArguments parseStudioArguments(const QStringList& arguments) {
  QCommandLineParser parser;
  parser.setSingleDashWordOptionMode(QCommandLineParser::ParseAsLongOptions);
  parser.setApplicationDescription(QStringLiteral(
      "Runs Mixture-of-Experts language models on this computer: a chat with a local model, and a "
      "wizard that makes an 8-bit model of a 16-bit one.\n\n"
      "Example: haq-studio --model ~/models/OLMoE-1B-7B --page chat"));
  const QCommandLineOption help({QStringLiteral("h"), QStringLiteral("help")},
                                QStringLiteral("Shows this text."));
  const QCommandLineOption version(QStringLiteral("version"), QStringLiteral("Shows the version."));
  const QCommandLineOption model(
      QStringLiteral("model"),
      QStringLiteral("Loads a Hugging Face folder (default: the last model, or the demo model)."),
      QStringLiteral("MODEL"));
  const QCommandLineOption database(
      QStringLiteral("db"),
      QStringLiteral("Keeps conversations in FILE (default: in the user's data folder)."),
      QStringLiteral("FILE"));
  const QCommandLineOption page(
      QStringLiteral("page"),
      QStringLiteral("Opens a page: %1.").arg(kPages.join(QStringLiteral(", "))),
      QStringLiteral("PAGE"));
  const QCommandLineOption tour(
      QStringLiteral("tour"),
      QStringLiteral(
          "Drives the program through every page on the demo model and saves a picture of "
          "each step to DIR; exits 0 only if every step worked. Uses a store and settings "
          "of its own."),
      QStringLiteral("DIR"));
  // Read by Qt itself, later.
  QCommandLineOption platform(QStringLiteral("platform"), {}, QStringLiteral("NAME"));
  platform.setFlags(QCommandLineOption::HiddenFromHelp);
  parser.addOptions({help, version, model, database, page, tour, platform});
  if (!parser.parse(arguments)) return wrongUsage(parser.errorText());
  if (parser.isSet(help)) {
    // Before there is an application the parser does not know the program's name.
    return leave(0, parser.helpText().replace(QStringLiteral("<executable_name>"),
                                              QStringLiteral("haq-studio")));
  }
  if (parser.isSet(version)) return leave(0, QStringLiteral("haq-studio " HAQ_VERSION "\n"));
  if (!parser.positionalArguments().isEmpty()) {
    return wrongUsage(
        QStringLiteral("unexpected argument '%1'").arg(parser.positionalArguments().first()));
  }
  StudioArguments result;
  result.options.page = parser.value(page);
  if (parser.isSet(page) && !kPages.contains(result.options.page)) {
    return wrongUsage(QStringLiteral("there is no page '%1' (%2)")
                          .arg(result.options.page, kPages.join(QStringLiteral(", "))));
  }
  for (const auto& [option, value] : {std::pair{&model, &result.options.model},
                                      {&database, &result.options.database},
                                      {&tour, &result.options.tour}}) {
    if (!parser.isSet(*option)) continue;
    if (parser.value(*option).isEmpty()) {
      return wrongUsage(QStringLiteral("--%1 needs a value").arg(option->names().first()));
    }
    *value = QFileInfo(parser.value(*option)).absoluteFilePath();
  }
  return result;
}

}  // namespace haq::ui
