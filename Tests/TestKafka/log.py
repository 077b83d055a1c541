"""Partitions: record batches in order, and what Kafka's leader knows of their producers.

The rules are those of Kafka's ProducerStateManager and of KIP-98: a batch is taken once, in the order of its sequence numbers, from the
newest epoch of its producer; a reader with read_committed sees nothing beyond the first open transaction.
"""

import bisect
import dataclasses
import struct
import time

import wire

HEADER = 61
TRANSACTIONAL, CONTROL = 0x10, 0x20
REMEMBERED_BATCHES = 5


@dataclasses.dataclass
class Batch:
    base: int
    last: int
    data: bytearray
    timestamp: int


@dataclasses.dataclass
class ProducerState:
    epoch: int
    # (first sequence, last sequence, base offset) of the newest batches.
    batches: list
    # The first offset of the open transaction.
    open_since: int | None = None


class RefusedBatch(Exception):
    def __init__(self, code):
        self.code = code


class Partition:
    def __init__(self):
        self.batches = []
        self.lasts = []
        self.end = 0
        self.producers = {}
        # (producer id, first offset, offset of the marker) of aborted transactions.
        self.aborted = []

    @property
    def last_stable(self):
        return min((state.open_since for state in self.producers.values() if state.open_since is not None), default=self.end)

    def append(self, data, limits):
        """Takes a produced batch and returns its base offset; a repeated one has the offset it got first."""
        if len(data) < HEADER or data[16] != 2:
            raise RefusedBatch(wire.MESSAGE_TOO_LARGE if len(data) > limits.max_batch else 2)
        if len(data) > limits.max_batch:
            raise RefusedBatch(wire.MESSAGE_TOO_LARGE)
        attributes, last_delta, _, newest, producer, epoch, sequence = struct.unpack_from(">hiqqqhi", data, 21)
        if limits.max_skew is not None and any(abs(each - time.time() * 1000) > limits.max_skew for each in timestamps(data)):
            raise RefusedBatch(wire.INVALID_TIMESTAMP)
        if producer >= 0:
            repeated = self._check(producer, epoch, sequence, last_delta, attributes & TRANSACTIONAL)
            if repeated is not None:
                return repeated
        base = self._store(bytearray(data), last_delta, newest)
        if attributes & TRANSACTIONAL and self.producers[producer].open_since is None:
            self.producers[producer].open_since = base
        if producer >= 0:
            batches = self.producers[producer].batches
            batches.append((sequence, (sequence + last_delta) & 0x7FFFFFFF, base))
            del batches[:-REMEMBERED_BATCHES]
        return base

    def _check(self, producer, epoch, sequence, last_delta, is_transactional):
        state = self.producers.get(producer)
        if state is None:
            self.producers[producer] = ProducerState(epoch, [])
            return None
        if epoch < state.epoch:
            raise RefusedBatch(wire.INVALID_PRODUCER_EPOCH)
        if epoch > state.epoch:
            if sequence != 0:
                raise RefusedBatch(wire.OUT_OF_ORDER_SEQUENCE_NUMBER)
            state.epoch, state.batches = epoch, []
            return None
        last = (sequence + last_delta) & 0x7FFFFFFF
        for first, newest, base in state.batches:
            if (first, newest) == (sequence, last):
                return base
        if state.batches and sequence != (state.batches[-1][1] + 1) & 0x7FFFFFFF:
            raise RefusedBatch(wire.OUT_OF_ORDER_SEQUENCE_NUMBER)
        return None

    def mark(self, producer, epoch, is_commit):
        """Ends a producer's transaction here; a newer epoch fences what comes late from the old one."""
        now = int(time.time() * 1000)
        state = self.producers.setdefault(producer, ProducerState(epoch, []))
        if epoch > state.epoch:
            state.epoch, state.batches = epoch, []
        offset = self._store(bytearray(control_batch(producer, epoch, is_commit, now)), 0, now)
        if state.open_since is not None and not is_commit:
            self.aborted.append((producer, state.open_since, offset))
        state.open_since = None

    def _store(self, data, last_delta, timestamp):
        base = self.end
        struct.pack_into(">q", data, 0, base)
        self.batches.append(Batch(base, base + last_delta, data, timestamp))
        self.lasts.append(base + last_delta)
        self.end = base + last_delta + 1
        return base

    def read(self, offset, max_bytes, limit):
        """Whole batches from the one with `offset` on, at least one, none that begins at or after `limit`."""
        found = bytearray()
        for batch in self.batches[bisect.bisect_left(self.lasts, offset):]:
            if batch.base >= limit or found and len(found) + len(batch.data) > max_bytes:
                break
            found += batch.data
        return found

    def aborted_since(self, offset, limit):
        return [(producer, first) for producer, first, marker in self.aborted if marker >= offset and first < limit]

    def offset_for(self, timestamp):
        return next(((batch.base, batch.timestamp) for batch in self.batches if batch.timestamp >= timestamp), (-1, -1))


def timestamps(data):
    """Of each record of a batch that is not compressed."""
    position = HEADER

    def varint():
        nonlocal position
        value = shift = 0
        while True:
            byte = data[position]
            position += 1
            value |= (byte & 0x7F) << shift
            shift += 7
            if byte < 0x80:
                return value >> 1 ^ -(value & 1)

    (base,) = struct.unpack_from(">q", data, 27)
    while position < len(data):
        length = varint()
        following = position + length
        position += 1  # the attributes
        yield base + varint()
        position = following


def _crc_table():
    table = []
    for value in range(256):
        for _ in range(8):
            value = value >> 1 ^ (0x82F63B78 if value & 1 else 0)
        table.append(value)
    return table


CRC_TABLE = _crc_table()


def crc32c(data):
    crc = 0xFFFFFFFF
    for byte in data:
        crc = crc >> 8 ^ CRC_TABLE[(crc ^ byte) & 0xFF]
    return crc ^ 0xFFFFFFFF


def control_batch(producer, epoch, is_commit, now):
    key, value = struct.pack(">hh", 0, 1 if is_commit else 0), struct.pack(">hi", 0, 0)
    # Lengths as zigzag varints: all are below 64.
    record = bytes([0, 0, 0, len(key) * 2]) + key + bytes([len(value) * 2]) + value + bytes([0])
    record = bytes([len(record) * 2]) + record
    body = struct.pack(">hiqqqhii", TRANSACTIONAL | CONTROL, 0, now, now, producer, epoch, -1, 1) + record
    return struct.pack(">qiibI", 0, len(body) + 9, 0, 2, crc32c(body)) + body
