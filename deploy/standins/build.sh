#!/usr/bin/env bash
# Local stand-in images for machines that reach no image registry.
#
#   deploy/standins/build.sh [WORK_DIR]
#
# Makes, under the tags that docker-compose.yml and the tests ask for, images that behave like the
# official ones where this project can tell: the same environment variables, ports, paths and users.
# They check wiring, health, users and start order. They are not the official images, and a run on
# them says nothing about those; every one carries the label org.throughcare.standin=true.
#
# Needs root, debootstrap, Docker and Python 3.11 with the project's venv. Debian packages come from
# the mirror that apt is set up with (MIRROR=… overrides), Python packages from the index that pip is
# set up with, the Kafka jars from the user's cache, and Java from the project's venv.
set -euo pipefail

here=$(cd "$(dirname "$0")" && pwd)
repo=$(cd "$here/../.." && pwd)
work=${1:-${TMPDIR:-/tmp}/throughcare-standins}
python=${PYTHON:-$repo/.venv/bin/python}
kafka_tag=${KAFKA_IMAGE:-$("$python" -m shared.devtools.backends.images kafka)}
mongo_tag=${MONGO_IMAGE:-$("$python" -m shared.devtools.backends.images mongo)}
python_tag=${PYTHON_IMAGE:-python:3.11-slim}

. /etc/os-release
suite=${SUITE:-$VERSION_CODENAME}
mirror=${MIRROR:-$(apt-get indextargets --format '$(REPO_URI) $(RELEASE)' 'Created-By: Packages' |
  awk -v suite="$suite" '$2 == suite { print $1; exit }')}
mkdir -p "$work"

# 1. A small Debian with Python, and what a 'slim' Python image has: python, pip, no guard on pip.
if [ ! -f "$work/base/rootfs.tar" ]; then
  rm -rf "$work/rootfs"
  mkdir -p "$work/base"
  debootstrap --variant=minbase --include=ca-certificates,python3,python3-pip,python3-venv \
    "$suite" "$work/rootfs" "$mirror"
  ln -sf python3 "$work/rootfs/usr/bin/python"
  rm -f "$work"/rootfs/usr/lib/python3*/EXTERNALLY-MANAGED
  rm -rf "$work"/rootfs/var/cache/apt/* "$work"/rootfs/var/lib/apt/lists/* \
    "$work"/rootfs/usr/share/{doc,man,locale} "$work"/rootfs/var/log/*
  # What names the mirror stays on this machine.
  : > "$work/rootfs/etc/apt/sources.list"
  tar -C "$work/rootfs" --numeric-owner -cf "$work/base/rootfs.tar" .
fi
cp "$here/base/Dockerfile" /etc/ssl/certs/ca-certificates.crt "$work/base/"
docker build -q -t throughcare-standin-base "$work/base"
docker tag throughcare-standin-base "$python_tag"

# 2. Apache Kafka: the real broker's jars over the packaged Java, with the official image's ways.
rm -rf "$work/kafka"
mkdir -p "$work/kafka"
cp "$here"/kafka/* "$work/kafka/"
jars=$("$python" -m shared.devtools.backends.images jars)
cp -r "$jars" "$work/kafka/libs"
cp -rL "$("$python" -m shared.devtools.backends.images java)" "$work/kafka/java"
docker build -q -t "$kafka_tag" "$work/kafka"

# 3. MongoDB: a compatible server, with the official image's root user, data path and port.
rm -rf "$work/mongo"
mkdir -p "$work/mongo"
cp "$here"/mongo/* "$work/mongo/"
store=$("$python" -m shared.devtools.backends.images store)
"$python" -m pip install -q --no-compile --target "$work/mongo/site" "$store"
docker build -q -t "$mongo_tag" "$work/mongo"

docker images --filter label=org.throughcare.standin=true
