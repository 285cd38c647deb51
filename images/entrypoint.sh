#!/usr/bin/env bash
# shellcheck disable=SC2317 # the trap calls these functions
# Entry point of a Savanna container: `head` and `worker` start Ray and join the cluster, anything
# else runs as a command. Settings come from cluster.env; the environment may override
# HEAD_ADDRESS, NUM_CPUS, NUM_GPUS, NODE_LABELS, OBJECT_STORE_MEMORY, DASHBOARD_HOST, JOIN_TIMEOUT.
set -euo pipefail

while IFS='=' read -r key value; do
  [[ $key =~ ^[A-Z_]+$ && -z ${!key:-} ]] && export "$key=$value"
done < /opt/savanna/cluster.env

say() { printf '%s savanna: %s\n' "$(date -u +%FT%TZ)" "$*" | tee -a "$LOGS_PATH/entrypoint.log" >&2; }
die() { say "error: $1"; exit "${2:-1}"; }
mib() { echo "$(($1 / 1048576)) MiB"; }

memory_limit() { # bytes: the container's limit, or all of the machine's memory
  local total limit
  total=$(($(awk '/^MemTotal/ {print $2}' /proc/meminfo) * 1024))
  limit=$(cat /sys/fs/cgroup/memory.max /sys/fs/cgroup/memory/memory.limit_in_bytes 2>/dev/null | head -1)
  if [[ $limit =~ ^[0-9]{1,18}$ ]] && ((limit < total)); then echo "$limit"; else echo "$total"; fi
}

wait_for_head() {
  local deadline=$((SECONDS + JOIN_TIMEOUT))
  until timeout 5 bash -c "exec 3<>/dev/tcp/$HEAD_ADDRESS/$HEAD_PORT" 2>/dev/null; do
    ((SECONDS < deadline)) || die "no head answered at $HEAD_ADDRESS:$HEAD_PORT within $JOIN_TIMEOUT s: is it running, and can this node reach that port?"
    sleep 1
  done
}

stop_runs() { # the first SIGTERM makes a run write a checkpoint
  local deadline=$((SECONDS + CHECKPOINT_TIMEOUT))
  pkill -TERM -f "$1" || return 0
  say "waiting up to $CHECKPOINT_TIMEOUT s for runs to write their checkpoints"
  while pgrep -f "$1" >/dev/null && ((SECONDS < deadline)); do sleep 0.5; done
}

stop() {
  trap '' TERM INT
  say "$role was asked to stop: draining"
  [[ $role == worker ]] || stop_runs '^[^ ]*python[^ ]* .*savanna train'
  kill -TERM "$ray" || true
  wait "$ray" || true
  say "$role stopped"
  exit 0
}

role=${1:-}
[[ -n $role ]] || die "no role given: use head, worker, or a command to run" 2
if [[ $role != head && $role != worker ]]; then
  command -v -- "$role" >/dev/null || die "unknown role or command '$role': use head, worker, or a command such as savanna" 2
  exec "$@"
fi
(($# == 1)) || die "$role takes no arguments, got: ${*:2}" 2

export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=${RAY_AUTH_TOKEN_PATH:-$TOKEN_PATH}
[[ -s $RAY_AUTH_TOKEN_PATH && -r $RAY_AUTH_TOKEN_PATH ]] ||
  die "no Ray token: put one into the file $RAY_AUTH_TOKEN_PATH, readable by user $CONTAINER_USER ($CONTAINER_UID)" 2
unset RAY_AUTH_TOKEN
# Ray's default place, so that another command in this container (docker exec) can join too.
mkdir -p ~/.ray && ln -sf "$RAY_AUTH_TOKEN_PATH" ~/.ray/auth_token

memory=$(memory_limit)
store=${OBJECT_STORE_MEMORY:-$((memory * OBJECT_STORE_PERCENT / 100))}
shm=$(df --block-size=1 --output=size /dev/shm | tail -1)
((shm >= store)) ||
  die "shared memory is $(mib "$shm"), the object store needs $(mib "$store"): add --shm-size=$((memory * SHM_PERCENT / 100 / 1048576))m to docker run" 2

export RAY_JOB_STOP_WAIT_TIME_S=$CHECKPOINT_TIMEOUT RAY_worker_niceness=0
export RAY_ACCEL_ENV_VAR_OVERRIDE_ON_ZERO=0 AUTOSCALER_METRIC_PORT DASHBOARD_METRIC_PORT
export RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=$DRAIN_TIMEOUT
# A worker whose head is gone ends after this time, so that it can be restarted and join again.
export RAY_gcs_rpc_server_reconnect_timeout_s=$HEAD_LOST_TIMEOUT
# If a new head is up before that, it does not know the worker, which then ends as well. Ray checks
# this once a minute by default.
export RAY_raylet_liveness_self_check_interval_ms=5000
options=(--block --disable-usage-stats --log-style=record --log-color=false
  --object-store-memory="$store"
  --node-manager-port="$NODE_MANAGER_PORT" --object-manager-port="$OBJECT_MANAGER_PORT"
  --runtime-env-agent-port="$RUNTIME_ENV_AGENT_PORT" --metrics-export-port="$METRICS_EXPORT_PORT"
  --dashboard-agent-grpc-port="$DASHBOARD_AGENT_GRPC_PORT"
  --dashboard-agent-listen-port="$DASHBOARD_AGENT_HTTP_PORT"
  --min-worker-port="$MIN_WORKER_PORT" --max-worker-port="$MAX_WORKER_PORT")
echo "$role" > /tmp/savanna-role # from here on healthcheck.py requires Ray: a waiting node has not joined
[[ -z ${NUM_CPUS:-} ]] || options+=(--num-cpus="$NUM_CPUS")
[[ -z ${NUM_GPUS:-} ]] || options+=(--num-gpus="$NUM_GPUS")
[[ -z ${NODE_LABELS:-} ]] || options+=(--labels="$NODE_LABELS")
if [[ $role == head ]]; then
  RAY_GRACEFUL_SHUTDOWN_DRAIN_TIMEOUT_S=0
  options+=(--head --port="$HEAD_PORT" --ray-client-server-port="$RAY_CLIENT_PORT"
    --dashboard-host="${DASHBOARD_HOST:-127.0.0.1}" --dashboard-port="$DASHBOARD_PORT")
else
  [[ -n ${HEAD_ADDRESS:-} ]] || die "HEAD_ADDRESS is not set: a worker needs the name or address of its head" 2
  say "waiting up to $JOIN_TIMEOUT s for the head at $HEAD_ADDRESS:$HEAD_PORT"
  wait_for_head
  options+=(--address="$HEAD_ADDRESS:$HEAD_PORT")
fi

files=$(ulimit -Hn)
[[ $files != unlimited && $files -lt 65536 ]] || files=65536
ulimit -n "$files" # Ray opens a socket per pair of processes; the default of 1024 is too low
say "starting as $role: $(mib "$memory") of memory, $(mib "$store") of it for the object store, $(mib "$shm") shared"
trap stop TERM INT
ray start "${options[@]}" &
ray=$!
code=0
wait "$ray" || code=$?
die "ray ended with exit code $code; its logs are in $LOGS_PATH/session_latest/logs" "$((code ? code : 1))"
