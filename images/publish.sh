#!/usr/bin/env bash
# Push, lock, sign: images/publish.sh push|sign FLAVOUR. Needs az (logged in) or cosign.
# `push` needs REGISTRY (name.azurecr.io) and writes build/images/FLAVOUR.ref, the image's name with
# its digest, for deployments. `sign` signs that image, without a key, and attaches the bill of
# materials and the provenance.
set -euo pipefail
cd "$(dirname "$0")/.."

verb=${1:-}
flavour=${2:-}
docker=${DOCKER:-docker}
fail() { echo "images/publish.sh: $1" >&2; exit 2; }
[[ $verb == push || $verb == sign ]] || fail "the first argument must be push or sign"
[[ $flavour == cpu || $flavour == gpu ]] || fail "name a flavour: cpu or gpu"
reference=build/images/$flavour.ref
mkdir -p build/images

if [[ $verb == push ]]; then
  [[ -n ${REGISTRY:-} ]] || fail "set REGISTRY to the registry's name, such as teamsavanna.azurecr.io"
  command -v az >/dev/null || fail "the Azure command line az is missing"
  images/clean.sh || fail "there are uncommitted changes: a pushed image names its commit"
  tag=$(git rev-parse --short=12 HEAD)
  "$docker" image inspect "savanna-$flavour:$tag" >/dev/null 2>&1 || fail "savanna-$flavour:$tag is not built: make images"
  az acr login --name "${REGISTRY%%.*}" >/dev/null
  # The tag includes the time: the weekly build of an unchanged commit is a new image, and tags are
  # locked.
  pushed=savanna-$flavour:$tag-$(date -u +%Y%m%d%H%M)
  "$docker" tag "savanna-$flavour:$tag" "$REGISTRY/$pushed"
  "$docker" push --quiet "$REGISTRY/$pushed" >/dev/null
  az acr repository update --name "${REGISTRY%%.*}" --image "$pushed" --write-enabled false >/dev/null
  "$docker" image inspect -f '{{join .RepoDigests "\n"}}' "$REGISTRY/$pushed" | grep -m1 "^$REGISTRY/" | tee "$reference"
else
  command -v cosign >/dev/null || fail "cosign is missing"
  [[ -s $reference ]] || fail "nothing was pushed: run make image-push first"
  image=$(cat "$reference")
  cosign sign --yes "$image"
  cosign attest --yes --type cyclonedx --predicate "build/images/$flavour.sbom.json" "$image"
  cosign attest --yes --type slsaprovenance1 --predicate <(python3 -c 'import json,sys; print(json.dumps(json.load(sys.stdin)["predicate"]))' <"build/images/$flavour.provenance.json") "$image"
fi
