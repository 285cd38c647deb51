#!/bin/sh
# Remove from a folder of installed packages what no run needs: tests, headers, Java, C++ test
# programs, Arrow's network protocols, debug symbols. Nothing that is ever imported.
set -eu
cd "$1"

for package in numpy onnx pandas pyarrow pygame ray scipy sympy tensorboard; do
  [ ! -d "$package" ] || find "$package" -type d \( -name tests -o -name test \) -prune -exec rm -rf {} +
done
rm -rf ray/jars ray/cpp pyarrow/include pyarrow/src numpy/_core/include pygame/docs pygame/examples
rm -rf pyarrow/libarrow_flight* pyarrow/*.pyx pyarrow/*.pxi
rm -rf torch/test torch/include torch/share torch/lib/*.a
[ ! -d torch/bin ] || find torch/bin -type f ! -name torch_shm_manager -delete
for library in torch/lib/*.so ray/_raylet.so ray/core/src/ray/*/raylet ray/core/src/ray/*/gcs_server; do
  [ ! -f "$library" ] || strip --strip-unneeded "$library"
done
