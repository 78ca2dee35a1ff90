#!/bin/bash
# An epilog for Slurm (Epilog= in slurm.conf): a node that is slower than expected is drained, since an epilog that
# fails drains its node. It does not call scontrol, which an epilog must not. slurmd ends an epilog after
# PrologEpilogTimeout; the check takes 20 s. Set BANDMARK_EXPECT and BANDMARK_HISTORY to other places where needed.

expect=${BANDMARK_EXPECT:-/etc/bandmark/expect.toml}
history=${BANDMARK_HISTORY:-/var/lib/bandmark}

line=$(timeout 45 bandmark check --budget 20 --expect "$expect" --history "$history" 2>/dev/null)
code=$?
logger -t bandmark "exit code $code: ${line:-no answer}" 2>/dev/null

# 1 is slower than expected; 2 (bad usage), 3 (busy, not judged) and 124 (timeout) leave the node in service.
if [ "$code" -eq 1 ]; then
    echo "$line" >&2
    exit 1
fi
exit 0
