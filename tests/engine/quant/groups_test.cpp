// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/quant/transform/groups.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "engine/base/error.h"
#include "engine/model/modules.h"
#include "tests/support/golden.h"

namespace haq::quant {
namespace {

using model::ModelConfig;
using model::Role;

ModelConfig config_of(const std::string& golden_model) {
  return model::Checkpoint::open(test::golden_model_dir(golden_model))->config();
}

std::vector<Group> of_kind(const std::vector<Group>& groups, GroupKind kind) {
  std::vector<Group> found;
  std::copy_if(groups.begin(), groups.end(), std::back_inserter(found),
               [&](const Group& group) { return group.kind == kind; });
  return found;
}

class GroupsOfModel : public testing::TestWithParam<std::string> {};

TEST_P(GroupsOfModel, EachQuantizableLinearReadsOneGroupOfItsWidth) {
  const ModelConfig config = config_of(GetParam());
  for (int layer = 0; layer < config.layer_count(); ++layer) {
    const std::vector<Group> groups = smoothing_groups(config, layer);
    std::map<ModuleId, int> times_read;
    for (const Group& group : groups) {
      for (const ModuleId& reader : group.readers) {
        ++times_read[reader];
        const auto shape =
            model::module_shape(config, reader.role, reader.layer, reader.expert).value();
        EXPECT_EQ(shape.cols, group.channels);
        EXPECT_EQ(group_of(groups, reader), &group);
      }
    }
    model::for_each_module(config, [&](const model::ModuleShape& shape) {
      if (shape.layer != layer) return;
      const bool reads_a_norm =
          shape.role == Role::kRouter || shape.role == Role::kSharedExpertGate;
      const int expected = model::is_quantizable(shape.role) || reads_a_norm ? 1 : 0;
      EXPECT_EQ((times_read[{shape.role, shape.layer, shape.expert}]), expected)
          << "role " << static_cast<int>(shape.role) << " expert " << shape.expert;
    });
  }
}

TEST_P(GroupsOfModel, SourcesAreModulesAndFactorsFitThem) {
  const ModelConfig config = config_of(GetParam());
  for (int layer = 0; layer < config.layer_count(); ++layer) {
    const std::vector<Group> groups = smoothing_groups(config, layer);
    for (const Group& group : groups) {
      const auto source =
          model::module_shape(config, group.source.role, group.source.layer, group.source.expert);
      ASSERT_TRUE(source.has_value()) << to_string(group.kind);
      EXPECT_EQ(group.layer, layer);
      EXPECT_EQ(group.exact, group.reason.empty());
      if (group.ties.empty()) {
        EXPECT_EQ(group.factors, group.channels);
      } else {
        ASSERT_EQ(group.ties.size(), static_cast<std::size_t>(group.channels));
        const std::set<std::int32_t> used(group.ties.begin(), group.ties.end());
        EXPECT_EQ(static_cast<std::int64_t>(used.size()), group.factors);
        EXPECT_EQ(*used.begin(), 0);
        EXPECT_EQ(*used.rbegin(), group.factors - 1);
      }
      // All sources but the fused latent expansion put out one value per factor.
      if (group.exact && group.source.role != Role::kKvB) {
        EXPECT_EQ(source->rows, group.factors);
      }
    }
    EXPECT_TRUE(std::is_sorted(groups.begin(), groups.end(), [](const Group& a, const Group& b) {
      return std::pair(a.kind, a.expert) < std::pair(b.kind, b.expert);
    }));
  }
}

TEST_P(GroupsOfModel, OnlyKnownObstaclesMakeAGroupInexact) {
  const ModelConfig config = config_of(GetParam());
  const std::string& name = GetParam();
  for (int layer = 0; layer < config.layer_count(); ++layer) {
    for (const Group& group : smoothing_groups(config, layer)) {
      const bool norm_group =
          group.kind == GroupKind::kAttentionInput || group.kind == GroupKind::kFfnInput;
      const bool expected = (name == "opt_350m" && norm_group) ||
                            (name == "olmoe_clip" && group.kind == GroupKind::kValueOutput) ||
                            (name == "gpt_oss" && group.kind == GroupKind::kUpDown);
      EXPECT_EQ(!group.exact, expected) << to_string(group.kind) << " of layer " << layer;
    }
  }
}

INSTANTIATE_TEST_SUITE_P(Models, GroupsOfModel, testing::ValuesIn(test::golden_models()),
                         [](const auto& subject) { return subject.param; });

TEST(Groups, MoeLayerWithSharedExpert) {
  const auto groups = smoothing_groups(config_of("qwen2_moe"), 1);
  const auto ffn = of_kind(groups, GroupKind::kFfnInput);
  ASSERT_EQ(ffn.size(), 1U);
  EXPECT_EQ(ffn[0].source, (ModuleId{Role::kPostAttentionNorm, 1, -1}));
  EXPECT_EQ(ffn[0].readers.size(), 1U + 2 * 8 + 2 + 1);  // router, experts, shared expert, its gate
  EXPECT_EQ(ffn[0].readers.front(), (ModuleId{Role::kRouter, 1, -1}));
  EXPECT_EQ(ffn[0].readers.back(), (ModuleId{Role::kSharedExpertGate, 1, -1}));
  const auto up_down = of_kind(groups, GroupKind::kUpDown);
  ASSERT_EQ(up_down.size(), 8U);
  EXPECT_EQ(up_down[3].source, (ModuleId{Role::kUp, 1, 3}));
  EXPECT_EQ(up_down[3].readers, (std::vector<ModuleId>{{Role::kDown, 1, 3}}));
  EXPECT_EQ(of_kind(groups, GroupKind::kSharedUpDown).size(), 1U);
}

TEST(Groups, DenseLayersOfAMixedModel) {
  const ModelConfig config = config_of("qwen2_moe_mixed");
  const auto dense = smoothing_groups(config, 0);
  EXPECT_EQ(of_kind(dense, GroupKind::kFfnInput).at(0).readers,
            (std::vector<ModuleId>{{Role::kGate, 0, -1}, {Role::kUp, 0, -1}}));
  EXPECT_EQ(of_kind(dense, GroupKind::kUpDown).at(0).expert, -1);
  EXPECT_EQ(of_kind(smoothing_groups(config, 3), GroupKind::kUpDown).size(), 6U);
}

TEST(Groups, ValueChannelsAreTiedWithinAKvHead) {
  const ModelConfig config = config_of("mistral");  // 4 heads, 2 kv heads, 24 wide
  const Group group = of_kind(smoothing_groups(config, 0), GroupKind::kValueOutput).at(0);
  EXPECT_EQ(group.channels, 96);
  EXPECT_EQ(group.factors, 48);
  EXPECT_EQ(group.ties[5], 5);
  EXPECT_EQ(group.ties[24 + 5], 5);
  EXPECT_EQ(group.ties[48 + 5], 24 + 5);
  EXPECT_EQ(group.ties[72 + 5], 24 + 5);
}

TEST(Groups, LatentAttention) {
  const auto groups = smoothing_groups(config_of("deepseek_v2"), 0);
  EXPECT_EQ(groups.at(0).readers, (std::vector<ModuleId>{{Role::kQ, 0, -1}, {Role::kKvA, 0, -1}}));
  const Group latent = of_kind(groups, GroupKind::kLatentKv).at(0);
  EXPECT_EQ(latent.source, (ModuleId{Role::kKvANorm, 0, -1}));
  EXPECT_EQ(latent.channels, 32);
  const Group value = of_kind(groups, GroupKind::kValueOutput).at(0);
  EXPECT_EQ(value.source, (ModuleId{Role::kKvB, 0, -1}));
  EXPECT_EQ(value.channels, 4 * 12);
  EXPECT_TRUE(value.ties.empty());
}

TEST(Groups, LowRankQueryHasItsOwnGroup) {
  ModelConfig config = config_of("deepseek_v2");
  config.mla->q_lora_rank = 20;
  const auto groups = smoothing_groups(config, 1);
  EXPECT_EQ(groups.at(0).readers, (std::vector<ModuleId>{{Role::kQA, 1, -1}, {Role::kKvA, 1, -1}}));
  const Group query = of_kind(groups, GroupKind::kLatentQuery).at(0);
  EXPECT_EQ(query.source, (ModuleId{Role::kQANorm, 1, -1}));
  EXPECT_EQ(query.channels, 20);
}

TEST(Groups, PostNormModelsReadTheNormBefore) {
  const ModelConfig config = config_of("opt_350m");
  const auto first = smoothing_groups(config, 0);
  const auto second = smoothing_groups(config, 1);
  EXPECT_EQ(first.at(0).source, (ModuleId{Role::kEmbedding, -1, -1}));
  EXPECT_EQ(second.at(0).source, (ModuleId{Role::kPostAttentionNorm, 0, -1}));
  EXPECT_EQ(of_kind(second, GroupKind::kFfnInput).at(0).source,
            (ModuleId{Role::kInputNorm, 1, -1}));
  EXPECT_NE(second.at(0).reason.find("residual"), std::string::npos);
}

TEST(Groups, RefusesALayerThatIsNotThere) {
  const ModelConfig config = config_of("llama");
  EXPECT_THROW(smoothing_groups(config, -1), Error);
  EXPECT_THROW(smoothing_groups(config, config.layer_count()), Error);
  EXPECT_EQ(group_of(smoothing_groups(config, 0), {Role::kQ, 1, -1}), nullptr);
}

}  // namespace
}  // namespace haq::quant
