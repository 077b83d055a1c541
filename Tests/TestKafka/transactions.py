"""The transaction coordinator: KIP-98 with the epochs of KIP-360.

A transaction's end is decided at once and carried out a little later, as in Kafka, where markers travel: until then the producer's next
request is answered with CONCURRENT_TRANSACTIONS.
"""

import asyncio
import dataclasses
import time

import wire

EPOCHS = 0x7FFF


class RefusedTransaction(Exception):
    def __init__(self, code):
        self.code = code


@dataclasses.dataclass
class Transaction:
    producer: int
    epoch: int
    timeout: int
    state: str = "empty"  # empty, ongoing, committing, aborting, committed, aborted
    partitions: set = dataclasses.field(default_factory=set)
    groups: set = dataclasses.field(default_factory=set)
    began: float = 0


class Transactions:
    def __init__(self, cluster):
        self.cluster = cluster
        self.by_id = {}
        self.next_producer = 1000
        self.marker_delay = 0.002
        self.expired = 0

    def _fresh_producer(self):
        self.next_producer += 1
        return self.next_producer

    def init(self, name, timeout, producer, epoch):
        """InitProducerId. Ends an open transaction of an earlier instance and fences it."""
        if name is None:
            return self._fresh_producer(), 0
        found = self.by_id.get(name)
        if found is None:
            found = self.by_id[name] = Transaction(self._fresh_producer(), -1, timeout)
        if found.state in ("committing", "aborting"):
            raise RefusedTransaction(wire.CONCURRENT_TRANSACTIONS)
        if producer >= 0 and (producer, epoch) != (found.producer, found.epoch):
            raise RefusedTransaction(wire.PRODUCER_FENCED)
        if found.state == "ongoing":
            found.epoch += 1
            self._end(found, is_commit=False)
            raise RefusedTransaction(wire.CONCURRENT_TRANSACTIONS)
        found.epoch, found.timeout, found.state = found.epoch + 1, timeout, "empty"
        if found.epoch >= EPOCHS:
            found.producer, found.epoch = self._fresh_producer(), 0
        return found.producer, found.epoch

    def _checked(self, name, producer, epoch):
        found = self.by_id.get(name)
        if found is None or found.producer != producer:
            raise RefusedTransaction(wire.INVALID_PRODUCER_ID_MAPPING)
        if found.epoch != epoch:
            raise RefusedTransaction(wire.PRODUCER_FENCED)
        if found.state in ("committing", "aborting"):
            raise RefusedTransaction(wire.CONCURRENT_TRANSACTIONS)
        return found

    def _begun(self, name, producer, epoch):
        found = self._checked(name, producer, epoch)
        if found.state != "ongoing":
            found.state, found.began = "ongoing", time.monotonic()
        return found

    def add_partitions(self, name, producer, epoch, partitions):
        self._begun(name, producer, epoch).partitions.update(partitions)

    def add_group(self, name, producer, epoch, group):
        self._begun(name, producer, epoch).groups.add(group)

    def holds(self, name, producer, epoch, partition):
        """Whether a transactional batch may be written to `partition` (KIP-890's check)."""
        found = self.by_id.get(name)
        if found is None or found.producer != producer or found.epoch != epoch:
            raise RefusedTransaction(wire.INVALID_PRODUCER_EPOCH)
        if found.state != "ongoing" or partition not in found.partitions:
            raise RefusedTransaction(wire.INVALID_TXN_STATE)

    def hold_offsets(self, name, producer, epoch, group, offsets):
        found = self._checked(name, producer, epoch)
        if found.state != "ongoing" or group not in found.groups:
            raise RefusedTransaction(wire.INVALID_TXN_STATE)
        self.cluster.groups.get(group).pending.setdefault(producer, {}).update(offsets)

    def end(self, name, producer, epoch, is_commit):
        found = self._checked(name, producer, epoch)
        if found.state == "ongoing":
            self._end(found, is_commit)
        elif found.state != ("committed" if is_commit else "aborted"):
            raise RefusedTransaction(wire.INVALID_TXN_STATE)

    def _end(self, found, is_commit):
        found.state = "committing" if is_commit else "aborting"
        asyncio.get_running_loop().call_later(self.marker_delay, self._mark, found, is_commit)

    def _mark(self, found, is_commit):
        for topic, index in found.partitions:
            self.cluster.topics[topic][index].mark(found.producer, found.epoch, is_commit)
        for group in found.groups:
            self.cluster.groups.get(group).end_transaction(found.producer, is_commit)
        found.partitions, found.groups = set(), set()
        found.state = "committed" if is_commit else "aborted"
        self.cluster.notify()

    def expire(self):
        """Aborts what has been open for longer than its timeout, as Kafka does, with a new epoch."""
        for found in self.by_id.values():
            if found.state == "ongoing" and (time.monotonic() - found.began) * 1000 > found.timeout:
                found.epoch += 1
                self.expired += 1
                self._end(found, is_commit=False)
