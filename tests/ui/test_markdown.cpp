// SPDX-License-Identifier: GPL-3.0-or-later
#include <QGuiApplication>
#include <QRandomGenerator>
#include <QTextBlock>
#include <QTextTable>
#include <QtTest>

#include "ui/models/markdown_renderer.h"
#include "ui/models/markdown_stream.h"

using namespace haq::ui;

namespace {

MarkdownStyle plainStyle() {
  MarkdownStyle style;
  style.body = style.heading = QFont(QStringLiteral("DejaVu Sans"), 10);
  style.mono = QFont(QStringLiteral("DejaVu Sans Mono"), 10);
  style.heading.setPointSize(13);
  return style;
}

/// A text with every kind of block, some of them nested or unusual.
const char* const kSample = R"(# Title

Some *emphasis* and **strong** text with `code`, a [link](https://example.org) and &amp; an entity.
A second line.

- one
- two
  continued

  a second paragraph
- three
  ```sh
  echo - not an item

  # nor a heading
  ```
- four

1. first
2. second
   - nested
   - more
3. third

> quoted
> more
lazy

```cpp
int main() {
  /* a comment

     goes on */ return 0;

  - no item
}
```
Text right behind.
***
| a | b |
|---|--:|
| 1 | 2 |
| 3 | 4 |

Setext
======

    indented code

    more of it

~~~
```
~~~
- [x] done
- [ ] open

Last paragraph, ~~struck~~ ![picture](file:///etc/passwd "t") <b>no html</b>
)";

QString longParagraph(int sentences) {
  QString text;
  for (int i = 0; i < sentences; ++i) {
    text += QStringLiteral("Sentence number %1 has *some* words and `ticks.` in it. ").arg(i);
  }
  return text;
}

QString longTable(int rows) {
  QString text = QStringLiteral("| n | square |\n|---|---|\n");
  for (int i = 0; i < rows; ++i) text += QStringLiteral("| %1 | %2 |\n").arg(i).arg(i * i);
  return text;
}

std::vector<MarkdownPiece> piecesOf(const QString& text, const std::vector<qsizetype>& cuts) {
  MarkdownStream stream;
  std::vector<MarkdownPiece> pieces;
  qsizetype from = 0;
  const auto feed = [&](qsizetype to) {
    for (MarkdownPiece& piece : stream.feed(QStringView(text).mid(from, to - from))) {
      pieces.push_back(std::move(piece));
    }
    from = to;
  };
  for (const qsizetype cut : cuts) feed(cut);
  feed(text.size());
  for (MarkdownPiece& piece : stream.finish()) pieces.push_back(std::move(piece));
  return pieces;
}

QStringList describe(const std::vector<MarkdownPiece>& pieces) {
  QStringList list;
  for (const MarkdownPiece& piece : pieces) {
    list.append(QStringLiteral("%1%2%3 %4 %5")
                    .arg(piece.kind == MarkdownPiece::Kind::kCode ? u'c' : u'm')
                    .arg(piece.opens ? u'o' : u'-')
                    .arg(piece.joined ? u'j' : u'-')
                    .arg(piece.language, piece.text));
  }
  return list;
}

/// Draws as the window does: pieces, and after each feed the tail.
QString streamed(const QString& text, const std::vector<qsizetype>& cuts) {
  QTextDocument document;
  MarkdownRenderer renderer(&document, plainStyle());
  MarkdownStream stream;
  qsizetype from = 0;
  const auto draw = [&](const std::vector<MarkdownPiece>& pieces) {
    for (const MarkdownPiece& piece : pieces) renderer.append(piece);
    if (const auto tail = stream.tail()) {
      renderer.setTail(*tail);
    } else {
      renderer.clearTail();
    }
  };
  for (const qsizetype cut : cuts) {
    draw(stream.feed(QStringView(text).mid(from, cut - from)));
    from = cut;
  }
  draw(stream.feed(QStringView(text).mid(from)));
  draw(stream.finish());
  return document.toPlainText();
}

/// Everything at once through the parser, without the stream.
QString atOnce(const QString& text) {
  QTextDocument document;
  MarkdownRenderer renderer(&document, plainStyle());
  renderer.append({MarkdownPiece::Kind::kMarkdown, text});
  return document.toPlainText();
}

std::vector<qsizetype> randomCuts(QRandomGenerator& random, qsizetype size, int largest) {
  std::vector<qsizetype> cuts;
  for (qsizetype at = random.bounded(largest); at < size; at += 1 + random.bounded(largest)) {
    cuts.push_back(at);
  }
  return cuts;
}

QString randomMarkdown(QRandomGenerator& random) {
  static const QStringList lines = {QStringLiteral("word"),
                                    QStringLiteral("two words."),
                                    QStringLiteral("- item"),
                                    QStringLiteral("* star item"),
                                    QStringLiteral("1. one"),
                                    QStringLiteral("2. two"),
                                    QStringLiteral("  inside"),
                                    QStringLiteral("    deep"),
                                    QStringLiteral("```"),
                                    QStringLiteral("```python"),
                                    QStringLiteral("  ```"),
                                    QStringLiteral("~~~~"),
                                    QStringLiteral("# head"),
                                    QStringLiteral("---"),
                                    QStringLiteral("==="),
                                    QStringLiteral("> quote"),
                                    QStringLiteral("| a | b |"),
                                    QStringLiteral("|---|---|"),
                                    QStringLiteral("*open"),
                                    QStringLiteral("`tick"),
                                    QStringLiteral("\ttab"),
                                    QStringLiteral("- [ ] task"),
                                    QString(),
                                    QString(),
                                    QString()};
  QString text;
  for (int i = 0; i < 30; ++i) {
    text += lines.at(random.bounded(static_cast<int>(lines.size())));
    if (i < 29 || random.bounded(2) == 0) text += u'\n';
  }
  return text;
}

}  // namespace

class TestMarkdown : public QObject {
  Q_OBJECT

 private Q_SLOTS:
  void piecesDependOnTheTextAlone() {
    QRandomGenerator random(7);
    const QString sample = QString::fromUtf8(kSample);
    QStringList texts = {sample, longParagraph(200), longTable(130),
                         longParagraph(60) + QStringLiteral("\n\n") + sample,
                         longParagraph(40) + u'\n' + longParagraph(40)};
    for (int i = 0; i < 200; ++i) texts.append(randomMarkdown(random));
    for (const QString& text : texts) {
      const QStringList whole = describe(piecesOf(text, {}));
      for (const int largest : {1, 5, 60}) {
        QCOMPARE(describe(piecesOf(text, randomCuts(random, text.size(), largest))), whole);
      }
    }
  }

  void streamedIsWhatIsDrawnAtOnce() {
    QRandomGenerator random(8);
    const QString sample = QString::fromUtf8(kSample);
    for (int i = 0; i < 6; ++i) {
      QCOMPARE(streamed(sample, randomCuts(random, sample.size(), 1 + 20 * i)),
               streamed(sample, {}));
    }
    // Cut into pieces or parsed in one go: the reader sees the same words in the same order.
    QCOMPARE(streamed(sample, {}).simplified(), atOnce(sample).simplified());
    for (int i = 0; i < 60; ++i) {
      const QString text = randomMarkdown(random);
      QCOMPARE(streamed(text, randomCuts(random, text.size(), 9)), streamed(text, {}));
    }
  }

  void aLongParagraphLosesNothing() {
    const QString text = longParagraph(300);
    QVERIFY(piecesOf(text, {}).size() > 5);
    QCOMPARE(streamed(text, {}).simplified(), atOnce(text).simplified());
  }

  void aLongTableRepeatsItsHeader() {
    const auto pieces = piecesOf(longTable(130), {});
    QCOMPARE(pieces.size(), 6U);
    for (const MarkdownPiece& piece : pieces) QVERIFY(piece.text.startsWith(u"| n | square |"));
    QVERIFY(streamed(longTable(130), {}).contains(u"16641"));
  }

  void anUnfinishedFenceIsCodeLineByLine() {
    MarkdownStream stream;
    const auto pieces = stream.feed(u"```C++\nint a;\nint b");
    QCOMPARE(pieces.size(), 1U);
    QCOMPARE(pieces[0].text, QStringLiteral("int a;"));
    QCOMPARE(pieces[0].language, QStringLiteral("c++"));
    QVERIFY(pieces[0].opens);
    QCOMPARE(stream.tail()->text, QStringLiteral("int b"));
    QVERIFY(!stream.tail()->opens);
    stream.feed(u";\n``");
    QVERIFY(!stream.tail().has_value());  // a closing fence on its way is no code
  }

  void codeKeepsItsSource() {
    QTextDocument document;
    MarkdownRenderer renderer(&document, plainStyle());
    for (const auto& piece :
         piecesOf(QStringLiteral("a\n```py\nx = 1\n\n  y\n```\nb\n```\nz\n```\n"), {})) {
      renderer.append(piece);
    }
    QCOMPARE(renderer.code(1), QStringLiteral("x = 1\n\n  y"));
    QCOMPARE(renderer.code(2), QStringLiteral("z"));
    QCOMPARE(renderer.code(3), QString());
  }

  void htmlStaysTextAndImagesLoadNothing() {
    QTextDocument document;
    MarkdownRenderer renderer(&document, plainStyle());
    renderer.append(
        {MarkdownPiece::Kind::kMarkdown,
         QStringLiteral("<img src='file:///etc/passwd'> ![alt](http://example.org/x.png)\n\n"
                        "<script>x</script>")});
    QVERIFY(document.toPlainText().contains(u"<img src='file:///etc/passwd'>"));
    QVERIFY(document.toPlainText().contains(u"[image: alt]"));
    QVERIFY(document.toPlainText().contains(u"<script>"));
    for (QTextBlock block = document.begin(); block.isValid(); block = block.next()) {
      for (auto it = block.begin(); !it.atEnd(); ++it) {
        QVERIFY(!it.fragment().charFormat().isImageFormat());
      }
    }
  }

  void listsKeepTheirNumbers() {
    QTextDocument document;
    MarkdownRenderer renderer(&document, plainStyle());
    for (const auto& piece : piecesOf(QStringLiteral("3. c\n4. d\n   - e\n\n5. f\n"), {})) {
      renderer.append(piece);
    }
    QStringList markers;
    for (QTextBlock block = document.begin(); block.isValid(); block = block.next()) {
      markers.append(block.blockFormat().stringProperty(block_property::kMarker));
    }
    QCOMPARE(markers, (QStringList{QStringLiteral("3."), QStringLiteral("4."), QStringLiteral("◦"),
                                   QStringLiteral("5.")}));
  }

  void nestedDepthIsHarmless() {
    const QString quotes = QString(5000, u'>') + QStringLiteral(" deep");
    const QString lists = QStringLiteral("- ").repeated(3000) + QStringLiteral("deep");
    const QString brackets = QString(20000, u'[');
    const QString stars = QStringLiteral("*a **b ").repeated(4000);
    for (const QString& text : {quotes, lists, brackets, stars}) {
      QVERIFY(streamed(text, {}).size() > 0);
    }
  }

  void highlighterKnowsItsLanguages_data() {
    QTest::addColumn<QString>("language");
    QTest::addColumn<QString>("code");
    QTest::addColumn<QString>("colours");  // one letter for each character
    QTest::newRow("c") << "cpp"
                       << "int a = 0x1f; // no"
                       << "kkk.....nnnn..ccccc";
    QTest::newRow("c string") << "js"
                              << "f(\"a\\\"b\", 'c')"
                              << "f.ssssss..sss.";
    QTest::newRow("c comment") << "c"
                               << "a /* b\nc */ d"
                               << "..cccc|cccc..";
    QTest::newRow("python") << "py"
                            << "def f(x): # hi"
                            << "kkk.f.....cccc";
    QTest::newRow("python doc") << "python"
                                << "x = \"\"\"a\nb\"\"\" + 1"
                                << "....ssss|ssss...n";
    QTest::newRow("shell") << "bash"
                           << "echo \"$x\" # c"
                           << "kkkk.ssss.ccc";
    QTest::newRow("shell open") << "sh"
                                << "a 'b\nc' $d"
                                << "..ss|ss.ff";
    QTest::newRow("json") << "json"
                          << "{\"a\": -1.5e3, \"b\": true}"
                          << ".sss..nnnnnn..sss..kkkk.";
    QTest::newRow("diff") << "diff"
                          << "@@ x\n+a\n-b\n c"
                          << "hhhh|++|--|..";
    QTest::newRow("unknown") << "brainfuck"
                             << "int \"a\""
                             << ".......";
  }

  void highlighterKnowsItsLanguages() {
    QFETCH(QString, language);
    QFETCH(QString, code);
    QFETCH(QString, colours);
    const CodeHighlighter highlighter(CodeHighlighter::familyOf(language));
    int state = 0;
    QStringList lines;
    for (const QString& line : code.split(u'\n')) {
      QString drawn(line.size(), u'.');
      for (const CodeSpan& span : highlighter.line(line, state)) {
        for (qsizetype i = 0; i < span.length; ++i) {
          drawn[span.start + i] = QLatin1Char("ksncf+-h"[static_cast<int>(span.token)]);
        }
      }
      lines.append(drawn);
    }
    QCOMPARE(lines.join(u'|'), colours.remove(u' '));
  }

  void highlighterSurvivesAnything() {
    QRandomGenerator random(9);
    const QString letters = QStringLiteral("ab\"'`/*#\\ $({[<-+@\n0x");
    for (const char* language : {"c", "py", "sh", "json", "diff"}) {
      const CodeHighlighter highlighter(CodeHighlighter::familyOf(QLatin1String(language)));
      int state = 0;
      for (int i = 0; i < 300; ++i) {
        QString line;
        for (int k = random.bounded(40); k > 0; --k) {
          line += letters.at(random.bounded(static_cast<int>(letters.size())));
        }
        qsizetype end = 0;
        for (const CodeSpan& span : highlighter.line(line, state)) {
          QVERIFY(span.start >= end && span.length > 0);
          end = span.start + span.length;
        }
        QVERIFY(end <= line.size());
      }
    }
  }
};

QTEST_MAIN(TestMarkdown)
#include "test_markdown.moc"
