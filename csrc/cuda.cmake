# The Python module of the CUDA kernels. PyTorch is not needed, here or there: the kernels take addresses.

# Machine code for the A100's generation and Hopper's; PTX for what comes after.
if(NOT DEFINED CMAKE_CUDA_ARCHITECTURES)
  set(CMAKE_CUDA_ARCHITECTURES 80-real 90-real 90-virtual)
endif()
enable_language(CUDA)
set(CMAKE_CUDA_STANDARD 17)
set(CMAKE_CUDA_STANDARD_REQUIRED ON)
set(CMAKE_CUDA_EXTENSIONS OFF)
set(CMAKE_CUDA_VISIBILITY_PRESET hidden)
set(CMAKE_CUDA_RUNTIME_LIBRARY Static)

set(PYBIND11_FINDPYTHON ON)
find_package(pybind11 2.11 CONFIG REQUIRED)
pybind11_add_module(_cuda MODULE NO_EXTRAS csrc/cuda_bindings.cpp csrc/ombre.cu)

# No contraction, as for the CPU: a·b + c rounds twice unless the source says otherwise.
set(CUDA_OPTIONS --fmad=false)
if(NOT MSVC)
  list(APPEND CUDA_OPTIONS -Xcompiler=-Wall,-Wextra)
endif()
if(OHLORA_WERROR)
  list(APPEND CUDA_OPTIONS -Werror=all-warnings $<IF:$<BOOL:${MSVC}>,-Xcompiler=/WX,-Xcompiler=-Werror>)
endif()
foreach(one IN LISTS CUDA_OPTIONS)
  target_compile_options(_cuda PRIVATE $<$<COMPILE_LANGUAGE:CUDA>:${one}>)
endforeach()

string(REGEX REPLACE "([0-9]+a?)-real" "sm_\\1" named "${CMAKE_CUDA_ARCHITECTURES}")
string(REGEX REPLACE "([0-9]+a?)-virtual" "PTX of compute_\\1" named "${named}")
string(REPLACE ";" ", " named "${named}")
target_compile_definitions(_cuda PRIVATE
  OHLORA_NVCC="${CMAKE_CUDA_COMPILER_VERSION}" OHLORA_ARCHITECTURES="${named}")
