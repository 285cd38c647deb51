#!/usr/bin/env bash
# Create .venv with pinned packages: infra/setup.sh UV_VERSION; `make setup` calls this.
# If .venv/.installed exists, .venv is complete. If not, an earlier call was interrupted or failed and
# may have left half a package: .venv is then created again, from uv's cache.
# Environment: PYTHON (a Python 3.11), TORCH_WHEELS, UV_FIND_LINKS, PIP_FIND_LINKS (folders with a
# torch wheel), UV_TORCH_BACKEND (a build that uv knows by name, for example cpu).
set -euo pipefail
cd "$(dirname "$0")/.."

uv_version=$1 venv=.venv python=${PYTHON:-python3.11}
stamp=$venv/.installed uv=$venv/bin/uv
probe_seconds=60 # uv gives up after about ten when a connection is refused
fail() { echo "make setup: $1" >&2; exit 1; }

up_to_date() { [[ -e $stamp && ! requirements-dev.txt -nt $stamp && ! pyproject.toml -nt $stamp ]]; }
uv_works() { [[ $("$uv" --version 2>/dev/null) == "uv $uv_version "* ]]; }

new_venv() {
  "$python" -c 'import sys; sys.exit(sys.version_info[:2] != (3, 11))' 2>/dev/null ||
    fail "Python 3.11 is needed and was not found (Debian: apt-get install python3.11)."
  "$python" -c 'import ensurepip, venv' 2>/dev/null ||
    fail "Python's venv module is missing (Debian: apt-get install python3.11-venv)."
  [[ -e $stamp ]] || "$python" -m venv --clear "$venv" || fail "$python cannot create $venv."
  "$venv/bin/python" -m pip install -qq "uv==$uv_version" || again "pip could not install uv $uv_version"
}

again() {
  fail "$1 (see above). Fix this and run \`make setup\` again; nothing is downloaded twice."
}

# The build uv would pick for the torch pin, such as `torch==2.13.0+cpu`; if none, the reason.
resolve() {
  timeout --foreground "$probe_seconds" "$uv" pip compile -q --no-deps --no-header --no-annotate \
    --python "$venv/bin/python" "$@" - <<<"$torch" 2>&1 && return
  (($? != 124)) || echo "no answer within $probe_seconds s"
  return 1
}

# Choose torch: sets `build`, its name in messages, and `options` for uv.
choose_torch() {
  local wheel answer
  if [[ -n ${TORCH_WHEELS:-} ]]; then
    wheel=$(images/wheel.sh) || exit
  else
    wheel=$(images/wheel.sh 2>/dev/null) || wheel=
  fi
  if [[ -n $wheel ]]; then
    build=$wheel options=(--find-links "$(dirname "$wheel")")
  elif [[ $backend != auto ]]; then
    build="torch's build for $backend" options=("--torch-backend=$backend")
  elif answer=$(resolve --torch-backend=auto); then
    build=$answer options=(--torch-backend=auto)
  else
    build=$(resolve) || { echo "$build" >&2; again "cannot use the package index"; }
    options=()
    cat >&2 <<END
make setup: uv cannot choose a torch build for this machine (${answer##*cause: }).
Installing the default build, with CUDA: 7.0 GB in $venv, and 6.3 GB in uv's cache.
If you have no GPU, press Ctrl-C, put a CPU wheel of torch ${torch#*==} for Python 3.11 into a folder,
and run \`make setup TORCH_WHEELS=folder\`: 3.2 GB, and 2.6 GB in the cache.
END
  fi
}

mkdir -p .savanna
exec 9>>.savanna/setup.lock # child processes hold the lock too, so nothing of an ended call is still running
flock --nonblock 9 || { echo "Another make setup is running here: waiting for it ..."; flock 9; }
up_to_date && exit

torch=$(grep '^torch==' requirements.txt)
backend=${UV_TORCH_BACKEND:-auto} build=$torch options=()
unset UV_TORCH_BACKEND
export UV_LINK_MODE=copy
unfinished=
if ! uv_works; then
  new_venv
elif [[ ! -e $stamp ]]; then
  unfinished=yes
fi
# A complete .venv keeps its torch, if its version is the pinned one.
if [[ ! -e $stamp ]] || ! compgen -G "$venv/lib/python3.11/site-packages/${torch/==/-}*.dist-info" >/dev/null; then
  choose_torch
fi
[[ -z $unfinished ]] || new_venv
rm -f "$stamp"
echo "Installing the pinned packages into $venv, with $build ..."
install=("$uv" pip install -q --python "$venv/bin/python")
"${install[@]}" --compile-bytecode "${options[@]}" -r requirements-dev.txt || again "uv could not install the packages"
"${install[@]}" --no-deps -e . || again "uv could not install the project"
touch "$stamp"
