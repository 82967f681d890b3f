// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QTemporaryDir>

#include "ui/models/quantize_order.h"

namespace haq::ui {

class QuantizePage;
class Studio;

/// The tour's steps on the Quantize page: quantizes the demo model on a little text of its own,
/// twice, and looks at everything on the way. Each step returns a line to print or throws
/// tour::Wrong.
class WizardTour {
 public:
  explicit WizardTour(Studio& studio);

  QString empty();
  QString source();
  QString method();
  QString text();
  QString running();  ///< starts, and returns with a few layers done
  QString review();   ///< waits for the end
  QString done();
  QString sideBySide();
  QString runs();
  QString comparison();
  QString chat();

 private:
  QuantizePage& page() const;
  void finish();
  Studio& m_studio;
  QTemporaryDir m_home;
};

}  // namespace haq::ui
