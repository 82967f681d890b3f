// SPDX-License-Identifier: GPL-3.0-or-later
// Time that the GUI thread spends on one batch of streamed Markdown: parse, lay out, paint the part
// in view; at the start, in the middle and at the end of an answer.
#include <QApplication>
#include <QElapsedTimer>
#include <QImage>
#include <QPainter>
#include <algorithm>
#include <cstdio>
#include <vector>

#include "ui/chat/markdown_view.h"
#include "ui/shared/install_theme.h"

namespace {

constexpr int kWidth = 640;
constexpr int kViewHeight = 700;
constexpr int kBatch = 12;  ///< characters in 30 ms at 100 tokens/s
constexpr int kLength = 32768;

QString repeated(const QString& part) {
  QString text;
  while (text.size() < kLength) text += part;
  return text.left(kLength);
}

void measure(const char* name, const QString& text) {
  haq::ui::MarkdownView view;
  view.setMarkdown({}, false);
  view.resize(kWidth, kViewHeight);
  view.show();
  QImage canvas(kWidth, kViewHeight, QImage::Format_ARGB32_Premultiplied);
  std::vector<double> times;
  for (qsizetype at = 0; at < text.size(); at += kBatch) {
    QElapsedTimer timer;
    timer.start();
    view.appendMarkdown(text.mid(at, kBatch));
    const int height = view.heightFor(kWidth);
    view.resize(kWidth, height);
    QPainter painter(&canvas);
    const int top = std::max(0, height - kViewHeight);
    view.viewport()->render(&painter, {}, QRegion(0, top, kWidth, std::min(height, kViewHeight)),
                            QWidget::DrawChildren);
    painter.end();
    times.push_back(static_cast<double>(timer.nsecsElapsed()) / 1e6);
  }
  const auto part = [&](std::size_t from, std::size_t to) {
    std::vector<double> sorted(times.begin() + static_cast<std::ptrdiff_t>(from),
                               times.begin() + static_cast<std::ptrdiff_t>(to));
    std::sort(sorted.begin(), sorted.end());
    std::printf("  median %6.2f ms  99 %% %6.2f ms", sorted[sorted.size() / 2],
                sorted[sorted.size() * 99 / 100]);
  };
  const std::size_t tenth = times.size() / 10;
  std::printf("%-16s first tenth:", name);
  part(0, tenth);
  std::printf("   last tenth:");
  part(times.size() - tenth, times.size());
  std::printf("\n");
}

}  // namespace

int main(int argc, char** argv) {
  QApplication application(argc, argv);
  haq::ui::installTheme();
  const QString sentence = QStringLiteral(
      "Once upon a time there was a *little* dog that liked `balls` and long walks. ");
  measure("prose", repeated(sentence + sentence + sentence + QStringLiteral("\n\n")));
  measure("one paragraph", repeated(sentence));
  measure("list", repeated(QStringLiteral("- ") + sentence + QLatin1Char('\n')));
  measure("code",
          QStringLiteral("```cpp\n") +
              repeated(QStringLiteral("  for (int i = 0; i < 10; ++i) sum += f(i); // add\n")));
  measure("table", QStringLiteral("| a | b |\n|---|---|\n") +
                       repeated(QStringLiteral("| some words | 12.5 |\n")));
  return 0;
}
