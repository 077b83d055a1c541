"""Opens TLS handshakes and leaves them half done: halfopen.py PORT COUNT. Says so, and how many the other side has closed."""
import select
import socket
import sys

port, count = int(sys.argv[1]), int(sys.argv[2])
# The head of a record with a ClientHello of 512 bytes, of which only the first are sent.
beginning = bytes.fromhex("1603010200010001fc0303") + bytes(range(16))
open_sockets = []
for _ in range(count):
    connection = socket.create_connection(("127.0.0.1", port), timeout=20)
    connection.sendall(beginning)
    open_sockets.append(connection)
print("open", len(open_sockets), flush=True)
closed = 0
while open_sockets:
    readable, _, _ = select.select(open_sockets, [], [], 60)
    if not readable:
        break
    for connection in readable:
        try:
            gone = not connection.recv(65536)
        except OSError:
            gone = True
        if gone:
            open_sockets.remove(connection)
            closed += 1
print("closed", closed, flush=True)
