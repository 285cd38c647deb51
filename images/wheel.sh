#!/usr/bin/env bash
# Print the path of the CPU wheel of torch that the cpu image takes, of TORCH_WHEELS (a folder).
set -euo pipefail
cd "$(dirname "$0")/.."

folder=${TORCH_WHEELS:-images/wheelhouse}
version=$(sed -n 's/^torch==//p' images/torch-cpu.txt)
wheel=$(find "$folder" -name "torch-$version*cp311*x86_64.whl" 2>/dev/null | head -1)
if [[ -z $wheel ]]; then
  echo "no CPU wheel of torch $version for Python 3.11 in $folder: put one there, or set TORCH_WHEELS to its folder" >&2
  exit 2
fi
echo "$wheel"
