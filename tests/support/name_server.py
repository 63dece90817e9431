# SPDX-License-Identifier: Apache-2.0
"""A DNS server that knows a few names, and takes its time over some of them (RFC 1035, 4.1)."""
import ipaddress
import socket
import struct
import threading
import time

A, AAAA = 1, 28


class NameServer:
    """names: {"host.test": (seconds, ["192.0.2.1", "2001:db8::1"])}. Others don't exist."""

    def __init__(self, names, address="127.0.0.1"):
        self._names = names
        self._socket = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        self._socket.bind((address, 53))
        threading.Thread(target=self._serve, daemon=True).start()

    def close(self):
        self._socket.close()

    def _serve(self):
        while True:
            try:
                query, client = self._socket.recvfrom(512)
            except OSError:
                return
            threading.Thread(target=self._answer, args=(query, client), daemon=True).start()

    def _answer(self, query, client):
        labels, at = [], 12
        while query[at]:
            labels.append(query[at + 1:at + 1 + query[at]].decode())
            at += 1 + query[at]
        question = query[12:at + 5]
        kind = struct.unpack(">H", query[at + 1:at + 3])[0]
        seconds, addresses = self._names.get(".".join(labels).lower(), (0, None))
        time.sleep(seconds)
        records = b""
        count = 0
        for address in map(ipaddress.ip_address, addresses or []):
            if kind == (A if address.version == 4 else AAAA):
                records += struct.pack(">HHHIH", 0xc00c, kind, 1, 60, len(address.packed))
                records += address.packed
                count += 1
        flags = 0x8180 | (3 if addresses is None else 0)
        head = query[:2] + struct.pack(">HHHHH", flags, 1, count, 0, 0)
        try:
            self._socket.sendto(head + question + records, client)
        except OSError:
            pass  # closed meanwhile
