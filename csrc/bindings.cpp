// The Python module ohlora_fast._core. Arguments are checked in Python; here only the memory layout is read.
#include <pybind11/numpy.h>
#include <pybind11/pybind11.h>
#include <pybind11/stl.h>

#include <algorithm>
#include <optional>

#include "depthwise.hpp"
#include "natural.hpp"
#include "ombre.hpp"
#include "planes.hpp"
#include "readout.hpp"
#include "refine.hpp"
#include "simd_level.hpp"
#include "squash.hpp"
#include "stylegan_layer.hpp"
#include "thread_pool.hpp"

namespace py = pybind11;

namespace {

using Bytes = py::array_t<std::uint8_t, py::array::c_style | py::array::forcecast>;
using Floats = py::array_t<float, py::array::c_style | py::array::forcecast>;
using Indices = py::array_t<std::uint16_t, py::array::c_style | py::array::forcecast>;
using Doubles = py::array_t<double, py::array::c_style | py::array::forcecast>;

// Chosen once, at import.
const ohlora::Kernels& kernels() {
    static const ohlora::Kernels& chosen = ohlora::best_kernels();
    return chosen;
}

int extent(const py::array& array, int axis) { return static_cast<int>(array.shape(axis)); }

ohlora::ProbabilityMaps maps_of(const Floats& prob) {
    return {prob.data(), extent(prob, 0), extent(prob, 1), extent(prob, 2)};
}

ohlora::Images images_of(const py::array_t<std::uint8_t>& image) {
    return {image.data(),     extent(image, 0), extent(image, 1), extent(image, 2),
            extent(image, 3), image.strides(0), image.strides(1)};
}

py::array_t<std::uint8_t> ombre(const py::array_t<std::uint8_t>& image, const Floats& prob, const Bytes& hue,
                                const Doubles& height, const Doubles& grad_height, int threads) {
    const ohlora::Images images = images_of(image);
    const ohlora::ProbabilityMaps maps = maps_of(prob);
    const ohlora::OmbreSettings settings{hue.data(), height.data(), grad_height.data()};
    py::array_t<std::uint8_t> out({images.count, images.height, images.width, images.channels});
    std::uint8_t* to = out.mutable_data();
    {
        py::gil_scoped_release release;
        ohlora::ombre(images, maps, settings, to, threads, kernels().ombre);
    }
    return out;
}

py::array_t<std::uint8_t> ombre_refined(const py::array_t<std::uint8_t>& image, const Floats& prob, const Bytes& hue,
                                        const Doubles& height, const Doubles& grad_height, const Bytes& guide,
                                        const Floats& maps, int radius, float eps, float doubt, int threads) {
    const ohlora::Images images = images_of(image);
    const ohlora::OmbreSettings settings{hue.data(), height.data(), grad_height.data()};
    const ohlora::Grid grid{guide.data(), maps_of(maps), radius, eps, doubt};
    py::array_t<std::uint8_t> out({images.count, images.height, images.width, images.channels});
    std::uint8_t* to = out.mutable_data();
    {
        py::gil_scoped_release release;
        ohlora::ombre_refined(images, maps_of(prob), settings, grid, to, threads, kernels().ombre, kernels().refine);
    }
    return out;
}

void natural(const py::array_t<std::uint8_t>& image, const Floats& prob, const Floats& table,
             const std::optional<Indices>& index, const Floats& decode, py::array_t<std::uint8_t>& out, int threads) {
    const ohlora::NaturalPhoto photo{image.data(), extent(image, 0), extent(image, 1), extent(image, 2),
                                     image.strides(0), prob.data(), table.data(), index ? index->data() : nullptr,
                                     decode.data()};
    std::uint8_t* to = out.mutable_data();
    {
        py::gil_scoped_release release;
        ohlora::dye_naturally(photo, to, threads, kernels().natural);
    }
}

py::array_t<float> resize_maps(const Floats& prob, int height, int width, int threads) {
    const ohlora::ProbabilityMaps maps = maps_of(prob);
    py::array_t<float> out({maps.count, height, width});
    float* to = out.mutable_data();
    {
        py::gil_scoped_release release;
        ohlora::resize_maps(maps, height, width, to, threads, kernels().ombre);
    }
    return out;
}

ohlora::Plane plane_of(py::array& plane) {
    return {plane.mutable_data(), plane.strides(0) / plane.itemsize()};
}

void dye_planes(py::array y, py::array u, py::array v, const Floats& prob, const Floats& weight, const Floats& to_rgb,
                const Floats& to_yuv, const Floats& zero, const Floats& shift, int bits, int threads) {
    const int height = extent(y, 0), width = extent(y, 1);
    const ohlora::Planes planes{plane_of(y), plane_of(u), plane_of(v), height, width, extent(u, 1) < width ? 2 : 1,
                                extent(u, 0) < height ? 2 : 1, static_cast<int>(y.itemsize())};
    ohlora::YuvDye dye;
    std::copy_n(to_rgb.data(), 9, dye.to_rgb);
    std::copy_n(to_yuv.data(), 9, dye.to_yuv);
    std::copy_n(zero.data(), 3, dye.zero);
    std::copy_n(shift.data(), 3, dye.shift);
    dye.most = static_cast<float>((1 << bits) - 1);
    py::gil_scoped_release release;
    ohlora::dye_planes(planes, prob.data(), weight.data(), dye, threads, kernels().planes);
}

py::array_t<int> hair_rows(const Floats& prob, int height, int width, int threads) {
    const ohlora::ProbabilityMaps maps = maps_of(prob);
    std::vector<ohlora::HairRows> found;
    {
        py::gil_scoped_release release;
        found = ohlora::find_hair_rows(maps, height, width, threads, kernels().ombre);
    }
    py::array_t<int> out({maps.count, 2});
    for (int n = 0; n < maps.count; ++n) {
        out.mutable_at(n, 0) = found[static_cast<std::size_t>(n)].top;
        out.mutable_at(n, 1) = found[static_cast<std::size_t>(n)].bottom;
    }
    return out;
}

void refine(const py::array_t<std::uint8_t>& image, const Bytes& guide, const Floats& maps, int radius, float eps,
            float doubt, py::array_t<float>& prob, int threads) {
    const ohlora::Images photos = images_of(image);
    const ohlora::Grid grid{guide.data(), maps_of(maps), radius, eps, doubt};
    float* to = prob.mutable_data();
    {
        py::gil_scoped_release release;
        ohlora::refine(photos, grid, to, threads, kernels().refine);
    }
}

py::array_t<std::uint8_t> squash(const py::array_t<std::uint8_t>& image, int size, int threads) {
    const int width = extent(image, 2);
    const int pixel = width == 1 ? 3 : static_cast<int>(image.strides(2));  // a lone pixel's stride may be any number
    const ohlora::Photos photos{image.data(), extent(image, 0), extent(image, 1), width, pixel, image.strides(0),
                                image.strides(1)};
    py::array_t<std::uint8_t> out({photos.count, size, size, 3});
    std::uint8_t* to = out.mutable_data();
    {
        py::gil_scoped_release release;
        ohlora::squash(photos, size, to, threads, kernels().squash);
    }
    return out;
}

ohlora::Readout make_readout(const Floats& weights, int channels, int stride) {
    if (channels < 1 || channels > ohlora::Readout::kMostChannels)
        throw std::invalid_argument("channels: got " + std::to_string(channels) + ", allowed are 1 to " +
                                    std::to_string(ohlora::Readout::kMostChannels));
    if (stride != 1 && stride != 2)
        throw std::invalid_argument("stride: got " + std::to_string(stride) + ", allowed are 1 and 2");
    if (static_cast<std::size_t>(weights.size()) != ohlora::Readout::size(channels))
        throw std::invalid_argument("weights: " + std::to_string(weights.size()) + " are not those of " +
                                    std::to_string(channels) + " channels");
    return {weights.data(), channels, stride};
}

py::array_t<float> read_out(const ohlora::Readout& readout, const Floats& sums, int threads) {
    if (sums.ndim() != 4 || sums.shape(1) != readout.channels() || sums.shape(2) < 1 || sums.shape(3) < 1)
        throw std::invalid_argument("sums: expected (N, " + std::to_string(readout.channels()) + ", h, w)");
    if (threads < 1) throw std::invalid_argument("threads: got " + std::to_string(threads) + ", allowed is 1 or more");
    const int count = extent(sums, 0), height = extent(sums, 2), width = extent(sums, 3);
    py::array_t<float> out({count, 2 * height, 2 * width});
    float* to = out.mutable_data();
    {
        py::gil_scoped_release release;
        readout.run(sums.data(), count, height, width, to, threads, kernels().readout);
    }
    return out;
}

void style_layer(const Floats& x, const Floats& noise, const Floats& noise_weight, const Floats& bias,
                 const Floats& style, bool blur, py::array_t<float>& out, int threads) {
    const ohlora::StyleLayer layer{x.data(),     extent(x, 0),     extent(x, 1),        extent(x, 2), extent(x, 3),
                                   noise.data(), extent(noise, 0), noise_weight.data(), bias.data(),  style.data(),
                                   blur};
    float* to = out.mutable_data();
    {
        py::gil_scoped_release release;
        ohlora::style_layer(layer, to, threads, kernels().style);
    }
}

void depthwise_gradients(const Indices& x, const Indices& grad, const Floats& weight, int stride, int padding,
                         py::array_t<std::uint16_t>& x_grad, py::array_t<float>& weight_grad, int threads) {
    const ohlora::DepthwiseMaps maps{x.data(),       grad.data(),       weight.data(),
                                     extent(x, 0),   extent(x, 1),      extent(x, 2),
                                     extent(grad, 1), extent(grad, 2),  extent(x, 3),
                                     extent(weight, 1), stride,         padding};
    std::uint16_t* to = x_grad.mutable_data();
    float* weight_to = weight_grad.mutable_data();
    {
        py::gil_scoped_release release;
        ohlora::depthwise_gradients(maps, to, weight_to, threads, kernels().depthwise);
    }
}

py::dict build_info() {
    py::dict info;
    info["compiler"] = OHLORA_COMPILER;
    info["cxx_standard"] = static_cast<long>(__cplusplus);
    info["simd_compiled"] = ohlora::compiled_levels();
    info["simd"] = kernels().name;
    info["int8"] = ohlora::has_int8_products();
    info["threads"] = ohlora::default_threads();
    return info;
}

}  // namespace

PYBIND11_MODULE(_core, module) {
    module.doc() = "Compiled CPU kernels of ohlora_fast.";
    kernels();
    module.def("ombre", &ombre, py::arg("image"), py::arg("prob"), py::arg("hue"), py::arg("height"),
               py::arg("grad_height"), py::arg("threads"),
               "uint8 (N,H,W,3|4) with contiguous pixels, float32 (N|1,h,w), uint8 (N,3), float64 (N,) twice.");
    module.def("ombre_refined", &ombre_refined, py::arg("image"), py::arg("prob"), py::arg("hue"), py::arg("height"),
               py::arg("grad_height"), py::arg("guide"), py::arg("maps"), py::arg("radius"), py::arg("eps"),
               py::arg("doubt"), py::arg("threads"), "As ombre and refine in one pass.");
    module.def("hair_rows", &hair_rows, py::arg("prob"), py::arg("height"), py::arg("width"), py::arg("threads"),
               "First and last hair row of each map at this size, int32 (N,2); -1 where there is none.");
    module.def("dye_planes", &dye_planes, py::arg("y"), py::arg("u"), py::arg("v"), py::arg("prob"), py::arg("weight"),
               py::arg("to_rgb"), py::arg("to_yuv"), py::arg("zero"), py::arg("shift"), py::arg("bits"),
               py::arg("threads"), "In place: uint8 or uint16 planes with contiguous rows; float32 (H,W), (H,), (3,3), "
               "(3,3), (3,), (3,).");
    module.def("natural", &natural, py::arg("image"), py::arg("prob"), py::arg("table"), py::arg("index"),
               py::arg("decode"), py::arg("out"), py::arg("threads"),
               "uint8 (H,W,3|4) with contiguous pixels, float32 (H,W), (R,12), uint16 (H,W) or None, float32 (256,) -> "
               "out, contiguous, the photo's shape.");
    module.def("resize_maps", &resize_maps, py::arg("prob"), py::arg("height"), py::arg("width"), py::arg("threads"),
               "float32 (N,h,w) -> float32 (N,height,width), bicubic, clipped to [0,1].");
    module.def("refine", &refine, py::arg("image"), py::arg("guide"), py::arg("maps"), py::arg("radius"),
               py::arg("eps"), py::arg("doubt"), py::arg("prob"), py::arg("threads"),
               "uint8 (N,H,W,3|4) with contiguous pixels, uint8 (N,h,w,3), float32 (N|1,h,w); changes float32 (N,H,W).");
    module.def("squash", &squash, py::arg("image"), py::arg("size"), py::arg("threads"),
               "uint8 (N,H,W,3|4) with pixels 3 or 4 bytes apart to (N,size,size,3).");
    py::class_<ohlora::Readout>(module, "Readout", "The student's readout: two ghost modules and the sigmoid.")
        .def(py::init(&make_readout), py::arg("weights"), py::arg("channels"), py::arg("stride"),
             "float32 (channels * (2 * channels + 25) + 1,) in the order of readout.hpp; head stride 1 or 2.")
        .def_property_readonly("channels", &ohlora::Readout::channels, "Channels of the sums.")
        .def("__call__", &read_out, py::arg("sums"), py::arg("threads"),
             "float32 (N,channels,h,w) -> float32 (N,2h,2w) in [0,1].");
    module.def("style_layer", &style_layer, py::arg("x"), py::arg("noise"), py::arg("noise_weight"), py::arg("bias"),
               py::arg("style"), py::arg("blur"), py::arg("out"), py::arg("threads"),
               "float32 (N,H,W,C), (N|1,H,W), (C,) twice, (N,2C) -> out, contiguous, (N,H,W,C).");
    module.def("depthwise_gradients", &depthwise_gradients, py::arg("x"), py::arg("grad"), py::arg("weight"),
               py::arg("stride"), py::arg("padding"), py::arg("x_grad"), py::arg("weight_grad"), py::arg("threads"),
               "The 16 bits of bfloat16, (N,H,W,C), (N,h,w,C); float32 (C,K,K), K being 3 or 5 -> x_grad as x, "
               "weight_grad as weight. All contiguous, C a multiple of 16.");
    module.def("default_threads", &ohlora::default_threads, "The CPUs that this process may use.");
    module.def("build_info", &build_info,
               "Compiler, language standard, vector instructions, int8 products and threads, as a dict.");
}
