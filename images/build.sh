#!/usr/bin/env bash
# Build the image of one flavour: images/build.sh cpu|gpu. `make images` builds both.
# Environment: BASE_IMAGE (default debian:bookworm-slim), TORCH_WHEELS (for cpu; see images/wheel.sh),
# CA_BUNDLE (certificates of a company proxy, never kept), DOCKER (the command), UV (builds the wheel;
# default .venv/bin/uv), SIZE_LIMIT_MB (for cpu; default 1600), EXTRAS (doom: with ViZDoom).
set -euo pipefail
cd "$(dirname "$0")/.."

flavour=${1:-}
docker=${DOCKER:-docker}
uv=${UV:-.venv/bin/uv}
fail() { echo "images/build.sh: $1" >&2; exit 2; }
[[ $flavour == cpu || $flavour == gpu ]] || fail "name a flavour: cpu or gpu"
pins=(requirements.txt)
for extra in ${EXTRAS:-}; do
  [[ $extra == doom ]] || fail "EXTRAS=$extra: the only extra is doom"
  pins+=("requirements-$extra.txt")
done
"$docker" version >/dev/null 2>&1 || fail "no Docker Engine answers '$docker version': start it, or set DOCKER"

# shellcheck disable=SC1091
source cluster.env
revision=$(git rev-parse HEAD)
tag=${revision:0:12}
images/clean.sh || tag=$tag-dirty
image=savanna-$flavour

context=$(mktemp -d)
trap 'rm -rf "$context"' EXIT
mkdir "$context/wheelhouse" "$context/dist"
if [[ $flavour == cpu ]]; then
  wheel=$(images/wheel.sh) || exit
  cp -l "$wheel" "$context/wheelhouse/" 2>/dev/null || cp "$wheel" "$context/wheelhouse/"
fi
# From a copy: an old build folder would add files that no longer exist.
mkdir "$context/source"
git ls-files -z training pyproject.toml README.md LICENSE 'requirements*.txt' |
  xargs -0 cp --parents -t "$context/source"
"$uv" build -q --wheel --no-build-isolation --out-dir "$context/dist" "$context/source"
rm -rf "$context/source"
cp images/{Dockerfile,entrypoint.sh,healthcheck.py,slim.sh,left-out.txt} "images/torch-$flavour.txt" \
  cluster.env "$context"
sort -u "${pins[@]}" >"$context/requirements.txt"

# The image's user must be able to read these, whatever the caller's umask.
chmod 755 "$context"/*.sh && chmod 644 "$context"/{healthcheck.py,cluster.env,left-out.txt} "$context"/*.txt

arguments=(--build-arg "FLAVOUR=$flavour" --build-arg "BASE_IMAGE=${BASE_IMAGE:-debian:bookworm-slim}"
  --build-arg "UV_VERSION=$(sed -n 's/^UV_VERSION := //p' Makefile)"
  --build-arg "VERSION=$(sed -n 's/^version = "\(.*\)"/\1/p' pyproject.toml)"
  --build-arg "REVISION=$revision" --build-arg "RAY_VERSION=$(sed -n 's/^ray==//p' requirements.txt)")
for name in CONTAINER_USER CONTAINER_UID RESULTS_PATH LOGS_PATH; do
  arguments+=(--build-arg "$name=${!name}")
done
[[ -z ${CA_BUNDLE:-} ]] || arguments+=(--secret "id=ca,src=$CA_BUNDLE")
DOCKER_BUILDKIT=1 "$docker" build --progress=plain "${arguments[@]}" \
  -t "$image:$tag" -t "$image:latest" "$context"

megabytes=$(($("$docker" image inspect -f '{{.Size}}' "$image:$tag") / 1000000))
echo "$image:$tag  $megabytes MB"
if [[ $flavour == cpu ]] && ((megabytes > ${SIZE_LIMIT_MB:-1600})); then
  fail "the image is over its budget of ${SIZE_LIMIT_MB:-1600} MB"
fi
