#!/bin/sh
# From a bare Debian to the project with its environment: the steps of the Dockerfile, of the
# Apptainer definition and of container/fresh_debian.sh. After them `make book` and `make test` run.
set -eu
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# The tools are oracles of the tests and steps of `howfar cohort`; the book needs none of them.
apt-get install -qq --no-install-recommends ca-certificates git make python3 python3-venv \
  bcftools samtools tabix plink2 plink1.9 gemma shapeit4 >/dev/null
rm -rf /var/lib/apt/lists/*
cd "$(dirname "$0")/.."
PIP_NO_CACHE_DIR=1 make setup
