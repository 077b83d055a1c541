"""A TLS client that sends each byte in a segment of its own: bytewise.py PORT. Prints CONNACK in hexadecimal."""
import socket
import ssl
import sys

sock = socket.create_connection(("127.0.0.1", int(sys.argv[1])), timeout=20)
sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
incoming, outgoing = ssl.MemoryBIO(), ssl.MemoryBIO()
context = ssl.SSLContext(ssl.PROTOCOL_TLS_CLIENT)
context.check_hostname = False
context.verify_mode = ssl.CERT_NONE
tls = context.wrap_bio(incoming, outgoing)
sent = 0


def flush():
    global sent
    for byte in outgoing.read():
        sock.send(bytes([byte]))
        sent += 1


def until_done(step):
    while True:
        try:
            result = step()
            flush()
            return result
        except ssl.SSLWantReadError:
            flush()
            received = sock.recv(65536)
            if not received:
                raise EOFError
            incoming.write(received)


until_done(tls.do_handshake)
until_done(lambda: tls.write(bytes.fromhex("101400044d5154540402003c0008") + b"bytewise"))
print(until_done(lambda: tls.read(100)).hex())
print("segments", sent)
