// SPDX-License-Identifier: GPL-3.0-or-later
#pragma once

// Attention of a few queries over one head of the key-value cache, for whichever V16 was included
// before. Keys are stored transposed within a block of 64, so that sixteen keys are sixteen lanes
// and the 32 partial sums of each key's dot product are 32 registers joined without a shuffle.

#include "engine/device/host/kernels_rows.h"

namespace haq::device::host {
namespace {

template <int Q>
struct Lanes {
  V16 v[Q];
};

/// Partial sum p[J] of Q queries for sixteen keys. BLOCKS = k_dim / 32 when known, else 0.
template <int Q, int BLOCKS, int J, class T>
HAQ_INLINE Lanes<Q> partial_sum(const float* const* q, const T* keys, int k_dim) {
  Lanes<Q> p;
#pragma GCC unroll 8
  for (int i = 0; i < Q; ++i) p.v[i] = zero();
  if constexpr (BLOCKS > 0) {
#pragma GCC unroll 8
    for (int b = 0; b < BLOCKS; ++b) {
      const V16 key = load(keys + (J + 32 * b) * num::kKeyBlock);
#pragma GCC unroll 8
      for (int i = 0; i < Q; ++i) p.v[i] = fma(set1(q[i][J + 32 * b]), key, p.v[i]);
    }
  } else {
    for (int base = 0; base < k_dim; base += 32) {
      if (base + J < k_dim) {
        const V16 key = load(keys + (base + J) * num::kKeyBlock);
        for (int i = 0; i < Q; ++i) p.v[i] = fma(set1(q[i][base + J]), key, p.v[i]);
      } else {
        for (int i = 0; i < Q; ++i) p.v[i] = add(p.v[i], zero());  // the padding
      }
    }
  }
  return p;
}

/// Sum over the lanes J, J + OFFSET, J + 2 OFFSET, ... in the order of the join tree.
template <int Q, int BLOCKS, int J, int OFFSET, class T>
HAQ_INLINE Lanes<Q> joined(const float* const* q, const T* keys, int k_dim) {
  if constexpr (OFFSET == num::kLanes) {
    return partial_sum<Q, BLOCKS, J>(q, keys, k_dim);
  } else {
    Lanes<Q> a = joined<Q, BLOCKS, J, 2 * OFFSET>(q, keys, k_dim);
    const Lanes<Q> b = joined<Q, BLOCKS, J + OFFSET, 2 * OFFSET>(q, keys, k_dim);
#pragma GCC unroll 8
    for (int i = 0; i < Q; ++i) a.v[i] = add(a.v[i], b.v[i]);
    return a;
  }
}

template <int Q, int BLOCKS, class T>
[[gnu::noinline]] void score_block(const float* const* q, const T* keys, int k_dim, float scale,
                                   float* const* scores) {
  const V16 factor = set1(scale);
  for (int group = 0; group < num::kKeyBlock; group += 16) {
    const Lanes<Q> s = joined<Q, BLOCKS, 0, 1>(q, keys + group, k_dim);
#pragma GCC unroll 8
    for (int i = 0; i < Q; ++i) store(scores[i] + group, mul(s.v[i], factor));
  }
}

/// total[c] += sum over keys [begin, end) of one block of e[key] * values[key, c], for up to C * 16
/// channels starting at `values` and `total`.
template <int Q, int C, class T>
HAQ_INLINE void weigh_block(const float* const* e, const T* values, int v_dim, int begin, int end,
                            float* const* total, int channels) {
  V16 acc[Q][C];
#pragma GCC unroll 8
  for (int i = 0; i < Q; ++i) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) acc[i][c] = zero();
  }
  const bool whole = channels == 16 * C;
  for (int key = begin; key < end; ++key) {
    const T* row = values + static_cast<std::int64_t>(key) * v_dim;
    V16 v[C];
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) v[c] = whole ? load(row + 16 * c) : load_n(row + 16 * c, channels);
#pragma GCC unroll 8
    for (int i = 0; i < Q; ++i) {
      const V16 weight = set1(e[i][key]);
#pragma GCC unroll 8
      for (int c = 0; c < C; ++c) acc[i][c] = fma(weight, v[c], acc[i][c]);
    }
  }
#pragma GCC unroll 8
  for (int i = 0; i < Q; ++i) {
#pragma GCC unroll 8
    for (int c = 0; c < C; ++c) {
      float* t = total[i] + 16 * c;
      const int run = whole ? 16 : channels;
      store_n(t, add(load_n(t, run), acc[i][c]), run);
    }
  }
}

/// Scores to weights exp(s - m) in place, +0 outside [low, high) (offsets into the scores); returns
/// 1 / denominator.
HAQ_INLINE float weights_of(float* s, std::int64_t low, std::int64_t high, std::int64_t count,
                            const float* sink) {
  const V16 lowest = set1(-__builtin_inff());
  const std::int64_t first = low / num::kKeyBlock * num::kKeyBlock;
  const auto lane = [](std::int64_t bound, std::int64_t i) {
    const std::int64_t n = bound - i;
    return static_cast<int>(n < 0 ? 0 : n > 16 ? 16 : n);
  };
  V16 m = sink != nullptr ? set1(*sink) : lowest;
  for (std::int64_t i = first; i < high; i += 16) {
    m = vmax(m, keep_range(load(s + i), lane(low, i), lane(high, i), lowest));
  }
  const float top_value = join_max(m);
  const V16 top = set1(top_value);
  for (std::int64_t i = 0; i < first; i += 16) store(s + i, zero());
  float denominator = 0.0F;
  std::int64_t i = first;
  for (; i < high; i += num::kKeyBlock) {
    V16 e[4];
    for (int part = 0; part < 4; ++part) {
      const std::int64_t at = i + 16 * part;
      e[part] = keep_range(vexp(sub(load(s + at), top)), lane(low, at), lane(high, at), zero());
      store(s + at, e[part]);
    }
    denominator = denominator + join(add(add(e[0], e[2]), add(e[1], e[3])));
  }
  for (; i < count; i += 16) store(s + i, zero());
  if (sink != nullptr) denominator = denominator + num::exp(*sink - top_value);
  return 1.0F / denominator;
}

/// Keys that one or more queries see, rounded outwards to blocks.
struct KeyRange {
  std::int64_t first_key, end_key, first_block, end_block;
  std::int64_t base() const { return first_block * num::kKeyBlock; }
  std::int64_t count() const { return (end_block - first_block) * num::kKeyBlock; }
};

HAQ_INLINE std::int64_t first_visible(const AttentionUnit& u, const Query& query) {
  const std::int64_t end = query.position + 1;
  return u.window > 0 && end > u.window ? end - u.window : 0;
}

HAQ_INLINE KeyRange range_of(const AttentionUnit& u, const Query* queries, int count) {
  KeyRange r{queries[0].position, 0, 0, 0};
  for (int i = 0; i < count; ++i) {
    const std::int64_t low = first_visible(u, queries[i]), high = queries[i].position + 1;
    r.first_key = low < r.first_key ? low : r.first_key;
    r.end_key = high > r.end_key ? high : r.end_key;
  }
  r.first_block = r.first_key / num::kKeyBlock;
  r.end_block = (r.end_key + num::kKeyBlock - 1) / num::kKeyBlock;
  return r;
}

/// Scores of the blocks [begin, end) into e, where query i's row starts at i * r.count().
template <int Q, class T>
HAQ_INLINE void scores_of(const AttentionUnit& u, const Query* queries, const KeyRange& r,
                          std::int64_t begin, std::int64_t end, float* e) {
  const float* q[Q];
  float* scores[Q];
  for (int i = 0; i < Q; ++i) q[i] = queries[i].q;
  for (std::int64_t b = begin; b < end; ++b) {
    const T* keys = reinterpret_cast<const T*>(u.blocks[b]) + u.k_offset;
    for (int i = 0; i < Q; ++i) {
      scores[i] = e + i * r.count() + (b - r.first_block) * num::kKeyBlock;
    }
    if (u.k_dim == 128) {
      score_block<Q, 4>(q, keys, u.k_dim, u.scale, scores);
    } else if (u.k_dim == 64) {
      score_block<Q, 2>(q, keys, u.k_dim, u.scale, scores);
    } else {
      score_block<Q, 0>(q, keys, u.k_dim, u.scale, scores);
    }
  }
}

/// Channels [c_begin, c_end) of the weighted sums, times `inverse`.
template <int Q, class T>
HAQ_INLINE void values_of(const AttentionUnit& u, const Query* queries, const KeyRange& r,
                          const float* e, const float* inverse, int c_begin, int c_end) {
  for (int i = 0; i < Q; ++i) {
    for (int c = c_begin; c < c_end; ++c) queries[i].out[c] = 0.0F;
  }
  for (std::int64_t b = r.first_block; b < r.end_block; ++b) {
    const T* values = reinterpret_cast<const T*>(u.blocks[b]) + u.v_offset;
    const std::int64_t start = b * num::kKeyBlock;
    const int begin = static_cast<int>(r.first_key > start ? r.first_key - start : 0);
    const int end =
        static_cast<int>(r.end_key - start < num::kKeyBlock ? r.end_key - start : num::kKeyBlock);
    const float* weights[Q];
    float* total[Q];
    for (int i = 0; i < Q; ++i) weights[i] = e + i * r.count() + (start - r.base());
    int c = c_begin;
    for (; c + 64 <= c_end; c += 64) {
      for (int i = 0; i < Q; ++i) total[i] = queries[i].out + c;
      weigh_block<Q, 4>(weights, values + c, u.v_dim, begin, end, total, 64);
    }
    for (; c < c_end; c += 16) {
      for (int i = 0; i < Q; ++i) total[i] = queries[i].out + c;
      weigh_block<Q, 1>(weights, values + c, u.v_dim, begin, end, total,
                        c_end - c < 16 ? c_end - c : 16);
    }
  }
  for (int i = 0; i < Q; ++i) scale_row(queries[i].out + c_begin, inverse[i], c_end - c_begin);
}

HAQ_INLINE float weights_of(const AttentionUnit& u, const Query& query, const KeyRange& r,
                            float* e) {
  return weights_of(e, first_visible(u, query) - r.base(), query.position + 1 - r.base(), r.count(),
                    query.sink);
}

/// Calls body.template operator()<Q>(first) for tiles of queries.
template <class Body>
HAQ_INLINE void for_tiles(int count, Body body) {
  int i = 0;
  if constexpr (kAttentionTile >= 4) {
    for (; i + 4 <= count; i += 4) body.template operator()<4>(i);
  }
  for (; i + 2 <= count; i += 2) body.template operator()<2>(i);
  for (; i < count; ++i) body.template operator()<1>(i);
}

template <class T>
void attend(const AttentionUnit& u) {
  for_tiles(u.count, [&]<int Q>(int first) {
    const Query* queries = u.queries + first;
    const KeyRange r = range_of(u, queries, Q);
    float inverse[Q];
    scores_of<Q, T>(u, queries, r, r.first_block, r.end_block, u.scratch);
    for (int i = 0; i < Q; ++i) {
      inverse[i] = weights_of(u, queries[i], r, u.scratch + i * r.count());
    }
    values_of<Q, T>(u, queries, r, u.scratch, inverse, 0, u.v_dim);
  });
}

void attention(const AttentionUnit& u) {
  u.bf16 ? attend<std::uint16_t>(u) : attend<float>(u);
}

template <class T>
void attend_part(const AttentionUnit& u, AttentionPhase phase, std::int64_t begin,
                 std::int64_t end) {
  const KeyRange r = range_of(u, u.queries, u.count);
  float* inverse = u.scratch + u.count * r.count();
  if (phase == AttentionPhase::kWeights) {
    for (std::int64_t i = begin; i < end; ++i) {
      inverse[i] = weights_of(u, u.queries[i], r, u.scratch + i * r.count());
    }
    return;
  }
  for_tiles(u.count, [&]<int Q>(int first) {
    float* e = u.scratch + first * r.count();
    if (phase == AttentionPhase::kScores) {
      scores_of<Q, T>(u, u.queries + first, r, r.first_block + begin, r.first_block + end, e);
    } else {
      values_of<Q, T>(u, u.queries + first, r, e, inverse + first, static_cast<int>(begin),
                      static_cast<int>(end));
    }
  });
}

void attention_part(const AttentionUnit& u, AttentionPhase phase, std::int64_t begin,
                    std::int64_t end) {
  u.bf16 ? attend_part<std::uint16_t>(u, phase, begin, end)
         : attend_part<float>(u, phase, begin, end);
}

}  // namespace
}  // namespace haq::device::host
