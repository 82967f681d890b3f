// SPDX-License-Identifier: GPL-3.0-or-later
#include "ui/views/studio.h"

int main(int argc, char** argv) {
  return haq::ui::runStudio(argc, argv);
}
