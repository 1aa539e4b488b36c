#!/usr/bin/env python3
"""Stand-in for the tool of that name, for health checks: does the broker answer?"""

import socket
import struct
import sys

host, _, port = sys.argv[sys.argv.index("--bootstrap-server") + 1].rpartition(":")
with socket.create_connection((host, int(port)), timeout=5) as conn:
    body = struct.pack(">hhih", 18, 0, 1, -1)
    conn.sendall(struct.pack(">i", len(body)) + body)
    sys.exit(0 if len(conn.recv(64)) >= 10 else 1)
