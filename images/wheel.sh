#!/usr/bin/env bash
# Print the path of a wheel of the pinned torch: in the folder TORCH_WHEELS if set, else in the first
# of UV_FIND_LINKS, PIP_FIND_LINKS and images/wheelhouse that has one. The cpu image and `make setup`
# use it.
set -euo pipefail
cd "$(dirname "$0")/.."

version=$(sed -n 's/^torch==//p' images/torch-cpu.txt)
if [[ -n ${TORCH_WHEELS:-} ]]; then
  folders=("$TORCH_WHEELS")
else
  IFS=, read -ra folders <<<"${UV_FIND_LINKS:-}"
  read -ra more <<<"${PIP_FIND_LINKS:-}"
  folders+=("${more[@]}" images/wheelhouse)
fi
for folder in "${folders[@]}"; do
  for wheel in "$folder/torch-$version"[-+]*cp311*"$(uname -m).whl"; do
    if [[ -e $wheel ]]; then echo "$wheel" && exit; fi
  done
done
echo "no CPU wheel of torch $version for Python 3.11 in ${TORCH_WHEELS:-images/wheelhouse}: put one there, or set TORCH_WHEELS to its folder" >&2
exit 2
