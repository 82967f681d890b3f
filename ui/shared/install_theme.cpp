// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/shared/install_theme.h"

#include <QApplication>

#include "ui/shared/icons.h"
#include "ui/shared/style.h"

namespace haq::ui {

void installTheme() {
  QApplication::setStyle(new QuietStyle);
  QApplication::setWindowIcon(applicationIcon());
  Theme& theme = Theme::instance();
  theme.install();
  QApplication::setFont(theme.font(FontRole::kBody));
  QObject::connect(&theme, &Theme::changed, qApp,
                   [] { QApplication::setFont(Theme::instance().font(FontRole::kBody)); });
}

}  // namespace haq::ui
