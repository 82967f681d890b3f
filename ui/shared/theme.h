// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <QColor>
#include <QFont>
#include <QObject>
#include <QPalette>

namespace haq::ui {

/// Distances in device-independent pixels; nothing else in the program names one.
namespace space {
inline constexpr int kXs = 4, kS = 8, kM = 12, kL = 16, kXl = 24;
}
inline constexpr int kRadius = 6;      ///< corners of cards, chips and buttons
inline constexpr int kHairline = 1;    ///< width of separating lines
inline constexpr int kFocusRing = 2;   ///< width of the focus ring
inline constexpr int kHitTarget = 24;  ///< smallest side of anything clickable
inline constexpr double kHairlineOpacity = 0.12;

/// What a colour is for. The table in theme.cpp gives each a light and a dark value.
enum class Role {
  kWindow,  ///< page
  kRaised,  ///< cards, composer
  kSunken,  ///< wells, plots
  kText,
  kMuted,
  kDisabled,
  kAccent,      ///< selection, primary button, links
  kAccentText,  ///< text on accent
  kGpuLane,
  kCpuLane,
  kLink,  ///< uploads, prefetch
  kHit,
  kMiss,
  kPlanStage1,
  kPlanStage2,
  kPlanByHand,
  kWarning,
  kError,
  kCount,
};

enum class FontRole {
  kBody,     ///< the system's size
  kSmall,    ///< one point less
  kHeading,  ///< three points more, semibold
  kStrong,   ///< body, semibold
  kFigures,  ///< body with digits of one width, for columns of numbers
  kMono,     ///< code
};

/// Contrast ratio of WCAG 2.1 (relative luminance), 1 to 21; both colours opaque.
double contrastRatio(const QColor& a, const QColor& b);

/// `top` laid over `base` with `opacity` in [0, 1]; opaque.
QColor blend(const QColor& base, const QColor& top, double opacity);

/// The look of the whole program: one table of colours, one of fonts. A singleton of the GUI
/// thread; widgets that paint by hand read it at paint time, so a change needs only a repaint.
class Theme : public QObject {
  Q_OBJECT
 public:
  enum class Mode { kSystem, kLight, kDark };
  Q_ENUM(Mode)

  static Theme& instance();

  /// The colour of a role under a given darkness (for tests and previews).
  static QColor tableColor(Role role, bool dark);

  /// Takes over the application: remembers the system's palette and font, applies the palette and
  /// follows the system from then on. Called by installTheme().
  void install();

  void setMode(Mode mode);
  Mode mode() const { return m_mode; }
  bool isDark() const { return m_dark; }
  /// 0.5 to 3, on top of the system's font size.
  void setFontScale(double scale);
  double fontScale() const { return m_fontScale; }
  /// A length that belongs to text (icons, rows, columns) at the present font scale.
  int scaled(int pixels) const { return qRound(pixels * m_fontScale); }

  QColor color(Role role) const { return tableColor(role, m_dark); }
  /// The text colour at 12 %, laid over `base`.
  QColor hairline(Role base = Role::kWindow) const;
  /// Tint of a card that carries the user's own words.
  QColor userCard() const;
  /// `role`'s colour as a faint fill behind text, laid over `base`.
  QColor tint(Role role, Role base = Role::kWindow, double opacity = 0.12) const;
  QFont font(FontRole role) const;
  /// The palette for Fusion; also carries the link colours that rich text bakes in.
  QPalette palette() const;

 Q_SIGNALS:
  /// Colours or fonts are different now; the application's palette is already set.
  void changed();

 protected:
  bool eventFilter(QObject* watched, QEvent* event) override;

 private:
  Theme() = default;
  bool systemIsDark() const;
  void apply();

  Mode m_mode = Mode::kSystem;
  bool m_dark = false;
  bool m_systemDark = false;
  bool m_installed = false;
  double m_fontScale = 1;
  QFont m_systemFont;
};

}  // namespace haq::ui
