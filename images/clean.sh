#!/usr/bin/env bash
# Whether what is tracked is as committed (exit code 0): then the commit names what an image is made
# of. Stacks' settings do not count: no image has them, and `make up` writes digests into them.
cd "$(dirname "$0")/.." && git diff --quiet HEAD -- . ':(exclude)*Pulumi.*.yaml'
