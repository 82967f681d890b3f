// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QAbstractScrollArea>
#include <vector>

#include "ui/chat/message_view.h"

namespace haq::ui {

class ChatSession;

/// The messages of the branch on show, as one column of at most 80 characters. Only those near the
/// viewport exist as widgets; the others are a height, measured or estimated. What the reader looks
/// at stays where it is when something above it changes its height; at the end of the conversation
/// the view follows what is being written.
class TranscriptView : public QAbstractScrollArea {
  Q_OBJECT
 public:
  explicit TranscriptView(ChatSession& session, QWidget* parent = nullptr);

  void scrollToMessage(profile::Id id);
  void scrollToEnd();
  /// Starts editing the user's last message; false when there is none.
  bool editLastQuestion();
  /// Moves the keyboard focus to the next (1) or previous (-1) message.
  void focusNeighbour(int step);
  MessageView* viewOf(profile::Id id) const;  ///< null while it is far from the viewport
  int liveViews() const;
  int columnWidth() const;

 Q_SIGNALS:
  void linkActivated(const QUrl& url);

 protected:
  void resizeEvent(QResizeEvent* event) override;
  void scrollContentsBy(int dx, int dy) override;
  void keyPressEvent(QKeyEvent* event) override;

 private:
  struct Item {
    profile::Id id = 0;
    int height = 0;
    bool measured = false;
    MessageView* view = nullptr;
  };

  void rebuild();
  void append(profile::Id id);
  void arrange();
  void arrangeLater();
  void ensureView(Item& item);
  void dropView(Item& item);
  int estimate(profile::Id id) const;
  MessagePlace placeOf(profile::Id id) const;
  void updatePlaces();
  void rememberAnchor();
  int indexOf(profile::Id id) const;
  int topOf(int index) const;

  ChatSession& m_session;
  std::vector<Item> m_items;
  int m_width = 0;         ///< of the column that heights were measured for
  int m_anchor = 0;        ///< item at the top of the viewport
  int m_anchorOffset = 0;  ///< pixels of it above the viewport
  bool m_following = true;
  bool m_arranging = false;
  bool m_pending = false;
};

}  // namespace haq::ui
