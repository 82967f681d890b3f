// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

#include <map>
#include <memory>
#include <span>
#include <string>
#include <vector>

#include "engine/model/checkpoint.h"
#include "engine/quant/arithmetic/matrix.h"
#include "engine/quant/transform/groups.h"
#include "engine/quant/transform/rotation.h"

namespace haq::quant {

/// A 16/32-bit checkpoint seen through exact transformations: first the rotation of the residual
/// stream (norm weights go into the linears that read them and become 1; a tied head becomes its
/// own tensor), then the smoothing factors folded so far. Computes what the source computes, up to
/// rounding. Nothing is kept: every access reads the source and transforms in float32 (norm and
/// head folds included), so memory is that of what is asked for.
///
/// Values that the quantized folder stores in 16 bits (norm weights, sinks, router gates, gates of
/// shared experts, embeddings, head, biases) are rounded once to the source's type, so that what is
/// seen here is what the folder will hold; kNumeric names a tensor whose values leave that type's
/// range. What rounding a smoothed norm weight loses is
/// made good in its readers: their factor is norm / rounded(norm / s), not s.
///
/// linear() gives kF32 matrices. Reading is thread-safe; fold() is not, and must come before the
/// reads of the modules it touches.
class TransformedCheckpoint final : public model::Checkpoint {
 public:
  /// `rotation` null: none. Throws kUnsupported for an already quantized source, or when a rotation
  /// would not be exact (its obstacle; a LayerNorm whose weight is 0 where its bias is not).
  TransformedCheckpoint(std::shared_ptr<const model::Checkpoint> source,
                        std::shared_ptr<const Rotation> rotation);

  /// Divides the output of group.source by scale [group.factors] and multiplies the readers'
  /// columns. Folding twice multiplies. Throws kInvalidArgument for a group that is not exact, and
  /// for a scale of another length or with factors that are not positive and finite; kNumeric when
  /// a norm would leave the range of its type. Nothing is changed then.
  void fold(const Group& group, std::span<const float> scale);
  /// Forgets the folds of a layer.
  void forget_layer(int layer);

  const model::Checkpoint& source() const { return *source_; }
  const Rotation* rotation() const { return rotation_.get(); }
  /// The weights as a matrix (what linear() gives, without its owner).
  Matrix matrix(const ModuleId& id) const;
  /// The type in which 16-bit tensors are stored: the source's.
  DType storage_type() const;

  LinearWeights linear(model::Role role, int layer, int expert, DType f16_target) const override;
  std::vector<float> vector(model::Role role, int layer) const override;
  std::vector<float> norm_bias(model::Role role, int layer) const override;
  bool has(model::Role role, int layer, int expert) const override;
  std::string module_name(model::Role role, int layer, int expert) const override;
  std::string quantized_name(model::Role role, int layer, int expert) const override;
  std::string fingerprint(const ProgressCallback& progress,
                          const CancelToken& cancel) const override;
  std::string base_fingerprint() const override;

 private:
  struct Linear {
    Matrix weights;
    std::vector<float> bias;
  };
  Linear transformed(const ModuleId& id) const;
  void rotate(const ModuleId& id, Linear& linear) const;
  void scale(const ModuleId& id, Linear& linear) const;
  std::vector<float> rotated_vector(model::Role role, int layer) const;
  std::vector<float> stored_norm(const ModuleId& norm, std::span<const float> divisors) const;
  std::vector<float> norm_factors(const ModuleId& norm, std::span<const float> divisors) const;
  void check_rotation() const;
  void fold_projection(const Group& group, std::span<const float> scale,
                       std::vector<float> divisors);

  std::shared_ptr<const model::Checkpoint> source_;
  std::shared_ptr<const Rotation> rotation_;
  std::map<ModuleId, std::vector<float>> column_factors_;  ///< a linear's columns are multiplied
  std::map<ModuleId, std::vector<float>> row_factors_;     ///< outputs of a source are divided
};

}  // namespace haq::quant
