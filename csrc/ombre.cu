// The ombre's two kernels: search_kernel finds the hair rows of each map, blend_kernel dyes.
//
// Bytes: each pixel is read once and written once, in place only where something changes; besides, the maps. Between
// the kernels go 8 bytes a strip of rows. Nothing here allocates or waits, so a CUDA graph can hold the launches.
#include <cuda_runtime.h>

#include <stdexcept>
#include <string>

#include "ombre_cuda.hpp"

namespace ohlora::gpu {
namespace {

constexpr unsigned kAll = 0xffffffffu;
constexpr int kThreads = kWarps * kLanes;
static_assert(kWarps * kMostRows <= kThreads, "a thread prepares at most one row");

// The votes of a warp's lanes.
struct Votes {
    __device__ int lane() const { return static_cast<int>(threadIdx.x) % kLanes; }
    template <class Of>
    __device__ bool any(Of of) const {
        return __any_sync(kAll, of(lane())) != 0;
    }
    template <class Of>
    __device__ Peak best(Of of) const {
        const Peak peak = of(lane());
        // Floats that are not negative lie in the order of their bits.
        const unsigned most = __reduce_max_sync(kAll, bits_of(peak.value));
        const unsigned winners = __ballot_sync(kAll, bits_of(peak.value) == most);
        return {__uint_as_float(most), __shfl_sync(kAll, peak.column, lowest_bit(winners))};
    }
};

// A warp a strip of `rows` image rows; `extents`: (maps.count, strips).
__global__ void __launch_bounds__(kThreads) search_kernel(const Maps maps, Extent* extents, int strips, int rows) {
    const int blocks = parts(strips, kWarps);  // of a map
    const int map = static_cast<int>(blockIdx.x) / blocks;
    const int strip = static_cast<int>(blockIdx.x) % blocks * kWarps + static_cast<int>(threadIdx.x) / kLanes;
    if (strip >= strips) return;
    HairSearch<Votes> search(maps, map, Votes());
    const Extent found = search.find(strip * rows, smaller((strip + 1) * rows, maps.rows.size));
    if (Votes().lane() == 0) extents[static_cast<std::int64_t>(map) * strips + strip] = found;
}

// WholeLines with the barriers of a warp.
struct Exchanged : WholeLines {
    using Layout = Interleaved<3>;
    static constexpr bool kAlone = false;
    using WholeLines::WholeLines;

    __device__ bool any(bool lit) const { return __any_sync(kAll, lit) != 0; }
    __device__ void gather(std::uint32_t* words) const {
        __syncwarp();  // all have read what was here before
        OHLORA_UNROLL
        for (int k = 0; k < 3; ++k) in_memory_order(k) = words[k];
        __syncwarp();
        OHLORA_UNROLL
        for (int k = 0; k < 3; ++k) words[k] = in_pixel_order(k);
    }
    __device__ void scatter(std::uint32_t* words) const {
        __syncwarp();
        OHLORA_UNROLL
        for (int k = 0; k < 3; ++k) in_pixel_order(k) = words[k];
        __syncwarp();
        OHLORA_UNROLL
        for (int k = 0; k < 3; ++k) words[k] = in_memory_order(k);
    }
};

// A thread's transfer, with the shared memory that it needs.
template <class Transfer>
struct Make {
    static __device__ Transfer transfer() { return {}; }
};
template <>
struct Make<Exchanged> {
    static __device__ Exchanged transfer() {
        __shared__ std::uint32_t words[kWarps][3 * kLanes];
        return {words[threadIdx.x / kLanes], static_cast<int>(threadIdx.x) % kLanes};
    }
};

// What the search found in all strips of a map.
__device__ Extent whole(const Extent* found, int strips) {
    Extent hair{kNone, -1};
    OHLORA_ROLLED
    for (int i = Votes().lane(); i < strips; i += kLanes)
        hair = {smaller(hair.top, found[i].top), larger(hair.bottom, found[i].bottom)};
    return {__reduce_min_sync(kAll, hair.top), __reduce_max_sync(kAll, hair.bottom)};
}

// A warp a strip of kColumns columns and `rows` rows; the warps of a block lie one below the other.
// Six blocks a multiprocessor leave a thread 80 registers: with seven, 72, it spills.
template <class Transfer>
__global__ void __launch_bounds__(kThreads, 6)
    blend_kernel(const Job job, const Extent* extents, int strips, int rows) {
    const int height = job.maps.rows.size;
    const int across = parts(job.width(), kColumns), down = parts(height, kWarps * rows);
    const int column = static_cast<int>(blockIdx.x) % across, band = static_cast<int>(blockIdx.x) / across % down;
    const int n = static_cast<int>(blockIdx.x) / across / down;
    const int thread = static_cast<int>(threadIdx.x), warp = thread / kLanes, lane = thread % kLanes;

    const Extent hair = whole(extents + static_cast<std::int64_t>(job.maps.of(n)) * strips, strips);
    const Gradient gradient(hair, job.settings[5 * n + 3], job.settings[5 * n + 4]);
    __shared__ Row plan[kWarps * kMostRows];
    const int begin = band * kWarps * rows, count = smaller(kWarps * rows, height - begin);
    if (thread < count) plan[thread] = Row(job.maps, begin + thread, gradient);
    __syncthreads();

    const Row* mine = plan + warp * rows;
    const int left = smaller(rows, count - warp * rows), x = column * kColumns;
    if (left <= 0) return;
    const int plain =
        plain_rows(job.maps, job.maps.of(n), mine, left, x, smaller(x + kColumns, job.width()), Votes());
    if (Transfer::kAlone && x + lane * kPixels >= job.width()) return;
    Strip<Transfer> strip(job, n, begin + warp * rows, x + lane * kPixels, Make<Transfer>::transfer());
    strip.copy(plain);
    strip.dye(mine + plain, left - plain);
}

void check(cudaError_t error, const char* what) {
    if (error == cudaSuccess) return;
    const std::string name = cudaGetErrorName(error);
    throw std::runtime_error(std::string(what) + ": " + cudaGetErrorString(error) + " (" + name + ")");
}

template <class Transfer>
void blend(const Job& job, const Extent* extents, int strips, cudaStream_t stream) {
    const int rows = rows_of_warp(job);
    const unsigned blocks = static_cast<unsigned>(blocks_of(job, rows));
    blend_kernel<Transfer><<<blocks, kThreads, 0, stream>>>(job, extents, strips, rows);
    check(cudaGetLastError(), "blend_kernel");
}

template <int kChannels, class ByPixels>
void blend_memory(const Job& job, const Extent* extents, int strips, cudaStream_t stream) {
    switch (memory_of(job)) {
        case Memory::planar: return blend<Direct<Planar<kChannels>>>(job, extents, strips, stream);
        case Memory::interleaved: return blend<ByPixels>(job, extents, strips, stream);
        case Memory::strided: return blend<Direct<Strided<kChannels>>>(job, extents, strips, stream);
    }
}

}  // namespace

void ombre(const Job& job, Extent* extents, int device, void* stream_handle) {
    const cudaStream_t stream = static_cast<cudaStream_t>(stream_handle);
    // PyTorch has a CUDA runtime of its own; this one must look at the same device.
    check(cudaSetDevice(device), "cudaSetDevice");
    const int height = job.maps.rows.size, strips = search_strips(height);
    const unsigned blocks = static_cast<unsigned>(job.maps.count) * parts(strips, kWarps);
    search_kernel<<<blocks, kThreads, 0, stream>>>(job.maps, extents, strips, parts(height, strips));
    check(cudaGetLastError(), "search_kernel");

    if (job.channels == 3)
        blend_memory<3, Exchanged>(job, extents, strips, stream);
    else
        blend_memory<4, Direct<Interleaved<4>>>(job, extents, strips, stream);
}

}  // namespace ohlora::gpu
