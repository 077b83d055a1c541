"""The primitives of Kafka's protocol, and errors by name (https://kafka.apache.org/protocol)."""

import struct

NONE = 0
OFFSET_OUT_OF_RANGE = 1
UNKNOWN_TOPIC_OR_PARTITION = 3
LEADER_NOT_AVAILABLE = 5
NOT_LEADER_OR_FOLLOWER = 6
MESSAGE_TOO_LARGE = 10
NOT_COORDINATOR = 16
INVALID_TOPIC_EXCEPTION = 17
ILLEGAL_GENERATION = 22
UNKNOWN_MEMBER_ID = 25
REBALANCE_IN_PROGRESS = 27
TOPIC_AUTHORIZATION_FAILED = 29
INVALID_TIMESTAMP = 32
UNSUPPORTED_SASL_MECHANISM = 33
UNSUPPORTED_VERSION = 35
TOPIC_ALREADY_EXISTS = 36
OUT_OF_ORDER_SEQUENCE_NUMBER = 45
INVALID_PRODUCER_EPOCH = 47
INVALID_TXN_STATE = 48
INVALID_PRODUCER_ID_MAPPING = 49
CONCURRENT_TRANSACTIONS = 51
SASL_AUTHENTICATION_FAILED = 58
MEMBER_ID_REQUIRED = 79
UNSTABLE_OFFSET_COMMIT = 88
PRODUCER_FENCED = 90


class Reader:
    """One request's bytes, read from the front. `flexible` after KIP-482: compact lengths, tagged fields."""

    def __init__(self, data, flexible=False):
        self.data, self.position, self.flexible = memoryview(data), 0, flexible

    def _unpack(self, form, size):
        value = struct.unpack_from(form, self.data, self.position)[0]
        self.position += size
        return value

    def int8(self):
        return self._unpack(">b", 1)

    def bool(self):
        return self.int8() != 0

    def int16(self):
        return self._unpack(">h", 2)

    def int32(self):
        return self._unpack(">i", 4)

    def int64(self):
        return self._unpack(">q", 8)

    def uvarint(self):
        value = shift = 0
        while True:
            byte = self._unpack(">B", 1)
            value |= (byte & 0x7F) << shift
            if byte < 0x80:
                return value
            shift += 7

    def _take(self, length):
        if length < 0:
            return None
        if self.position + length > len(self.data):
            raise ValueError("a length beyond the request's end")
        value = bytes(self.data[self.position:self.position + length])
        self.position += length
        return value

    def string(self):
        value = self._take(self.uvarint() - 1 if self.flexible else self.int16())
        return None if value is None else value.decode()

    def bytes(self):
        return self._take(self.uvarint() - 1 if self.flexible else self.int32())

    def array(self, element):
        count = self.uvarint() - 1 if self.flexible else self.int32()
        return [element() for _ in range(count)] if count >= 0 else None

    def tags(self):
        if self.flexible:
            for _ in range(self.uvarint()):
                self.uvarint()
                self._take(self.uvarint())


class Writer:
    def __init__(self, flexible=False):
        self.data, self.flexible = bytearray(), flexible

    def _pack(self, form, value):
        self.data += struct.pack(form, value)
        return self

    def int8(self, value):
        return self._pack(">b", value)

    def bool(self, value):
        return self.int8(1 if value else 0)

    def int16(self, value):
        return self._pack(">h", value)

    def int32(self, value):
        return self._pack(">i", value)

    def int64(self, value):
        return self._pack(">q", value)

    def uvarint(self, value):
        while value >= 0x80:
            self.data.append(value & 0x7F | 0x80)
            value >>= 7
        self.data.append(value)
        return self

    def _length(self, length, narrow):
        if self.flexible:
            self.uvarint(length + 1)
        else:
            narrow(length)

    def string(self, value):
        value = None if value is None else value.encode()
        self._length(-1 if value is None else len(value), self.int16)
        self.data += value or b""
        return self

    def bytes(self, value):
        self._length(-1 if value is None else len(value), self.int32)
        self.data += value or b""
        return self

    def array(self, values, element):
        self._length(-1 if values is None else len(values), self.int32)
        for value in values or ():
            element(value)
        return self

    def tags(self):
        if self.flexible:
            self.data.append(0)
        return self
