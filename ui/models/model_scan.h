// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include "ui/models/model_catalog.h"

namespace haq::ui {

/// What to look through.
struct ScanRequest {
  QStringList folders;  ///< the user's, sub-folders included
  bool hubCache = true;
  int prefillChunk = 512;  ///< for the memory estimate
};

/// Finds and describes models; long, to be called on a thread of its own. A folder that cannot be
/// loaded is listed with the reason.
std::vector<ModelEntry> scanModels(const ScanRequest& request, const CancelToken& cancel);

/// Name of a model folder for people; in the Hugging Face cache "org/name".
QString modelDisplayName(const QString& folder);

}  // namespace haq::ui
