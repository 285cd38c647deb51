#!/usr/bin/env bash
# Run by savanna-node.service: starts this machine's container and keeps it in the cluster, as often
# as it takes. A machine that is out of the cluster for JOIN_MINUTES reports why and stops itself. Settings: /etc/savanna/node.env; folders: systemd's RUNTIME_, LOGS_ and STATE_DIRECTORY.
set -uo pipefail

readonly run=$RUNTIME_DIRECTORY logs=$LOGS_DIRECTORY state=$STATE_DIRECTORY
readonly longest_pause=30
outside_since=$SECONDS step=start minutes=$JOIN_MINUTES limit=0

say() { echo "savanna: $*" >&2; }
left() { local s=$((limit - SECONDS + outside_since)); echo $((s > 1 ? s : 1)); }
agent() { timeout 60 python3 -m agent "$@"; }
know_limit() { # a tag of this machine, which may change while it runs
  minutes=$(agent join-minutes 2>/dev/null || echo "$minutes")
  limit=$(awk "BEGIN {print int($minutes * 60)}")
}
leaving() { [[ -e $run/evicted || -e $run/stopping ]]; }

have_docker() {
  if ! command -v dockerd; then # Ubuntu HPC has it, Canonical's Ubuntu does not
    local install=(timeout "$(left)" apt-get -y -q -o DPkg::Lock::Timeout=300 install --no-install-recommends docker.io)
    export DEBIAN_FRONTEND=noninteractive
    "${install[@]}" || { timeout "$(left)" apt-get -q update && "${install[@]}"; } || return
  fi
  systemctl start docker.service && timeout 30 docker version
}

know_myself() { agent vm-id > "$run/vm-id"; }

fetch_token() { # only for the container's user, on tmpfs
  (umask 077 && agent ray-token > "$run/ray-token.new") && [[ -s $run/ray-token.new ]] &&
    chown "$CONTAINER_UID" "$run/ray-token.new" && chmod 400 "$run/ray-token.new" &&
    mv "$run/ray-token.new" "$run/ray-token"
}

pull() { # the login lasts only for the pull, on tmpfs
  [[ $IMAGE == *@sha256:* ]] && docker image inspect "$IMAGE" >/dev/null 2>&1 && return
  agent registry-token | timeout 60 docker --config "$run/docker" login --password-stdin \
    --username 00000000-0000-0000-0000-000000000000 "$REGISTRY" &&
    timeout "$(left)" docker --config "$run/docker" pull --quiet "$IMAGE"
  local code=$?
  rm -rf "$run/docker"
  return "$code"
}

start() {
  timeout 60 docker rm --force savanna >/dev/null 2>&1
  install -d -o "$CONTAINER_UID" "$logs/ray" "$state/results"
  local files
  files=$(ulimit -Hn)
  [[ $files != unlimited && $files -lt 65536 ]] || files=65536
  local options=(--detach --name savanna --network host --shm-size "${SHM_GIB}g"
    --ulimit "nofile=$files:$files" --cap-drop ALL --security-opt no-new-privileges
    --log-driver json-file --log-opt max-size=20m --log-opt max-file=3
    --volume "$run/ray-token:$TOKEN_PATH:ro" --volume "$logs/ray:$LOGS_PATH"
    --volume "$state/results:$RESULTS_PATH"
    --env "RAY_CLOUD_INSTANCE_ID=$(< "$run/vm-id")" --env "RAY_NODE_TYPE_NAME=$NODE_TYPE"
    --env "RAY_NODE_MARKET_TYPE=$MARKET_TYPE" --env "AZURE_CLIENT_ID=$IDENTITY_CLIENT_ID"
    --env "SAVANNA_STORAGE=$STORAGE" --env "JOIN_TIMEOUT=$(left)")
  [[ $ROLE == head ]] || options+=(--env "HEAD_ADDRESS=$HEAD_ADDRESS")
  ((GPUS == 0)) || options+=(--gpus all)
  ! leaving && timeout "$(left)" docker run "${options[@]}" "$IMAGE" "$ROLE"
}

attempt() { # one step; its output is kept for the report
  step=$1
  "$1" > "$run/step.log" 2>&1 || { say "$1 failed: $(tail -n 1 "$run/step.log")"; return 1; }
}

come_up() {
  know_limit
  attempt have_docker && attempt know_myself && attempt fetch_token && attempt pull &&
    attempt start && step="join" && say "container started, $(left) s left to join"
}

condition() { # healthy, starting, unhealthy, missing, or how the container ended
  local format='{{if .State.Running}}{{.State.Health.Status}}{{else}}{{.State.Status}} with exit code {{.State.ExitCode}}{{end}}' now
  now=$(timeout 20 docker inspect --format "$format" savanna 2>/dev/null) || now=missing
  echo "$now"
}

give_up() {
  {
    echo "$(hostname), $NODE_TYPE node: not in the cluster for $minutes minutes"
    echo "last step: $step; container: $(condition)"
    [[ $step == join ]] || tail -n 20 "$run/step.log"
    echo "last lines of the container:"
    timeout 20 docker logs --tail 30 savanna 2>&1
  } > "$logs/report.txt"
  cat "$logs/report.txt" >&2
  exec python3 -m agent stop "it did not join the cluster within $minutes minutes: step $step failed"
}

quit() { # also when the machine shuts down: systemd stops this service before Docker
  say "stopping the container"
  docker stop -t "$STOP_TIMEOUT" savanna >/dev/null 2>&1
  exit 0
}
trap quit TERM INT

know_limit
joined='' pause=2
while true; do
  now=$(condition)
  if leaving; then
    outside_since=$SECONDS joined=''
  elif [[ $now == healthy ]]; then
    [[ -n $joined ]] || say "joined the cluster as $ROLE after $((SECONDS - outside_since)) s"
    outside_since=$SECONDS joined=yes pause=2
  elif ((SECONDS - outside_since >= limit)) && know_limit && ((SECONDS - outside_since >= limit)); then
    give_up
  elif [[ $now != starting && $now != unhealthy ]]; then
    [[ $now == missing ]] || say "the container $now: $(timeout 20 docker logs --tail 1 savanna 2>&1)"
    joined=''
    come_up
    pause=$((pause * 2 < longest_pause ? pause * 2 : longest_pause))
    sleep "$pause" & wait $!
    continue
  fi
  sleep 2 & wait $!
done
