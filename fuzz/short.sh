#!/usr/bin/env bash
# Runs every fuzz target for SECONDS (default 10) on stable Rust, or only those named: fuzz/short.sh [SECONDS [TARGET…]].
# fuzz/short.sh --seeds writes corpus-seeds/ and world/ anew.
# The same seed each time, so that a gate does not fail by chance. Without cargo-fuzz: its coverage comes from flags that a stable rustc takes too (docs/fuzzing.md).
set -euo pipefail
cd "$(dirname "$0")"
seconds=${1:-10}
kind=--bins
[ "$seconds" != --seeds ] || kind=--example=seeds
shift || true

host=$(rustc -vV | sed -n 's/^host: //p')
export CARGO_TARGET_DIR=$PWD/target CARGO_INCREMENTAL=0
export RUSTFLAGS="--cfg fuzzing -Cpasses=sancov-module -Cllvm-args=-sanitizer-coverage-level=4
 -Cllvm-args=-sanitizer-coverage-inline-8bit-counters -Cllvm-args=-sanitizer-coverage-pc-table
 -Cllvm-args=-sanitizer-coverage-trace-compares"
RUSTFLAGS=${RUSTFLAGS//$'\n'/}
targets=("$@")
[ "${#targets[@]}" -gt 0 ] || mapfile -t targets < <(cd targets && ls -- *.rs | sed 's/\.rs$//')

began=$SECONDS
# With --target, build scripts and macros are not instrumented.
cargo build --release --locked "$kind" --target "$host"
if [ "$seconds" = --seeds ]; then
    exec "target/$host/release/examples/seeds"
fi
echo "built in $((SECONDS - began)) s"

# A store that syncs belongs in memory.
[ -w /dev/shm ] && export TMPDIR=/dev/shm

fuzz() {
    local target=$1 seeds=corpus-seeds/$1
    [ "$target" != imap_command ] || seeds=corpus-seeds/imap_session
    [ "$target" != searched ] || seeds=corpus-seeds/mime
    [ "$target" != structure_stored ] || [ -d "$seeds" ] || seeds=corpus-seeds/mime
    local found=target/corpus/$target log=target/logs/$target.log
    mkdir -p "$found" target/artifacts/"$target" target/logs
    if "target/$host/release/$target" "$found" "$seeds" -seed=1 -max_total_time="$seconds" -max_len=16384 -len_control=10 -timeout=20 \
        -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="target/artifacts/$target/" >"$log" 2>&1; then
        echo "$target: $(grep -h 'number_of_executed_units' "$log" | tr -s ' ')"
    else
        grep -v '^#' "$log" | tail -40
        echo "$target: FAILED, see $log"
        return 1
    fi
}
export -f fuzz
export seconds host
began=$SECONDS
printf '%s\n' "${targets[@]}" | xargs -P "$(nproc)" -I{} bash -c 'fuzz {}'
echo "${#targets[@]} targets in $((SECONDS - began)) s"
