#!/bin/sh
# Called by the official image's name for it.
exec python3 /opt/standin/entrypoint.py "$@"
