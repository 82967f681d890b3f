// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QString>
#include <QStringList>

namespace haq::ui {

/// What the command line of haq-studio asks for.
struct StudioOptions {
  QString model;     ///< folder; empty: the last one, or the demo model
  QString database;  ///< empty: the user's
  QString page;      ///< chat, models, settings; empty: the last one
  QString tour;      ///< folder for the pictures; empty: no tour
};

/// The outcome of reading the arguments: either options, or a text to print and an exit code.
struct StudioArguments {
  StudioOptions options;
  bool exits = false;
  int exitCode = 0;
  QString message;  ///< goes to stdout when exitCode is 0, else to stderr
};

/// `arguments` includes the program's name. Exit code 2 for wrong usage.
StudioArguments parseStudioArguments(const QStringList& arguments);

}  // namespace haq::ui
