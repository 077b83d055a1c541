"""What programs written with paho-mqtt do, over every transport of a broker at once.

    websocket_peers.py SCENARIO VERSION CA TRANSPORT:PORT...    VERSION is 3.1.1 or 5; TRANSPORT is tcp, tls, ws or wss, and
                                                                tls+alpn or wss+alpn where ALPN names what is spoken

Peers take the transports in turn. Exits 0 and says "done" when everything went as the scenario says, else prints why. Every
wait has an end.
"""

import hashlib
import itertools
import os
import ssl
import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties

PATIENCE = 30.0
SCENARIO, VERSION, CA = sys.argv[1:4]
IS_5 = VERSION == "5"
ENDPOINTS = [(text.split(":")[0], int(text.split(":")[1])) for text in sys.argv[4:]]
TURN = itertools.cycle(ENDPOINTS)


def until(claim, condition, patience=PATIENCE):
    end = time.monotonic() + patience
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{claim} did not come true")
        time.sleep(0.005)


class Peer:
    """A connected client and what it has received."""

    def __init__(self, client_id, endpoint=None, kept=False, will=None, keep_alive=30, is_driven=True):
        self.transport, self.port = endpoint or next(TURN)
        name, _, alpn = self.transport.partition("+")
        arguments = {"client_id": client_id, "protocol": mqtt.MQTTv5 if IS_5 else mqtt.MQTTv311}
        arguments["transport"] = "websockets" if name in ("ws", "wss") else "tcp"
        if hasattr(mqtt, "CallbackAPIVersion"):  # paho 2
            arguments["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
        if not IS_5:
            arguments["clean_session"] = not kept
        self.client = mqtt.Client(**arguments)
        if name in ("tls", "wss"):
            context = ssl.create_default_context(cafile=CA)
            if alpn:
                context.set_alpn_protocols(["mqtt"] if name == "tls" else ["http/1.1"])
            self.client.tls_set_context(context)
        if name in ("ws", "wss"):
            self.client.ws_set_options(path="/mqtt")
        self.messages = []
        self.session_present = None
        self.granted = {}
        self.published = set()
        self.is_over = threading.Event()
        self.client.on_message = lambda client, userdata, message: self.messages.append(message)
        self.client.on_publish = lambda client, userdata, mid, *rest: self.published.add(mid)
        self.client.on_subscribe = lambda client, userdata, mid, granted, *rest: self.granted.update({mid: granted})
        self.client.on_connect = self._connected
        self.client.on_disconnect = lambda client, *rest: self._gone()
        if will:
            self.client.will_set(*will)
        options = {}
        if IS_5:
            options["clean_start"] = not kept
            if kept:
                properties = Properties(PacketTypes.CONNECT)
                properties.SessionExpiryInterval = 100
                options["properties"] = properties
        # The name that the broker's certificate has.
        self.client.connect("localhost", self.port, keepalive=keep_alive, **options)
        if is_driven:
            self.client.loop_start()
        until(f"CONNACK over {self.transport}", self._has_connack(is_driven))

    def _has_connack(self, is_driven):
        def condition():
            if not is_driven:
                self.client.loop(0.01)
            return self.session_present is not None
        return condition

    def _connected(self, client, userdata, flags, reason, *rest):
        if (reason.value if hasattr(reason, "value") else reason) != 0:
            print(f"refused: {reason}", flush=True)
            os._exit(1)
        self.session_present = bool(flags["session present"])

    def _gone(self):
        """Not again: paho would come back by itself, and take the connection over from whoever has taken it over."""
        self.is_over.set()
        self.client.disconnect()

    def subscribe(self, topic, qos):
        _, mid = self.client.subscribe(topic, qos)
        until("SUBACK", lambda: mid in self.granted)

    def publish(self, topic, payload, qos, retain=False):
        information = self.client.publish(topic, payload, qos, retain)
        until(f"the end of the exchange over {self.transport}", lambda: information.mid in self.published)

    def expect(self, payloads):
        until(f"{len(payloads)} messages over {self.transport}", lambda: len(self.messages) >= len(payloads))
        received = [message.payload for message in self.messages]
        wanted = [payload.encode() if isinstance(payload, str) else payload for payload in payloads]
        if received != wanted:
            raise SystemExit(f"over {self.transport} expected {wanted[:5]}..., received {received[:5]}...")
        taken, self.messages = self.messages, []
        return taken

    def close(self):
        self.client.on_disconnect = None
        self.client.disconnect()
        self.client.loop_stop()

    def die(self):
        """The socket goes, and nothing is said before it."""
        self.client.on_disconnect = lambda client, *rest: self._gone()
        sock = self.client.socket()
        getattr(sock, "_socket", sock).shutdown(2)
        self.client.loop_stop()


def both_ways():
    """Every transport to every transport, and back."""
    peers = [Peer(f"peer-{number}", endpoint) for number, endpoint in enumerate(ENDPOINTS)]
    for number, peer in enumerate(peers):
        peer.subscribe(f"to/{number}/#", 2)
    for (source, sender), (sink, receiver) in itertools.product(enumerate(peers), enumerate(peers)):
        sent = []
        for qos in (0, 1, 2):
            for number in range(10):
                sent.append(f"{source}-{sink}-{qos}-{number}")
                sender.publish(f"to/{sink}/{source}", sent[-1], qos)
        taken = receiver.expect(sent)
        assert [message.qos for message in taken] == [0] * 10 + [1] * 10 + [2] * 10
    for peer in peers:
        peer.close()


def large():
    """A megabyte over every transport to every other, and sizes around those where a frame's header or a record changes."""
    peers = [Peer(f"peer-{number}", endpoint) for number, endpoint in enumerate(ENDPOINTS)]
    for number, peer in enumerate(peers):
        peer.subscribe(f"to/{number}", 1)
    sizes = [0, 1, 100, 110, 118, 119, 120, 126, 127, 4096, 16_370, 16_384, 65_520, 65_536, 1_000_000]
    for sender, (sink, receiver) in itertools.product(peers, enumerate(peers)):
        for size in sizes:
            payload = os.urandom(size)
            sender.publish(f"to/{sink}", payload, 1)
            receiver.expect([payload])
    # Many large ones at once, none waiting for another.
    payloads = [os.urandom(200_000) for _ in range(10)]
    ids = [peers[0].client.publish(f"to/{len(peers) - 1}", payload, 2).mid for payload in payloads]
    until("the exchanges", lambda: set(ids) <= peers[0].published)
    until("the messages", lambda: len(peers[-1].messages) >= len(payloads))
    wanted = sorted(hashlib.sha256(payload).digest() for payload in payloads)
    assert sorted(hashlib.sha256(message.payload).digest() for message in peers[-1].messages) == wanted
    for peer in peers:
        peer.close()


def keep_alive():
    """Who pings stays, who does not is closed after one and a half times its keep alive, and its will is published."""
    watcher = Peer("watcher", keep_alive=60)
    watcher.subscribe("gone/#", 1)
    awake = [Peer(f"awake-{number}", endpoint, keep_alive=2, will=(f"gone/awake-{number}", "x", 1)) for number, endpoint in enumerate(ENDPOINTS)]
    asleep = [
        Peer(f"asleep-{number}", endpoint, keep_alive=2, will=(f"gone/asleep-{number}", "x", 1), is_driven=False)
        for number, endpoint in enumerate(ENDPOINTS)
    ]
    until("the wills of those asleep", lambda: len(watcher.messages) >= len(asleep), 15)
    time.sleep(3)
    topics = sorted(message.topic for message in watcher.messages)
    if topics != sorted(f"gone/asleep-{number}" for number in range(len(ENDPOINTS))):
        raise SystemExit(f"gone are {topics}")
    assert not any(peer.is_over.is_set() for peer in awake)
    for peer in awake:
        peer.close()
    watcher.close()


def will():
    watcher = Peer("watcher")
    watcher.subscribe("will/#", 1)
    for number, endpoint in enumerate(ENDPOINTS):
        Peer("polite", endpoint, will=("will/polite", "never", 1)).close()
        Peer("dying", endpoint, will=(f"will/{number}", "gone", 1)).die()
        assert watcher.expect(["gone"])[0].topic == f"will/{number}"
    watcher.close()


def takeover():
    """Sessions that are taken over again and again, from any loop to any loop, by any transport, while messages come in."""
    devices, rounds, messages = 12, 6, 5
    publisher = Peer("publisher")
    present = [Peer(f"device-{number}", kept=True) for number in range(devices)]
    for number, peer in enumerate(present):
        peer.subscribe(f"device/{number}", 1)
    received = [[] for _ in range(devices)]
    expected = [[] for _ in range(devices)]
    for turn in range(rounds):
        for number in range(devices):
            for count in range(messages):
                expected[number].append(f"{turn}-{count}")
                publisher.client.publish(f"device/{number}", expected[number][-1], 1)
            # While the old connection is open, and has some of the messages.
            old = present[number]
            present[number] = Peer(f"device-{number}", kept=True)
            if not present[number].session_present:
                raise SystemExit(f"device {number} lost its session in round {turn}")
            until("the end of the old connection", old.is_over.is_set)
            old.client.loop_stop()
            received[number] += [message.payload.decode() for message in old.messages]
    for number in range(devices):
        until(
            f"the messages of device {number}",
            lambda: set(received[number] + [m.payload.decode() for m in present[number].messages]) >= set(expected[number]))
        everything = received[number] + [message.payload.decode() for message in present[number].messages]
        # QoS 1: those in flight at a takeover come again; first appearances are in order.
        firsts = list(dict.fromkeys(everything))
        if firsts != expected[number]:
            raise SystemExit(f"device {number}: expected {expected[number][:8]}..., received {firsts[:8]}...")
        present[number].close()
    publisher.close()


{f.__name__: f for f in (both_ways, large, keep_alive, will, takeover)}[SCENARIO]()
print("done")
