"""What two client libraries do with a WebSocket server that gives back what it gets. Prints "done" when all is as it should be.

usage: websocket_client.py websockets|websocket PORT
"""
import asyncio
import os
import sys

SIZES = [1, 5, 125, 126, 127, 4096, 65535, 65536, 1_000_000]
ORIGIN = "https://app.example"


async def with_websockets(url):
    import websockets

    async def back(client, count):
        """The server's frames have borders of their own."""
        got = b""
        while len(got) < count:
            got += await client.recv()
        return got

    async with websockets.connect(url, subprotocols=["mqtt"], origin=ORIGIN, max_size=None) as client:
        assert client.subprotocol == "mqtt", client.subprotocol
        assert not client.extensions, client.extensions
        for size in SIZES:
            data = os.urandom(size)
            await client.send(data)
            assert await back(client, size) == data, size
        parts = [os.urandom(n) for n in (1, 0, 3000, 70000, 7)]
        await client.send(parts)  # one message in as many frames
        assert await back(client, sum(map(len, parts))) == b"".join(parts)
        await asyncio.wait_for(await client.ping(b"are you there"), 5)
        await client.close(1001, "going")
        assert client.close_code == 1001, client.close_code

    async with websockets.connect(url, subprotocols=["other", "mqtt"]) as client:
        await client.send("text is not MQTT")
        try:
            await client.recv()
            raise AssertionError("text was taken")
        except websockets.ConnectionClosed as closed:
            assert closed.code == 1003, closed.code

    async with websockets.connect(url, subprotocols=["mqtt"], ping_interval=None) as client:
        try:
            for _ in range(200):
                await client.ping()
            await client.recv()
            raise AssertionError("200 pings were answered")
        except websockets.ConnectionClosed as closed:
            assert closed.code == 1008, closed.code

    for change, status in [
        ({"origin": ORIGIN + ".evil"}, 403), ({"origin": ORIGIN[:-1]}, 403), ({"origin": "null"}, 403),
        ({"subprotocols": None}, 400), ({"subprotocols": ["amqp"]}, 400), ({"uri": url + "x"}, 404),
    ]:
        arguments = {"uri": url, "subprotocols": ["mqtt"], "origin": ORIGIN, **change}
        try:
            async with websockets.connect(**arguments):
                raise AssertionError(f"{change} was let in")
        except websockets.InvalidStatusCode as refused:
            assert refused.status_code == status, (change, refused.status_code)


def with_websocket(url):
    import websocket

    def back(client, count):
        got = b""
        while len(got) < count:
            opcode, data = client.recv_data()
            assert opcode == websocket.ABNF.OPCODE_BINARY, opcode
            got += data
        return got

    client = websocket.create_connection(url, subprotocols=["mqtt"], origin=ORIGIN, timeout=10)
    assert client.subprotocol == "mqtt", client.subprotocol
    for size in SIZES:
        data = os.urandom(size)
        client.send_binary(data)
        assert back(client, size) == data, size
    frames = [(websocket.ABNF.OPCODE_BINARY, b"one ", 0), (websocket.ABNF.OPCODE_CONT, b"", 0), (websocket.ABNF.OPCODE_CONT, b"message", 1)]
    for opcode, data, fin in frames:
        client.send_frame(websocket.ABNF.create_frame(data, opcode, fin))
        if not fin:
            client.ping("between")
            if data:
                assert back(client, len(data)) == data
    assert back(client, 7) == b"message"
    client.send_close(status=1000)
    opcode, data = client.recv_data(control_frame=True)
    while opcode == websocket.ABNF.OPCODE_PONG:
        opcode, data = client.recv_data(control_frame=True)
    assert opcode == websocket.ABNF.OPCODE_CLOSE and data[:2] == b"\x03\xe8", (opcode, data)

    try:
        websocket.create_connection(url, subprotocols=["mqtt"], origin="http://app.example", timeout=10)
        raise AssertionError("another origin was let in")
    except websocket.WebSocketBadStatusException as refused:
        assert refused.status_code == 403, refused.status_code


target = f"ws://127.0.0.1:{sys.argv[2]}/mqtt"
if sys.argv[1] == "websockets":
    asyncio.run(asyncio.wait_for(with_websockets(target), 60))
else:
    with_websocket(target)
print("done")
