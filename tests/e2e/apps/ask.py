# SPDX-License-Identifier: Apache-2.0
"""ask.py PORT COUNT: asks for /0, /1, ... by http.client and prints what the library made of each
answer."""
import http.client
import sys

for n in range(int(sys.argv[2])):
    client = http.client.HTTPConnection("127.0.0.1", int(sys.argv[1]), timeout=60)
    try:
        client.request("GET", f"/{n}")
        answer = client.getresponse()
        print(ascii((n, answer.version, answer.status, answer.reason, answer.getheaders())))
        print(len(answer.read()))
    except Exception as error:  # pylint: disable=broad-except
        print(ascii((n, error)))
    finally:
        client.close()
