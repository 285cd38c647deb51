#!/usr/bin/env bash
# Exit code 0 if tracked files are as committed, so that the commit identifies an image's sources.
# Stack settings do not count: no image contains them, and `make up` writes digests into them.
cd "$(dirname "$0")/.." && git diff --quiet HEAD -- . ':(exclude)*Pulumi.*.yaml'
