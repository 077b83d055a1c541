"""Kafka's requests, each with the versions that librdkafka 2.0 uses."""

import asyncio
import struct
import time

import wire
from cluster import LEGAL_TOPIC, Limits
from log import RefusedBatch
from sasl import MECHANISMS, Denied
from transactions import RefusedTransaction
from wire import Reader, Writer

PRODUCE, FETCH, LIST_OFFSETS, METADATA = 0, 1, 2, 3
OFFSET_COMMIT, OFFSET_FETCH, FIND_COORDINATOR, JOIN_GROUP, HEARTBEAT, LEAVE_GROUP, SYNC_GROUP = 8, 9, 10, 11, 12, 13, 14
SASL_HANDSHAKE, API_VERSIONS, CREATE_TOPICS = 17, 18, 19
INIT_PRODUCER_ID, ADD_PARTITIONS, ADD_OFFSETS, END_TXN, TXN_OFFSET_COMMIT, SASL_AUTHENTICATE = 22, 24, 25, 26, 28, 36

NAMES = {
    "Produce": PRODUCE, "Fetch": FETCH, "Metadata": METADATA, "FindCoordinator": FIND_COORDINATOR, "OffsetCommit": OFFSET_COMMIT,
    "OffsetFetch": OFFSET_FETCH, "InitProducerId": INIT_PRODUCER_ID, "AddPartitionsToTxn": ADD_PARTITIONS, "AddOffsetsToTxn": ADD_OFFSETS,
    "EndTxn": END_TXN, "TxnOffsetCommit": TXN_OFFSET_COMMIT, "JoinGroup": JOIN_GROUP, "Heartbeat": HEARTBEAT,
}


class Requests:
    """What one connection to node `node` asks for."""

    def __init__(self, cluster, node):
        self.cluster, self.node = cluster, node
        self.mechanism = None
        self.is_authenticated = cluster.mechanism is None
        self.session_end = None

    async def answer(self, data):
        """The response to a request, with its header, or None when the connection has to be closed without one."""
        head = Reader(data)
        api, version, correlation = head.int16(), head.int16(), head.int32()
        client = head.string()
        known = HANDLERS.get(api)
        if known is None:
            return None
        handler, lowest, highest, first_flexible = known
        if api == API_VERSIONS and version > highest:
            version = 0
            self.versions_error = wire.UNSUPPORTED_VERSION
        elif not lowest <= version <= highest:
            return None
        else:
            self.versions_error = wire.NONE
        if not self.may_ask(api):
            return None
        flexible = version >= first_flexible
        reader, writer = Reader(data, flexible), Writer(flexible)
        reader.position = head.position
        if not (api == API_VERSIONS and self.versions_error):
            reader.tags()
        writer.int32(correlation)
        if api != API_VERSIONS:
            writer.tags()
        self.client = client or ""
        if self.cluster.delay:
            await asyncio.sleep(self.cluster.delay)
        answered = await handler(self, version, reader, writer)
        if self.cluster.swallows(api):
            return None
        return b"" if answered is False else writer.data

    def may_ask(self, api):
        if api in (API_VERSIONS, SASL_HANDSHAKE, SASL_AUTHENTICATE):
            return True
        return self.is_authenticated and (self.session_end is None or time.monotonic() < self.session_end)

    # The connection

    async def api_versions(self, version, reader, writer):
        writer.int16(self.versions_error)

        def one(entry):
            api, (_, _, highest, _) = entry
            writer.int16(api).int16(0).int16(highest).tags()

        writer.array(list(HANDLERS.items()), one)
        if version >= 1:
            writer.int32(0)
        writer.tags()

    async def sasl_handshake(self, version, reader, writer):
        name = reader.string()
        is_ours = name == self.cluster.mechanism
        self.mechanism = MECHANISMS[name](self.cluster.users) if is_ours else None
        writer.int16(wire.NONE if is_ours else wire.UNSUPPORTED_SASL_MECHANISM)
        writer.array([self.cluster.mechanism or ""], writer.string)

    async def sasl_authenticate(self, version, reader, writer):
        try:
            if self.mechanism is None:
                raise Denied("no mechanism was agreed on")
            data, self.is_authenticated = self.mechanism.step(reader.bytes())
            writer.int16(wire.NONE).string(None).bytes(data)
        except (Denied, ValueError, KeyError, IndexError, StopIteration) as denied:
            writer.int16(wire.SASL_AUTHENTICATION_FAILED).string(str(denied)).bytes(b"")
        lifetime = self.cluster.session_lifetime
        if self.is_authenticated and lifetime:
            self.session_end = time.monotonic() + lifetime / 1000
        if version >= 1:
            writer.int64(lifetime)

    # Topics

    async def metadata(self, version, reader, writer):
        cluster = self.cluster
        names = reader.array(reader.string)
        if names is None or version == 0 and not names:
            names = list(cluster.topics)
        may_create = reader.bool() if version >= 4 else True
        if version >= 3:
            writer.int32(0)

        def broker(index):
            writer.int32(index + 1).string("127.0.0.1").int32(cluster.ports[index])
            if version >= 1:
                writer.string(None)

        writer.array(range(cluster.nodes), broker)
        if version >= 2:
            writer.string("headwater-test-kafka")
        if version >= 1:
            writer.int32(1)

        def topic(name):
            error = wire.NONE
            if not LEGAL_TOPIC.fullmatch(name) or name in (".", ".."):
                error = wire.INVALID_TOPIC_EXCEPTION
            elif name in cluster.denied:
                error = wire.TOPIC_AUTHORIZATION_FAILED
            elif name not in cluster.topics and may_create:
                cluster.create(name)
            elif name not in cluster.topics:
                error = wire.UNKNOWN_TOPIC_OR_PARTITION
            if not error and not cluster.is_born(name):
                error = wire.LEADER_NOT_AVAILABLE
            partitions = [] if error else range(len(cluster.topics[name]))
            writer.int16(error).string(name)
            if version >= 1:
                writer.bool(False)

            def partition(index):
                leader = cluster.leader(index) + 1
                writer.int16(wire.NONE).int32(index).int32(leader)
                writer.array([leader], writer.int32).array([leader], writer.int32)

            writer.array(partitions, partition)

        writer.array(names, topic)

    async def create_topics(self, version, reader, writer):
        def wanted():
            name, count, _ = reader.string(), reader.int32(), reader.int16()
            placed = reader.array(lambda: (reader.int32(), reader.array(reader.int32)))
            return name, len(placed) or max(count, 1), dict(reader.array(lambda: (reader.string(), reader.string())))

        topics = reader.array(wanted)
        reader.int32()
        if version >= 2:
            writer.int32(0)

        def one(entry):
            name, partitions, configuration = entry
            error = wire.NONE
            if not LEGAL_TOPIC.fullmatch(name):
                error = wire.INVALID_TOPIC_EXCEPTION
            elif name in self.cluster.topics:
                error = wire.TOPIC_ALREADY_EXISTS
            else:
                skew = configuration.get("message.timestamp.difference.max.ms")
                limits = Limits(int(configuration.get("max.message.bytes", Limits.max_batch)), None if skew is None else int(skew))
                self.cluster.create(name, partitions, limits)
            writer.string(name).int16(error)
            if version >= 1:
                writer.string(None)

        writer.array(topics, one)

    # Records

    def partition(self, name, index):
        """The partition, or the error for who asks."""
        if name in self.cluster.denied:
            return None, wire.TOPIC_AUTHORIZATION_FAILED
        partitions = self.cluster.topics.get(name, [])
        if index >= len(partitions):
            return None, wire.UNKNOWN_TOPIC_OR_PARTITION
        if self.cluster.leader(index) != self.node or not self.cluster.is_born(name):
            return None, wire.NOT_LEADER_OR_FOLLOWER
        return partitions[index], wire.NONE

    async def produce(self, version, reader, writer):
        transaction, acks, _ = reader.string(), reader.int16(), reader.int32()
        topics = reader.array(lambda: (reader.string(), reader.array(lambda: (reader.int32(), reader.bytes()))))

        def topic(entry):
            name, partitions = entry
            writer.string(name)

            def one(each):
                index, data = each
                base = -1
                error = self.cluster.injected(PRODUCE)
                if not error:
                    found, error = self.partition(name, index)
                if not error:
                    try:
                        producer, epoch = struct.unpack_from(">qh", data, 43)
                        if transaction is not None:
                            self.cluster.transactions.holds(transaction, producer, epoch, (name, index))
                        base = found.append(data, self.cluster.limits[name])
                    except (RefusedBatch, RefusedTransaction) as refused:
                        error = refused.code
                writer.int32(index).int16(error).int64(base).int64(-1)
                if version >= 5:
                    writer.int64(0)

            writer.array(partitions, one)

        writer.array(topics, topic)
        writer.int32(0)
        self.cluster.notify()
        return acks != 0

    async def fetch(self, version, reader, writer):
        reader.int32()
        max_wait, min_bytes, max_bytes, isolation = reader.int32(), reader.int32(), reader.int32(), reader.int8()
        if version >= 7:
            reader.int32(), reader.int32()

        def partition():
            index = reader.int32()
            if version >= 9:
                reader.int32()
            offset = reader.int64()
            if version >= 5:
                reader.int64()
            return index, offset, reader.int32()

        asked = reader.array(lambda: (reader.string(), reader.array(partition)))
        error = self.cluster.injected(FETCH)
        deadline = time.monotonic() + max_wait / 1000
        while True:
            left = max_bytes
            answers, has_errors = [], False
            for name, partitions in asked:
                found = []
                for index, offset, limit in partitions:
                    log, problem = self.partition(name, index)
                    problem = error or problem
                    data, aborted, end, stable = b"", [], -1, -1
                    if not problem:
                        end, stable = log.end, log.last_stable
                        until = stable if isolation == 1 else end
                        if offset < 0 or offset > end:
                            problem = wire.OFFSET_OUT_OF_RANGE
                        elif left > 0:
                            data = log.read(offset, min(limit, left), until)
                            left -= len(data)
                            aborted = log.aborted_since(offset, until) if isolation == 1 else None
                    has_errors = has_errors or bool(problem)
                    found.append((index, problem, end, stable, aborted, data))
                answers.append((name, found))
            remaining = deadline - time.monotonic()
            if max_bytes - left >= max(min_bytes, 1) or has_errors or remaining <= 0:
                break
            try:
                await asyncio.wait_for(self.cluster.changed.wait(), remaining)
            except asyncio.TimeoutError:
                pass
        writer.int32(0)
        if version >= 7:
            writer.int16(wire.NONE).int32(0)

        def one(each):
            index, problem, end, stable, aborted, data = each
            writer.int32(index).int16(problem).int64(end).int64(stable)
            if version >= 5:
                writer.int64(0)
            writer.array(aborted, lambda pair: writer.int64(pair[0]).int64(pair[1]))
            if version >= 11:
                writer.int32(-1)
            writer.bytes(data)

        writer.array(answers, lambda entry: writer.string(entry[0]).array(entry[1], one))

    async def list_offsets(self, version, reader, writer):
        reader.int32()
        isolation = reader.int8() if version >= 2 else 0
        asked = reader.array(lambda: (reader.string(), reader.array(lambda: (reader.int32(), reader.int64()))))
        if version >= 2:
            writer.int32(0)

        def topic(entry):
            name, partitions = entry

            def one(pair):
                index, timestamp = pair
                log, error = self.partition(name, index)
                offset, found = -1, -1
                if log and timestamp == -1:
                    offset = log.last_stable if isolation == 1 else log.end
                elif log and timestamp == -2:
                    offset = 0
                elif log:
                    offset, found = log.offset_for(timestamp)
                writer.int32(index).int16(error).int64(found).int64(offset)

            writer.string(name).array(partitions, one)

        writer.array(asked, topic)

    # Coordinators

    def coordinated(self, api):
        return self.cluster.injected(api) or (wire.NONE if self.node == self.cluster.coordinator else wire.NOT_COORDINATOR)

    async def find_coordinator(self, version, reader, writer):
        reader.string()
        if version >= 1:
            writer.int32(0)
        writer.int16(self.cluster.injected(FIND_COORDINATOR))
        if version >= 1:
            writer.string(None)
        node = self.cluster.coordinator
        writer.int32(node + 1).string("127.0.0.1").int32(self.cluster.ports[node])

    async def join_group(self, version, reader, writer):
        group, session = reader.string(), reader.int32()
        rebalance = reader.int32() if version >= 1 else session
        member = reader.string()
        if version >= 5:
            reader.string()
        kind = reader.string()
        protocols = reader.array(lambda: (reader.string(), reader.bytes()))
        error = self.coordinated(JOIN_GROUP)
        answer = (error, -1, "", "", member, [])
        if not error:
            try:
                answer = await self.cluster.groups.get(group).join(
                    self.client, member, session, rebalance, kind, protocols, asks_for_id=version >= 4)
            except asyncio.CancelledError:
                answer = (wire.UNKNOWN_MEMBER_ID, -1, "", "", member, [])
        if version >= 2:
            writer.int32(0)
        error, generation, protocol, leader, member, members = answer
        writer.int16(error).int32(generation).string(protocol).string(leader).string(member)

        def one(each):
            writer.string(each[0])
            if version >= 5:
                writer.string(None)
            writer.bytes(each[1])

        writer.array(members, one)

    async def sync_group(self, version, reader, writer):
        group, generation, member = reader.string(), reader.int32(), reader.string()
        if version >= 3:
            reader.string()
        assignments = reader.array(lambda: (reader.string(), reader.bytes()))
        error, assignment = self.coordinated(SYNC_GROUP), b""
        if not error:
            try:
                error, assignment = await self.cluster.groups.get(group).sync(member, generation, assignments)
            except asyncio.CancelledError:
                error = wire.UNKNOWN_MEMBER_ID
        if version >= 1:
            writer.int32(0)
        writer.int16(error).bytes(assignment)

    async def heartbeat(self, version, reader, writer):
        group, generation, member = reader.string(), reader.int32(), reader.string()
        error = self.coordinated(HEARTBEAT) or self.cluster.groups.get(group).heartbeat(member, generation)
        if version >= 1:
            writer.int32(0)
        writer.int16(error)

    async def leave_group(self, version, reader, writer):
        group, member = reader.string(), reader.string()
        error = self.coordinated(LEAVE_GROUP) or self.cluster.groups.get(group).leave(member)
        if version >= 1:
            writer.int32(0)
        writer.int16(error)

    async def offset_commit(self, version, reader, writer):
        name, generation, member = reader.string(), reader.int32(), reader.string()
        if version >= 7:
            reader.string()
        if 2 <= version <= 4:
            reader.int64()

        def partition():
            index, offset = reader.int32(), reader.int64()
            if version >= 6:
                reader.int32()
            return index, offset, reader.string()

        topics = reader.array(lambda: (reader.string(), reader.array(partition)))
        group = self.cluster.groups.get(name)
        error = self.coordinated(OFFSET_COMMIT)
        if not error and (member or generation >= 0):
            error = group.check(member, generation)
        if not error:
            group.offsets.update({(topic, index): (offset, text) for topic, each in topics for index, offset, text in each})
        if version >= 3:
            writer.int32(0)
        writer.array(topics, lambda entry: writer.string(entry[0]).array(entry[1], lambda each: writer.int32(each[0]).int16(error)))

    async def offset_fetch(self, version, reader, writer):
        def topic():
            entry = reader.string(), reader.array(reader.int32)
            reader.tags()
            return entry

        name, topics = reader.string(), reader.array(topic)
        must_be_stable = reader.bool() if version >= 7 else False
        group = self.cluster.groups.get(name)
        error = self.coordinated(OFFSET_FETCH)
        if topics is None:
            topics = [(topic, [index]) for topic, index in group.offsets]
        if version >= 3:
            writer.int32(0)

        def one(name, index):
            offset, text = group.offsets.get((name, index), (-1, ""))
            unstable = must_be_stable and group.is_unstable((name, index))
            writer.int32(index).int64(-1 if unstable else offset)
            if version >= 5:
                writer.int32(-1)
            writer.string(text).int16(error or (wire.UNSTABLE_OFFSET_COMMIT if unstable else wire.NONE)).tags()

        writer.array(topics, lambda entry: writer.string(entry[0]).array(entry[1], lambda index: one(entry[0], index)).tags())
        if version >= 2:
            writer.int16(error)
        writer.tags()

    # Transactions

    def _attempt(self, api, is_old, change):
        """Carries out `change` and returns the error; producers of old versions know no PRODUCER_FENCED."""
        error = self.coordinated(api)
        if error:
            return error
        try:
            change()
        except RefusedTransaction as refused:
            return wire.INVALID_PRODUCER_EPOCH if is_old and refused.code == wire.PRODUCER_FENCED else refused.code
        return wire.NONE

    async def init_producer_id(self, version, reader, writer):
        name, timeout = reader.string(), reader.int32()
        producer, epoch = (reader.int64(), reader.int16()) if version >= 3 else (-1, -1)
        made = [-1, -1]

        def change():
            made[:] = self.cluster.transactions.init(name, timeout, producer, epoch)

        error = wire.NONE
        if name is None:
            error = self.cluster.injected(INIT_PRODUCER_ID)
            if not error:
                change()
        else:
            error = self._attempt(INIT_PRODUCER_ID, version < 4, change)
        writer.int32(0).int16(error).int64(made[0]).int16(made[1]).tags()

    async def add_partitions(self, version, reader, writer):
        name, producer, epoch = reader.string(), reader.int64(), reader.int16()
        topics = reader.array(lambda: (reader.string(), reader.array(reader.int32)))
        wanted = [(topic, index) for topic, indexes in topics for index in indexes]
        if any(topic in self.cluster.denied for topic, _ in wanted):
            error = wire.TOPIC_AUTHORIZATION_FAILED
        else:
            error = self._attempt(ADD_PARTITIONS, True, lambda: self.cluster.transactions.add_partitions(name, producer, epoch, wanted))
        writer.int32(0)
        writer.array(topics, lambda entry: writer.string(entry[0]).array(entry[1], lambda index: writer.int32(index).int16(error)))

    async def add_offsets(self, version, reader, writer):
        name, producer, epoch, group = reader.string(), reader.int64(), reader.int16(), reader.string()
        error = self._attempt(ADD_OFFSETS, True, lambda: self.cluster.transactions.add_group(name, producer, epoch, group))
        writer.int32(0).int16(error)

    async def txn_offset_commit(self, version, reader, writer):
        name, group, producer, epoch = reader.string(), reader.string(), reader.int64(), reader.int16()
        generation, member = (reader.int32(), reader.string()) if version >= 3 else (-1, "")
        if version >= 3:
            reader.string()

        def partition():
            index, offset = reader.int32(), reader.int64()
            if version >= 2:
                reader.int32()
            entry = index, offset, reader.string()
            reader.tags()
            return entry

        def topic():
            entry = reader.string(), reader.array(partition)
            reader.tags()
            return entry

        topics = reader.array(topic)
        offsets = {(topic, index): (offset, text or "") for topic, each in topics for index, offset, text in each}

        def change():
            if member or generation >= 0:
                problem = self.cluster.groups.get(group).check(member, generation)
                if problem:
                    raise RefusedTransaction(problem)
            self.cluster.transactions.hold_offsets(name, producer, epoch, group, offsets)

        error = self._attempt(TXN_OFFSET_COMMIT, True, change)
        writer.int32(0)

        def one(each):
            writer.int32(each[0]).int16(error).tags()

        writer.array(topics, lambda entry: writer.string(entry[0]).array(entry[1], one).tags())
        writer.tags()

    async def end_txn(self, version, reader, writer):
        name, producer, epoch, is_commit = reader.string(), reader.int64(), reader.int16(), reader.bool()
        error = self._attempt(END_TXN, True, lambda: self.cluster.transactions.end(name, producer, epoch, is_commit))
        writer.int32(0).int16(error)


NEVER = 0x7FFF
# By API key: the handler, the lowest and highest version it answers, and the first that is flexible.
HANDLERS = {
    PRODUCE: (Requests.produce, 3, 7, NEVER),
    FETCH: (Requests.fetch, 4, 11, NEVER),
    LIST_OFFSETS: (Requests.list_offsets, 1, 2, NEVER),
    METADATA: (Requests.metadata, 0, 4, NEVER),
    OFFSET_COMMIT: (Requests.offset_commit, 2, 7, NEVER),
    OFFSET_FETCH: (Requests.offset_fetch, 1, 7, 6),
    FIND_COORDINATOR: (Requests.find_coordinator, 1, 2, NEVER),
    JOIN_GROUP: (Requests.join_group, 0, 5, NEVER),
    HEARTBEAT: (Requests.heartbeat, 0, 2, NEVER),
    LEAVE_GROUP: (Requests.leave_group, 0, 1, NEVER),
    SYNC_GROUP: (Requests.sync_group, 0, 3, NEVER),
    SASL_HANDSHAKE: (Requests.sasl_handshake, 0, 1, NEVER),
    API_VERSIONS: (Requests.api_versions, 0, 3, 3),
    CREATE_TOPICS: (Requests.create_topics, 0, 4, NEVER),
    INIT_PRODUCER_ID: (Requests.init_producer_id, 0, 4, 2),
    ADD_PARTITIONS: (Requests.add_partitions, 0, 1, NEVER),
    ADD_OFFSETS: (Requests.add_offsets, 0, 1, NEVER),
    END_TXN: (Requests.end_txn, 0, 1, NEVER),
    TXN_OFFSET_COMMIT: (Requests.txn_offset_commit, 0, 3, 3),
    SASL_AUTHENTICATE: (Requests.sasl_authenticate, 0, 1, NEVER),
}
