// The Python module ohlora_fast._cuda. Device memory comes as addresses; arguments are checked in Python. The CUDA
// runtime is linked statically, so that the module loads without a driver.
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <array>

#include "ombre_cuda.hpp"

namespace py = pybind11;

namespace {

using Address = std::uintptr_t;
using Sizes = std::array<std::int64_t, 4>;

template <class Value>
Value* at(Address address) {
    return reinterpret_cast<Value*>(address);
}

void ombre(Address image, const Sizes& image_strides, Address out, const Sizes& out_strides, const Sizes& shape,
           Address maps, const std::array<int, 3>& map_shape, Address row_table, Address column_table, Address settings,
           Address extents, int device, Address stream) {
    const auto images = [](Address data, const Sizes& stride) {
        return ohlora::gpu::Images{at<std::uint8_t>(data), stride[0], stride[1], stride[2], stride[3]};
    };
    const auto [count, channels, height, width] = shape;
    const auto [map_count, map_height, map_width] = map_shape;
    ohlora::gpu::Job job{};
    job.image = images(image, image_strides);
    job.out = images(out, out_strides);
    job.maps.data = at<const float>(maps);
    job.maps.count = map_count;
    job.maps.rows = {at<const float>(row_table), static_cast<int>(height), map_height};
    job.maps.columns = {at<const float>(column_table), static_cast<int>(width), map_width};
    job.maps.tiny = map_height < 4 || map_width < 4;
    job.settings = at<const double>(settings);
    job.count = static_cast<int>(count);
    job.channels = static_cast<int>(channels);
    job.in_place = image == out;
    ohlora::gpu::ombre(job, at<ohlora::gpu::Extent>(extents), device, at<void>(stream));
}

py::dict build_info() {
    py::dict info;
    info["nvcc"] = OHLORA_NVCC;
    info["architectures"] = OHLORA_ARCHITECTURES;
    return info;
}

}  // namespace

PYBIND11_MODULE(_cuda, module) {
    module.doc() = "Compiled CUDA kernels of ohlora_fast.";
    module.def("ombre", &ombre, py::arg("image"), py::arg("image_strides"), py::arg("out"), py::arg("out_strides"),
               py::arg("shape"), py::arg("maps"), py::arg("map_shape"), py::arg("row_table"), py::arg("column_table"),
               py::arg("settings"), py::arg("extents"), py::arg("device"), py::arg("stream"),
               py::call_guard<py::gil_scoped_release>(),
               "Start the ombre on a stream: see ohlora_fast.ops.ombre_cuda. Shape and strides of images are in the "
               "order (N,C,H,W); extents is memory for int32 (M, search_strips(H), 2).");
    module.def("search_strips", &ohlora::gpu::search_strips, py::arg("height"),
               "The strips of rows in which the search for hair cuts an image of this height.");
    module.def("build_info", &build_info, "Compiler and architectures, as a dict.");
}
