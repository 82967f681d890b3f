// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/experts/runtime/monotone.h"

#include <cstddef>

namespace haq::experts {

void make_monotone(std::vector<CostTable::Knot>& knots) {
  struct Pool {
    double sum;
    std::size_t count;
    double mean() const { return sum / static_cast<double>(count); }
  };
  std::vector<Pool> pools;
  for (const CostTable::Knot& knot : knots) {
    pools.push_back({knot.us, 1});
    while (pools.size() > 1 && pools[pools.size() - 2].mean() > pools.back().mean()) {
      const Pool last = pools.back();
      pools.pop_back();
      pools.back() = {pools.back().sum + last.sum, pools.back().count + last.count};
    }
  }
  std::size_t next = 0;
  for (const Pool& pool : pools) {
    for (std::size_t i = 0; i < pool.count; ++i) knots[next++].us = pool.mean();
  }
}

}  // namespace haq::experts
