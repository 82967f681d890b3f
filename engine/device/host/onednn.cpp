// SPDX-License-Identifier: GPL-3.0-or-later
#include "engine/device/host/onednn.h"

#include <omp.h>

#include <algorithm>
#include <dnnl.hpp>
#include <optional>
#include <shared_mutex>
#include <unordered_map>
#include <utility>

#include "engine/base/error.h"
#include "engine/device/host/cpuid.h"

namespace haq::device::host {
namespace {

using dnnl::memory;

const dnnl::engine& cpu_engine() {
  static const dnnl::engine engine(dnnl::engine::kind::cpu, 0);
  return engine;
}

dnnl::stream& this_threads_stream() {
  thread_local dnnl::stream stream(cpu_engine());
  return stream;
}

/// The number of OpenMP threads is a setting of each calling thread.
void use_one_thread() {
  omp_set_num_threads(1);
}

struct ShapeHash {
  std::size_t operator()(const LibraryShape& s) const {
    std::size_t h = static_cast<std::size_t>(s.type) * 2 + static_cast<std::size_t>(s.packed);
    for (const std::int64_t v : {s.m, s.n, s.k}) h = h * 1000003 + static_cast<std::size_t>(v);
    return h;
  }
};

memory::data_type input_type(LibraryType type) {
  return type == LibraryType::kBf16 ? memory::data_type::bf16 : memory::data_type::s8;
}

memory::data_type output_type(LibraryType type) {
  return type == LibraryType::kBf16 ? memory::data_type::f32 : memory::data_type::s32;
}

/// The packed layout must serve every row count: the one chosen for this many rows is prescribed.
constexpr std::int64_t kLayoutRows = 64;

dnnl::matmul::primitive_desc describe(const LibraryShape& s) {
  const std::int64_t a_stride = s.type == LibraryType::kInt8 ? (s.k + 63) / 64 * 64 : s.k;
  const memory::desc a({s.m, s.k}, input_type(s.type), {a_stride, 1});
  memory::desc w({s.k, s.n}, input_type(s.type),
                 s.packed ? memory::format_tag::any : memory::format_tag::ba);
  if (s.packed && s.m != kLayoutRows) {
    w = describe({s.type, kLayoutRows, s.n, s.k, true}).weights_desc();
  }
  const memory::desc c({s.m, s.n}, output_type(s.type), memory::format_tag::ab);
  dnnl::primitive_attr attributes;
  attributes.set_scratchpad_mode(dnnl::scratchpad_mode::user);
  return {dnnl::matmul::desc(a, w, c), attributes, cpu_engine()};
}

bool is_reference(const dnnl::matmul::primitive_desc& description) {
  return std::string(description.impl_info_str()).rfind("ref", 0) == 0;
}

}  // namespace

bool library_usable(LibraryType type, Isa limit) {
  if (limit < Isa::kAvx512) return false;
  const CpuFeatures& f = cpu_features();
  if (type == LibraryType::kBf16) return f.avx512;
  return f.avx512_vnni;
}

bool library_serves_int8(const HostOptions& options) {
  if (!library_usable(LibraryType::kInt8, options.max_isa)) return false;
  switch (options.int8) {
    case Int8Products::kLibrary:
      return true;
    case Int8Products::kOwn:
      return false;
    case Int8Products::kAuto:
      break;
  }
  return options.max_isa == Isa::kNative && cpu_features().amx_int8;
}

bool limit_library(Isa limit) {
  static std::optional<Isa> applied;
  if (limit == Isa::kNative || applied == limit) return true;
  const auto isa = limit == Isa::kAvx512    ? dnnl::cpu_isa::avx512_core_bf16
                   : limit == Isa::kAvxVnni ? dnnl::cpu_isa::avx2_vnni
                   : limit == Isa::kAvx2    ? dnnl::cpu_isa::avx2
                                            : dnnl::cpu_isa::sse41;
  if (dnnl::set_max_cpu_isa(isa) != dnnl::status::success) return false;
  applied = limit;
  return true;
}

std::string library_version() {
  const dnnl_version_t* v = dnnl_version();
  return fmt::format("{}.{}.{}", v->major, v->minor, v->patch);
}

std::string library_implementation(const LibraryShape& shape) {
  use_one_thread();
  try {
    const auto description = describe(shape);
    return is_reference(description) ? std::string() : description.impl_info_str();
  } catch (const dnnl::error&) {
    return {};
  }
}

struct LibraryProduct::Impl {
  LibraryShape shape;
  dnnl::matmul::primitive_desc description;
  dnnl::matmul primitive;
};

LibraryProduct::LibraryProduct(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
LibraryProduct::~LibraryProduct() = default;

std::size_t LibraryProduct::workspace_bytes() const {
  return impl_->description.scratchpad_desc().get_size();
}

std::size_t LibraryProduct::packed_bytes() const {
  return impl_->description.weights_desc().get_size();
}

void LibraryProduct::run(const void* a, const void* w, void* c, void* workspace) const {
  use_one_thread();
  const auto bind = [](const memory::desc& desc, const void* data) {
    return memory(desc, cpu_engine(), const_cast<void*>(data));  // the library only reads inputs
  };
  impl_->primitive.execute(
      this_threads_stream(),
      {{DNNL_ARG_SRC, bind(impl_->description.src_desc(), a)},
       {DNNL_ARG_WEIGHTS, bind(impl_->description.weights_desc(), w)},
       {DNNL_ARG_DST, bind(impl_->description.dst_desc(), c)},
       {DNNL_ARG_SCRATCHPAD, bind(impl_->description.scratchpad_desc(), workspace)}});
}

void LibraryProduct::pack(const void* w, void* packed) const {
  use_one_thread();
  const LibraryShape& s = impl_->shape;
  const memory from({{s.k, s.n}, input_type(s.type), memory::format_tag::ba}, cpu_engine(),
                    const_cast<void*>(w));
  const memory to(impl_->description.weights_desc(), cpu_engine(), packed);
  dnnl::reorder(from, to).execute(this_threads_stream(),
                                  {{DNNL_ARG_FROM, from}, {DNNL_ARG_TO, to}});
}

struct LibraryCache::Impl {
  std::shared_mutex mutex;
  std::unordered_map<LibraryShape, std::unique_ptr<LibraryProduct>, ShapeHash> products;
};

LibraryCache::LibraryCache() : impl_(std::make_unique<Impl>()) {}
LibraryCache::~LibraryCache() = default;

const LibraryProduct* LibraryCache::get(const LibraryShape& shape) {
  {
    const std::shared_lock lock(impl_->mutex);
    const auto found = impl_->products.find(shape);
    if (found != impl_->products.end()) return found->second.get();
  }
  const std::unique_lock lock(impl_->mutex);
  auto& slot = impl_->products.try_emplace(shape).first->second;
  if (slot != nullptr) return slot.get();
  use_one_thread();
  try {
    auto description = describe(shape);
    if (is_reference(description)) return nullptr;
    dnnl::matmul primitive(description);
    slot.reset(new LibraryProduct(std::make_unique<LibraryProduct::Impl>(
        LibraryProduct::Impl{shape, std::move(description), std::move(primitive)})));
  } catch (const dnnl::error&) {
    return nullptr;  // no implementation at all: our own kernels serve
  }
  return slot.get();
}

LibraryWeights::LibraryWeights(std::int64_t n, std::int64_t k, std::size_t element_bytes) {
  constexpr std::int64_t kSliceBytes = 1024 * 1024;
  const std::int64_t fitting =
      kSliceBytes / (k * static_cast<std::int64_t>(element_bytes)) / 64 * 64;
  const std::int64_t width = std::clamp<std::int64_t>(fitting, 64, 1024);
  slices = std::vector<Slice>(static_cast<std::size_t>((n + width - 1) / width));
  for (std::size_t i = 0; i < slices.size(); ++i) {
    slices[i].begin = static_cast<std::int64_t>(i) * width;
    slices[i].end = std::min(n, slices[i].begin + width);
  }
}

}  // namespace haq::device::host
