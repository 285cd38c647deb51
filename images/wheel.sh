#!/usr/bin/env bash
# Print the path of the wheel of the pinned torch in the folder TORCH_WHEELS; without TORCH_WHEELS in
# the first that has one of UV_FIND_LINKS, PIP_FIND_LINKS and images/wheelhouse. The cpu image takes
# it, and so does `make setup`.
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
