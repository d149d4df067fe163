// Copyright the Tessera authors. Distributed under the Boost Software License, Version 1.0 (see LICENSE).
/// \file
/// The CUDA runtime as host code sees it, for programs that run their kernels on the emulator: linked in place of libcudart. Device memory is
/// host memory that is known by its address; streams do everything at once.
#include <cuda.h>
#include <cuda_runtime_api.h>

#include <chrono>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <map>
#include <mutex>
#include <string>
#include <vector>

#include "tessera/emulator/device.hpp"
#include "tessera/emulator/sanitizer.hpp"
#include "tessera/emulator/tensor_map.hpp"

// What the API's handles point to.
struct CUstream_st {
  int device = 0;
  unsigned flags = 0;
  int priority = 0;
};
struct CUevent_st {
  std::chrono::steady_clock::time_point when;
  bool recorded = false;
};
struct CUmemPoolHandle_st {
  int device = 0;
};

namespace {

using tessera::emulator::device;
using tessera::emulator::device_count;

/// Bytes before and behind each allocation of the device that a kernel must leave alone.
constexpr std::size_t guard = 256;
constexpr std::byte guard_byte{0xA5};

struct allocation {
  std::size_t bytes = 0;
  cudaMemoryType type = cudaMemoryTypeDevice;
  int device = 0;
  bool ours = true;
};

struct state {
  std::recursive_mutex mutex;
  device devices[device_count];
  CUmemPoolHandle_st pools[device_count] = {{0}, {1}};
  std::map<std::uintptr_t, allocation> memory;
  std::map<const void*, std::size_t> allowed_shared_bytes;
  std::string damage;
};
state& all() {
  static state s;
  return s;
}
using lock = std::lock_guard<std::recursive_mutex>;

thread_local cudaError_t last_error = cudaSuccess;
thread_local int current_device = 0;

cudaError_t report(cudaError_t code) {
  if (code != cudaSuccess) last_error = code;
  return code;
}

std::byte* bytes_at(std::uintptr_t p) { return reinterpret_cast<std::byte*>(p); }  // NOLINT

bool intact(std::uintptr_t at, const allocation& a) {
  if (TESSERA_EMULATOR_ADDRESS_SANITIZER) return true;  // it stops the program at the very line
  static const std::vector<std::byte> untouched(guard, guard_byte);
  return std::memcmp(bytes_at(at) - guard, untouched.data(), guard) == 0 &&
         std::memcmp(bytes_at(at) + a.bytes, untouched.data(), guard) == 0;
}

cudaError_t allocate(void** out, std::size_t bytes, cudaMemoryType type, int on) {
  if (out == nullptr) return report(cudaErrorInvalidValue);
  *out = nullptr;
  if (bytes == 0) return cudaSuccess;
  if (bytes > (std::size_t{1} << 40)) return report(cudaErrorMemoryAllocation);
  void* const base = std::aligned_alloc(256, (bytes + 2 * guard + 255) / 256 * 256);
  if (base == nullptr) return report(cudaErrorMemoryAllocation);
  std::byte* const data = static_cast<std::byte*>(base) + guard;
  std::memset(base, static_cast<int>(guard_byte), guard);
  std::memset(data, 0xFF, bytes);  // a NaN in every format
  std::memset(data + bytes, static_cast<int>(guard_byte), guard);
  tessera::emulator::detail::forbid(base, guard);
  tessera::emulator::detail::forbid(data + bytes, guard);
  const lock hold(all().mutex);
  all().memory[reinterpret_cast<std::uintptr_t>(data)] = {bytes, type, on, true};
  *out = data;
  return cudaSuccess;
}

cudaError_t release(void* p, bool host) {
  if (p == nullptr) return cudaSuccess;
  const lock hold(all().mutex);
  const auto found = all().memory.find(reinterpret_cast<std::uintptr_t>(p));
  if (found == all().memory.end() || !found->second.ours || (found->second.type == cudaMemoryTypeHost) != host) {
    return report(cudaErrorInvalidValue);
  }
  const bool well = intact(found->first, found->second);
  tessera::emulator::detail::allow(static_cast<std::byte*>(p) - guard, found->second.bytes + 2 * guard);
  std::memset(p, 0xFF, found->second.bytes);
  std::free(static_cast<std::byte*>(p) - guard);
  all().memory.erase(found);
  return well ? cudaSuccess : report(cudaErrorIllegalAddress);
}

/// The allocation that an address lies in.
const allocation* find(const void* p, std::uintptr_t* begin = nullptr) {
  const auto at = reinterpret_cast<std::uintptr_t>(p);
  auto next = all().memory.upper_bound(at);
  if (next == all().memory.begin()) return nullptr;
  --next;
  if (at >= next->first + next->second.bytes) return nullptr;
  if (begin != nullptr) *begin = next->first;
  return &next->second;
}

bool inside(const void* p, std::size_t bytes, bool must_be_known) {
  const lock hold(all().mutex);
  std::uintptr_t begin = 0;
  const allocation* const a = find(p, &begin);
  if (a == nullptr) return !must_be_known;
  return reinterpret_cast<std::uintptr_t>(p) + bytes <= begin + a->bytes;
}

int device_of(cudaStream_t stream) {
  // The legacy and the per-thread default streams are small numbers.
  return reinterpret_cast<std::uintptr_t>(stream) <= 2 ? current_device : stream->device;
}

cudaError_t copy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) {
  if (bytes == 0) return cudaSuccess;
  if (to == nullptr || from == nullptr || kind < cudaMemcpyHostToHost || kind > cudaMemcpyDefault) {
    return report(cudaErrorInvalidValue);
  }
  const bool from_device = kind == cudaMemcpyDeviceToHost || kind == cudaMemcpyDeviceToDevice;
  const bool to_device = kind == cudaMemcpyHostToDevice || kind == cudaMemcpyDeviceToDevice;
  if (!inside(to, bytes, to_device) || !inside(from, bytes, from_device)) return report(cudaErrorInvalidValue);
  std::memmove(to, from, bytes);
  return cudaSuccess;
}

cudaError_t fill(void* p, int value, std::size_t bytes) {
  if (bytes == 0) return cudaSuccess;
  if (p == nullptr || !inside(p, bytes, true)) return report(cudaErrorInvalidValue);
  std::memset(p, value, bytes);
  return cudaSuccess;
}

/// cuTensorMapEncodeTiled, with the driver's own conditions.
CUresult encode_tiled(CUtensorMap* out, CUtensorMapDataType type, cuuint32_t rank, void* base, const cuuint64_t* extents,
                      const cuuint64_t* strides, const cuuint32_t* box, const cuuint32_t* steps, CUtensorMapInterleave interleave,
                      CUtensorMapSwizzle swizzle, CUtensorMapL2promotion, CUtensorMapFloatOOBfill outside) {
  constexpr std::uint8_t sizes[] = {1, 2, 4, 4, 8, 8, 2, 4, 8, 2, 4, 4, 4};
  if (type > CU_TENSOR_MAP_DATA_TYPE_TFLOAT32_FTZ || interleave != CU_TENSOR_MAP_INTERLEAVE_NONE ||
      swizzle > CU_TENSOR_MAP_SWIZZLE_128B) {
    return CUDA_ERROR_NOT_SUPPORTED;
  }
  tessera::emulator::detail::tensor_map map;
  map.mark = map.right_mark;
  map.base = static_cast<const std::byte*>(base);
  map.rank = static_cast<std::uint8_t>(rank);
  map.element_bytes = sizes[type];
  map.swizzle = static_cast<std::uint8_t>(swizzle == CU_TENSOR_MAP_SWIZZLE_NONE ? 0 : 16 << swizzle);
  map.outside = outside == CU_TENSOR_MAP_FLOAT_OOB_FILL_NONE ? 0 : 0xFF;
  bool right = out != nullptr && reinterpret_cast<std::uintptr_t>(out) % 64 == 0 && rank >= 1 && rank <= 5 && base != nullptr &&
               reinterpret_cast<std::uintptr_t>(base) % 16 == 0;
  for (cuuint32_t i = 0; right && i < rank; ++i) {
    right = extents[i] >= 1 && extents[i] <= (std::uint64_t{1} << 32) && box[i] >= 1 && box[i] <= 256 && steps[i] >= 1 &&
            steps[i] <= 8;
    if (i > 0) right = right && strides[i - 1] % 16 == 0 && strides[i - 1] < (std::uint64_t{1} << 40);
  }
  if (!right) return CUDA_ERROR_INVALID_VALUE;
  for (cuuint32_t i = 0; i < rank; ++i) {
    if (steps[i] != 1) return CUDA_ERROR_NOT_SUPPORTED;
    map.extents[i] = extents[i];
    map.box[i] = static_cast<std::uint16_t>(box[i]);
    if (i > 0) map.strides[i - 1] = strides[i - 1];
  }
  const std::size_t width = std::size_t{map.box[0]} * map.element_bytes;
  if (width % 16 != 0 || (map.swizzle != 0 && width > map.swizzle)) return CUDA_ERROR_INVALID_VALUE;
  std::memset(static_cast<void*>(out), 0, sizeof *out);
  std::memcpy(static_cast<void*>(out), &map, sizeof map);
  return CUDA_SUCCESS;
}

bool is_device(int ordinal) { return ordinal >= 0 && ordinal < device_count; }

}  // namespace

namespace tessera::emulator {

device& properties(int ordinal) { return all().devices[ordinal]; }

namespace detail {

cudaError_t accept(dim3 grid, dim3 block, std::size_t shared_bytes, const void* kernel) {
  const lock hold(all().mutex);
  const std::size_t threads = std::size_t{block.x} * block.y * block.z;
  if (grid.x == 0 || grid.y == 0 || grid.z == 0 || grid.x > 0x7FFFFFFFu || grid.y > 65535 || grid.z > 65535 || threads == 0 ||
      threads > 1024 || block.x > 1024 || block.y > 1024 || block.z > 64) {
    return report(cudaErrorInvalidConfiguration);
  }
  if (kernel == nullptr) return report(cudaErrorInvalidDeviceFunction);
  const auto allowed = all().allowed_shared_bytes.find(kernel);
  const std::size_t most = allowed == all().allowed_shared_bytes.end() ? 48 * 1024 : allowed->second;
  if (shared_bytes > most || shared_bytes > all().devices[current_device].shared_bytes()) return report(cudaErrorInvalidValue);
  return cudaSuccess;
}

const char* damage() {
  const lock hold(all().mutex);
  for (const auto& [at, a] : all().memory) {
    if (a.ours && !intact(at, a)) {
      // Said once; the next kernel begins with a clean edge.
      std::memset(bytes_at(at) - guard, static_cast<int>(guard_byte), guard);
      std::memset(bytes_at(at) + a.bytes, static_cast<int>(guard_byte), guard);
      all().damage = "something is written outside of an allocation of " + std::to_string(a.bytes) + " bytes of device memory";
      return all().damage.c_str();
    }
  }
  return nullptr;
}

}  // namespace detail
}  // namespace tessera::emulator

extern "C" {

// ---- Devices ----

cudaError_t cudaGetDeviceCount(int* count) {
  *count = device_count;
  return cudaSuccess;
}
cudaError_t cudaGetDevice(int* ordinal) {
  *ordinal = current_device;
  return cudaSuccess;
}
cudaError_t cudaSetDevice(int ordinal) {
  if (!is_device(ordinal)) return report(cudaErrorInvalidDevice);
  current_device = ordinal;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetAttribute(int* value, cudaDeviceAttr attribute, int ordinal) {
  if (!is_device(ordinal)) return report(cudaErrorInvalidDevice);
  if (value == nullptr) return report(cudaErrorInvalidValue);
  const device& d = all().devices[ordinal];
  switch (attribute) {
    case cudaDevAttrComputeCapabilityMajor:
      *value = d.major;
      break;
    case cudaDevAttrComputeCapabilityMinor:
      *value = d.minor;
      break;
    case cudaDevAttrMultiProcessorCount:
      *value = d.multiprocessors;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlock:
      *value = 48 * 1024;
      break;
    case cudaDevAttrMaxSharedMemoryPerBlockOptin:
      *value = static_cast<int>(d.shared_bytes());
      break;
    case cudaDevAttrMaxSharedMemoryPerMultiprocessor:
      *value = static_cast<int>(d.shared_bytes()) + 1024;
      break;
    case cudaDevAttrReservedSharedMemoryPerBlock:
      *value = 1024;
      break;
    case cudaDevAttrMaxThreadsPerBlock:
      *value = 1024;
      break;
    case cudaDevAttrMaxThreadsPerMultiProcessor:
      *value = 2048;
      break;
    case cudaDevAttrMaxBlocksPerMultiprocessor:
      *value = 32;
      break;
    case cudaDevAttrMaxRegistersPerBlock:
      *value = 65536;
      break;
    case cudaDevAttrWarpSize:
      *value = 32;
      break;
    case cudaDevAttrL2CacheSize:
      *value = 50 << 20;
      break;
    case cudaDevAttrMaxGridDimX:
      *value = 0x7FFFFFFF;
      break;
    case cudaDevAttrMaxGridDimY:
      *value = 65535;
      break;
    case cudaDevAttrMaxGridDimZ:
      *value = 65535;
      break;
    case cudaDevAttrMemoryPoolsSupported:
      *value = 1;
      break;
    case cudaDevAttrUnifiedAddressing:
      *value = 1;
      break;
    case cudaDevAttrClockRate:
      *value = 1'755'000;
      break;
    case cudaDevAttrMemoryClockRate:
      *value = 2'619'000;
      break;
    case cudaDevAttrGlobalMemoryBusWidth:
      *value = 5120;
      break;
    default:
      return report(cudaErrorInvalidValue);
  }
  return cudaSuccess;
}
cudaError_t cudaGetDeviceProperties(cudaDeviceProp* properties, int ordinal) {
  if (!is_device(ordinal)) return report(cudaErrorInvalidDevice);
  const device& d = all().devices[ordinal];
  *properties = {};
  std::strcpy(properties->name, "Tessera emulator");
  properties->major = d.major;
  properties->minor = d.minor;
  properties->multiProcessorCount = d.multiprocessors;
  properties->sharedMemPerBlock = 48 * 1024;
  properties->sharedMemPerBlockOptin = d.shared_bytes();
  properties->sharedMemPerMultiprocessor = d.shared_bytes() + 1024;
  properties->maxThreadsPerBlock = 1024;
  properties->maxThreadsPerMultiProcessor = 2048;
  properties->regsPerBlock = 65536;
  properties->warpSize = 32;
  properties->l2CacheSize = 50 << 20;
  properties->totalGlobalMem = std::size_t{1} << 36;
  return cudaSuccess;
}
cudaError_t cudaDeviceSynchronize() { return cudaSuccess; }
cudaError_t cudaDeviceReset() { return cudaSuccess; }
cudaError_t cudaRuntimeGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}
cudaError_t cudaDriverGetVersion(int* version) {
  *version = CUDART_VERSION;
  return cudaSuccess;
}

// ---- Errors ----

cudaError_t cudaGetLastError() {
  const cudaError_t code = last_error;
  last_error = cudaSuccess;
  return code;
}
cudaError_t cudaPeekAtLastError() { return last_error; }

}  // extern "C"

namespace {
struct words {
  cudaError_t code;
  const char* name;
  const char* text;
};
constexpr words known_errors[] = {
    {cudaSuccess, "cudaSuccess", "no error"},
    {cudaErrorInvalidValue, "cudaErrorInvalidValue", "invalid argument"},
    {cudaErrorMemoryAllocation, "cudaErrorMemoryAllocation", "out of memory"},
    {cudaErrorInitializationError, "cudaErrorInitializationError", "initialization error"},
    {cudaErrorInvalidConfiguration, "cudaErrorInvalidConfiguration", "invalid configuration argument"},
    {cudaErrorInvalidSymbol, "cudaErrorInvalidSymbol", "invalid device symbol"},
    {cudaErrorInvalidMemcpyDirection, "cudaErrorInvalidMemcpyDirection", "invalid copy direction for memcpy"},
    {cudaErrorInsufficientDriver, "cudaErrorInsufficientDriver", "CUDA driver version is insufficient for CUDA runtime version"},
    {cudaErrorInvalidDeviceFunction, "cudaErrorInvalidDeviceFunction", "invalid device function"},
    {cudaErrorNoDevice, "cudaErrorNoDevice", "no CUDA-capable device is detected"},
    {cudaErrorInvalidDevice, "cudaErrorInvalidDevice", "invalid device ordinal"},
    {cudaErrorInvalidResourceHandle, "cudaErrorInvalidResourceHandle", "invalid resource handle"},
    {cudaErrorNotReady, "cudaErrorNotReady", "device not ready"},
    {cudaErrorIllegalAddress, "cudaErrorIllegalAddress", "an illegal memory access was encountered"},
    {cudaErrorLaunchOutOfResources, "cudaErrorLaunchOutOfResources", "too many resources requested for launch"},
    {cudaErrorLaunchFailure, "cudaErrorLaunchFailure", "unspecified launch failure"},
    {cudaErrorMisalignedAddress, "cudaErrorMisalignedAddress", "misaligned address"},
    {cudaErrorNotSupported, "cudaErrorNotSupported", "operation not supported"},
    {cudaErrorNoKernelImageForDevice, "cudaErrorNoKernelImageForDevice",
     "no kernel image is available for execution on the device"},
    {cudaErrorUnknown, "cudaErrorUnknown", "unknown error"},
};
}  // namespace

extern "C" {

const char* cudaGetErrorName(cudaError_t code) {
  for (const words& w : known_errors) {
    if (w.code == code) return w.name;
  }
  return "unrecognized error code";
}
const char* cudaGetErrorString(cudaError_t code) {
  for (const words& w : known_errors) {
    if (w.code == code) return w.text;
  }
  return "unrecognized error code";
}

// ---- Memory ----

cudaError_t cudaMalloc(void** p, std::size_t bytes) { return allocate(p, bytes, cudaMemoryTypeDevice, current_device); }
cudaError_t cudaMallocAsync(void** p, std::size_t bytes, cudaStream_t stream) {
  return allocate(p, bytes, cudaMemoryTypeDevice, device_of(stream));
}
cudaError_t cudaMallocFromPoolAsync(void** p, std::size_t bytes, cudaMemPool_t pool, cudaStream_t) {
  return allocate(p, bytes, cudaMemoryTypeDevice, pool->device);
}
cudaError_t cudaMallocManaged(void** p, std::size_t bytes, unsigned) {
  return allocate(p, bytes, cudaMemoryTypeManaged, current_device);
}
cudaError_t cudaMallocHost(void** p, std::size_t bytes) { return allocate(p, bytes, cudaMemoryTypeHost, current_device); }
cudaError_t cudaHostAlloc(void** p, std::size_t bytes, unsigned) {
  return allocate(p, bytes, cudaMemoryTypeHost, current_device);
}
cudaError_t cudaFree(void* p) { return release(p, false); }
cudaError_t cudaFreeAsync(void* p, cudaStream_t) { return release(p, false); }
cudaError_t cudaFreeHost(void* p) { return release(p, true); }
cudaError_t cudaHostRegister(void* p, std::size_t bytes, unsigned) {
  const lock hold(all().mutex);
  if (p == nullptr || bytes == 0) return report(cudaErrorInvalidValue);
  all().memory[reinterpret_cast<std::uintptr_t>(p)] = {bytes, cudaMemoryTypeHost, current_device, false};
  return cudaSuccess;
}
cudaError_t cudaHostUnregister(void* p) {
  const lock hold(all().mutex);
  const auto found = all().memory.find(reinterpret_cast<std::uintptr_t>(p));
  if (found == all().memory.end() || found->second.ours) return report(cudaErrorInvalidValue);
  all().memory.erase(found);
  return cudaSuccess;
}
cudaError_t cudaPointerGetAttributes(cudaPointerAttributes* attributes, const void* p) {
  if (attributes == nullptr) return report(cudaErrorInvalidValue);
  const lock hold(all().mutex);
  *attributes = {};
  const allocation* const a = find(p);
  if (a == nullptr) {
    attributes->type = cudaMemoryTypeUnregistered;
    attributes->device = -2;  // cudaInvalidDeviceId
    attributes->hostPointer = const_cast<void*>(p);
    return cudaSuccess;
  }
  attributes->type = a->type;
  attributes->device = a->device;
  attributes->devicePointer = const_cast<void*>(p);
  attributes->hostPointer = a->type == cudaMemoryTypeDevice ? nullptr : const_cast<void*>(p);
  return cudaSuccess;
}
cudaError_t cudaMemGetInfo(std::size_t* free, std::size_t* total) {
  *free = *total = std::size_t{1} << 36;
  return cudaSuccess;
}

cudaError_t cudaMemcpy(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind) { return copy(to, from, bytes, kind); }
cudaError_t cudaMemcpyAsync(void* to, const void* from, std::size_t bytes, cudaMemcpyKind kind, cudaStream_t) {
  return copy(to, from, bytes, kind);
}
cudaError_t cudaMemcpy2D(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
                         std::size_t height, cudaMemcpyKind kind) {
  if (width > to_pitch || width > from_pitch) return report(cudaErrorInvalidValue);
  for (std::size_t i = 0; i < height; ++i) {
    const cudaError_t status =
        copy(static_cast<std::byte*>(to) + i * to_pitch, static_cast<const std::byte*>(from) + i * from_pitch, width, kind);
    if (status != cudaSuccess) return status;
  }
  return cudaSuccess;
}
cudaError_t cudaMemcpy2DAsync(void* to, std::size_t to_pitch, const void* from, std::size_t from_pitch, std::size_t width,
                              std::size_t height, cudaMemcpyKind kind, cudaStream_t) {
  return cudaMemcpy2D(to, to_pitch, from, from_pitch, width, height, kind);
}
cudaError_t cudaMemcpyToSymbol(const void* symbol, const void* from, std::size_t bytes, std::size_t offset, cudaMemcpyKind) {
  std::memcpy(static_cast<std::byte*>(const_cast<void*>(symbol)) + offset, from, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemcpyToSymbolAsync(const void* symbol, const void* from, std::size_t bytes, std::size_t offset,
                                    cudaMemcpyKind kind, cudaStream_t) {
  return cudaMemcpyToSymbol(symbol, from, bytes, offset, kind);
}
cudaError_t cudaMemcpyFromSymbol(void* to, const void* symbol, std::size_t bytes, std::size_t offset, cudaMemcpyKind) {
  std::memcpy(to, static_cast<const std::byte*>(symbol) + offset, bytes);
  return cudaSuccess;
}
cudaError_t cudaMemset(void* p, int value, std::size_t bytes) { return fill(p, value, bytes); }
cudaError_t cudaMemsetAsync(void* p, int value, std::size_t bytes, cudaStream_t) { return fill(p, value, bytes); }

cudaError_t cudaDeviceGetDefaultMemPool(cudaMemPool_t* pool, int ordinal) {
  if (!is_device(ordinal)) return report(cudaErrorInvalidDevice);
  *pool = &all().pools[ordinal];
  return cudaSuccess;
}
cudaError_t cudaDeviceGetMemPool(cudaMemPool_t* pool, int ordinal) { return cudaDeviceGetDefaultMemPool(pool, ordinal); }
cudaError_t cudaMemPoolSetAttribute(cudaMemPool_t, cudaMemPoolAttr, void*) { return cudaSuccess; }
cudaError_t cudaMemPoolTrimTo(cudaMemPool_t, std::size_t) { return cudaSuccess; }

// ---- Kernels ----

cudaError_t cudaFuncSetAttribute(const void* kernel, cudaFuncAttribute attribute, int value) {
  const lock hold(all().mutex);
  if (kernel == nullptr) return report(cudaErrorInvalidDeviceFunction);
  if (attribute == cudaFuncAttributeMaxDynamicSharedMemorySize) {
    if (value < 0 || static_cast<std::size_t>(value) > all().devices[current_device].shared_bytes()) {
      return report(cudaErrorInvalidValue);
    }
    all().allowed_shared_bytes[kernel] = static_cast<std::size_t>(value);
  }
  return cudaSuccess;
}
cudaError_t cudaFuncGetAttributes(cudaFuncAttributes* attributes, const void* kernel) {
  const lock hold(all().mutex);
  if (kernel == nullptr) return report(cudaErrorInvalidDeviceFunction);
  *attributes = {};
  attributes->maxThreadsPerBlock = 1024;
  attributes->numRegs = 255;
  const auto allowed = all().allowed_shared_bytes.find(kernel);
  attributes->maxDynamicSharedSizeBytes =
      static_cast<int>(allowed == all().allowed_shared_bytes.end() ? 48 * 1024 : allowed->second);
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessor(int* blocks, const void*, int threads, std::size_t shared_bytes) {
  if (threads <= 0 || threads > 1024) return report(cudaErrorInvalidValue);
  const std::size_t by_memory = (all().devices[current_device].shared_bytes() + 1024) / (shared_bytes + 1024);
  const std::size_t by_threads = 2048u / static_cast<std::size_t>((threads + 31) / 32 * 32);
  *blocks = static_cast<int>(by_memory < by_threads ? by_memory : by_threads);
  return cudaSuccess;
}
cudaError_t cudaOccupancyMaxActiveBlocksPerMultiprocessorWithFlags(int* blocks, const void* kernel, int threads,
                                                                   std::size_t shared_bytes, unsigned) {
  return cudaOccupancyMaxActiveBlocksPerMultiprocessor(blocks, kernel, threads, shared_bytes);
}

// ---- Tensor maps ----

cudaError_t cudaGetDriverEntryPointByVersion(const char* name, void** function, unsigned, unsigned long long,
                                             cudaDriverEntryPointQueryResult* found) {
  const bool known = std::strcmp(name, "cuTensorMapEncodeTiled") == 0;
  *function = known ? reinterpret_cast<void*>(&encode_tiled) : nullptr;
  if (found != nullptr) *found = known ? cudaDriverEntryPointSuccess : cudaDriverEntryPointSymbolNotFound;
  return cudaSuccess;
}

// ---- Streams and events ----

cudaError_t cudaStreamCreateWithPriority(cudaStream_t* stream, unsigned flags, int priority) {
  *stream = new CUstream_st{current_device, flags, priority};
  return cudaSuccess;
}
cudaError_t cudaStreamCreateWithFlags(cudaStream_t* stream, unsigned flags) {
  return cudaStreamCreateWithPriority(stream, flags, 0);
}
cudaError_t cudaStreamCreate(cudaStream_t* stream) { return cudaStreamCreateWithPriority(stream, 0, 0); }
cudaError_t cudaStreamDestroy(cudaStream_t stream) {
  if (reinterpret_cast<std::uintptr_t>(stream) <= 2) return report(cudaErrorInvalidResourceHandle);
  delete stream;
  return cudaSuccess;
}
cudaError_t cudaStreamGetDevice(cudaStream_t stream, int* ordinal) {
  *ordinal = device_of(stream);
  return cudaSuccess;
}
cudaError_t cudaStreamGetPriority(cudaStream_t stream, int* priority) {
  *priority = reinterpret_cast<std::uintptr_t>(stream) <= 2 ? 0 : stream->priority;
  return cudaSuccess;
}
cudaError_t cudaDeviceGetStreamPriorityRange(int* least, int* greatest) {
  *least = 0;
  *greatest = -5;
  return cudaSuccess;
}
cudaError_t cudaStreamSynchronize(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamQuery(cudaStream_t) { return cudaSuccess; }
cudaError_t cudaStreamWaitEvent(cudaStream_t, cudaEvent_t, unsigned) { return cudaSuccess; }
cudaError_t cudaStreamIsCapturing(cudaStream_t, cudaStreamCaptureStatus* status) {
  *status = cudaStreamCaptureStatusNone;
  return cudaSuccess;
}
cudaError_t cudaLaunchHostFunc(cudaStream_t, cudaHostFn_t function, void* data) {
  function(data);
  return cudaSuccess;
}

cudaError_t cudaEventCreateWithFlags(cudaEvent_t* event, unsigned) {
  *event = new CUevent_st();
  return cudaSuccess;
}
cudaError_t cudaEventCreate(cudaEvent_t* event) { return cudaEventCreateWithFlags(event, 0); }
cudaError_t cudaEventDestroy(cudaEvent_t event) {
  delete event;
  return cudaSuccess;
}
cudaError_t cudaEventRecord(cudaEvent_t event, cudaStream_t) {
  event->when = std::chrono::steady_clock::now();
  event->recorded = true;
  return cudaSuccess;
}
cudaError_t cudaEventQuery(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventSynchronize(cudaEvent_t) { return cudaSuccess; }
cudaError_t cudaEventElapsedTime(float* milliseconds, cudaEvent_t start, cudaEvent_t end) {
  if (!start->recorded || !end->recorded) return report(cudaErrorInvalidResourceHandle);
  *milliseconds = std::chrono::duration<float, std::milli>(end->when - start->when).count();
  return cudaSuccess;
}

}  // extern "C"
