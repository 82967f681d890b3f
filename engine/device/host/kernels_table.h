// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Fills the table from the kernels of the instruction set included before.

#include "engine/device/host/kernels_attention.h"
#include "engine/device/host/kernels_gemm.h"
#include "engine/device/host/kernels_rows.h"

namespace haq::device::host {
namespace {

constexpr KernelTable kTable{
    .name = kIsaName,
    .attention_tile = kAttentionTile,
    .gemm_bf16 = gemm_bf16,
    .gemm_f32 = gemm_f32,
    .rms_norm = rms_norm,
    .layer_norm = layer_norm,
    .exp = exp_row,
    .softmax = softmax,
    .sum = sum,
    .glu = glu,
    .rotate = rotate,
    .add_scaled = add_scaled,
    .clamp = clamp_row,
    .scale = scale_row,
    .combine = combine,
    .widen_bf16 = widen_bf16,
    .round_bf16 = round_bf16,
    .through_bf16 = through_bf16,
    .quantize = quantize_row,
    .dequantize = dequantize_row,
    .add_bias = add_bias,
    .attention = attention,
    .attention_part = attention_part,
};

}  // namespace
}  // namespace haq::device::host
