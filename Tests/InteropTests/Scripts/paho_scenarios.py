"""What a program written with paho-mqtt does every day, against a broker at HOST PORT.

    paho_scenarios.py SCENARIO HOST PORT VERSION      VERSION is 3.1.1 or 5

Exits 0 when everything went as the scenario says, else prints why. Every wait has an end.
"""

import sys
import threading
import time

import paho.mqtt.client as mqtt
from paho.mqtt.packettypes import PacketTypes
from paho.mqtt.properties import Properties
from paho.mqtt.subscribeoptions import SubscribeOptions

PATIENCE = 15.0
HOST, PORT, VERSION = sys.argv[2], int(sys.argv[3]), sys.argv[4]
IS_5 = VERSION == "5"


def until(claim, condition):
    end = time.monotonic() + PATIENCE
    while not condition():
        if time.monotonic() > end:
            raise SystemExit(f"{claim} did not come true")
        time.sleep(0.005)


class Peer:
    """A connected client and what it has received."""

    def __init__(self, client_id, kept=False, will=None):
        arguments = {"client_id": client_id, "protocol": mqtt.MQTTv5 if IS_5 else mqtt.MQTTv311}
        if hasattr(mqtt, "CallbackAPIVersion"):  # paho 2
            arguments["callback_api_version"] = mqtt.CallbackAPIVersion.VERSION1
        if not IS_5:
            arguments["clean_session"] = not kept
        self.client = mqtt.Client(**arguments)
        self.messages = []
        self.session_present = None
        self.granted = {}
        self.published = set()
        self.client.on_message = lambda client, userdata, message: self.messages.append(message)
        self.client.on_publish = lambda client, userdata, mid, *rest: self.published.add(mid)
        self.client.on_subscribe = lambda client, userdata, mid, granted, *rest: self.granted.update({mid: granted})
        self.client.on_connect = self._connected
        if will:
            self.client.will_set(*will)
        options = {}
        if IS_5:
            options["clean_start"] = not kept
            if kept:
                properties = Properties(PacketTypes.CONNECT)
                properties.SessionExpiryInterval = 100
                options["properties"] = properties
        self.client.connect(HOST, PORT, keepalive=30, **options)
        self.client.loop_start()
        until("CONNACK", lambda: self.session_present is not None)

    def _connected(self, client, userdata, flags, reason, *rest):
        if (reason.value if hasattr(reason, "value") else reason) != 0:
            raise SystemExit(f"refused: {reason}")
        self.session_present = bool(flags["session present"])

    def subscribe(self, topic, qos):
        _, mid = self.client.subscribe(topic, qos)
        until("SUBACK", lambda: mid in self.granted)

    def publish(self, topic, payload, qos, retain=False, properties=None):
        information = self.client.publish(topic, payload, qos, retain, **({"properties": properties} if properties else {}))
        until("the end of the exchange", lambda: information.mid in self.published)

    def expect(self, payloads):
        until(f"{len(payloads)} messages", lambda: len(self.messages) >= len(payloads))
        received = [message.payload.decode() for message in self.messages]
        if received != payloads:
            raise SystemExit(f"expected {payloads[:5]}..., received {received[:5]}...")
        taken, self.messages = self.messages, []
        return taken

    def close(self):
        self.client.disconnect()
        self.client.loop_stop()

    def die(self):
        """The socket goes, and no DISCONNECT before it."""
        self.client.on_disconnect = None
        self.client._sock.shutdown(2)
        self.client.loop_stop()


def exactly_once_both_ways():
    subscriber, publisher = Peer("subscriber"), Peer("publisher")
    subscriber.subscribe("a/+", 2)
    for qos in (0, 1, 2):
        for number in range(50):
            publisher.publish("a/b", f"{qos}-{number}", qos)
    taken = subscriber.expect([f"{qos}-{number}" for qos in (0, 1, 2) for number in range(50)])
    assert [message.qos for message in taken] == [0] * 50 + [1] * 50 + [2] * 50
    subscriber.close(), publisher.close()


def retained():
    publisher = Peer("publisher")
    publisher.publish("r/1", "old", 1, retain=True)
    publisher.publish("r/1", "new", 1, retain=True)
    publisher.publish("r/2", "gone", 1, retain=True)
    publisher.publish("r/2", "", 1, retain=True)
    subscriber = Peer("subscriber")
    subscriber.subscribe("r/#", 1)
    taken = subscriber.expect(["new"])
    assert taken[0].retain
    publisher.publish("r/1", "live", 1)
    assert not subscriber.expect(["live"])[0].retain
    subscriber.close(), publisher.close()


def will():
    watcher = Peer("watcher")
    watcher.subscribe("will/#", 1)
    Peer("polite", will=("will/polite", "never", 1)).close()
    Peer("dying", will=("will/dying", "gone", 1)).die()
    assert watcher.expect(["gone"])[0].topic == "will/dying"
    watcher.close()


def session_resume():
    first = Peer("kept", kept=True)
    assert not first.session_present
    first.subscribe("s/#", 2)
    first.close()
    publisher = Peer("publisher")
    for number in range(30):
        # paho hands a QoS 2 message over at PUBREL, behind a QoS 1 message that came later: so one kind after the other.
        publisher.publish("s/x", str(number), 1 + number // 15)
    second = Peer("kept", kept=True)
    assert second.session_present
    second.expect([str(number) for number in range(30)])
    second.close(), publisher.close()


def properties():
    subscriber, publisher = Peer("subscriber"), Peer("publisher")
    subscriber.client.subscribe("p", options=SubscribeOptions(qos=1, noLocal=True, retainAsPublished=True))
    until("SUBACK", lambda: subscriber.granted)
    sent = Properties(PacketTypes.PUBLISH)
    sent.UserProperty = [("unit", "°C"), ("unit", "K")]
    sent.ContentType = "text/plain"
    sent.ResponseTopic = "answer"
    sent.CorrelationData = b"\x00\x01\xff"
    sent.MessageExpiryInterval = 60
    sent.PayloadFormatIndicator = 1
    publisher.publish("p", "21.5", 1, properties=sent)
    message = subscriber.expect(["21.5"])[0]
    got = message.properties
    assert got.UserProperty == [("unit", "°C"), ("unit", "K")], got.UserProperty
    assert (got.ContentType, got.ResponseTopic, got.CorrelationData) == ("text/plain", "answer", b"\x00\x01\xff")
    assert 0 < got.MessageExpiryInterval <= 60 and got.PayloadFormatIndicator == 1
    subscriber.close(), publisher.close()


def large():
    subscriber, publisher = Peer("subscriber"), Peer("publisher")
    subscriber.subscribe("l", 2)
    payload = "x" * 1_500_000
    publisher.publish("l", payload, 2)
    subscriber.expect([payload])
    subscriber.close(), publisher.close()


def burst():
    subscriber, publisher = Peer("subscriber"), Peer("publisher")
    publisher.client.max_queued_messages_set(0)
    subscriber.subscribe("b", 2)
    last = None
    for number in range(2_000):
        last = publisher.client.publish("b", str(number), 2)
    until("the last exchange", lambda: last.is_published())
    subscriber.expect([str(number) for number in range(2_000)])
    subscriber.close(), publisher.close()


if __name__ == "__main__":
    threading.excepthook = lambda failure: (print(failure.exc_value, file=sys.stderr), sys.exit(1))
    globals()[sys.argv[1]]()
    print("done")
