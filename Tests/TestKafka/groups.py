"""Consumer groups: members, rebalances in the classic protocol, offsets committed and offsets of transactions."""

import asyncio
import dataclasses
import itertools

import wire

INITIAL_DELAY = 0.05


@dataclasses.dataclass
class Member:
    id: str
    protocols: list
    session: float
    rebalance: float
    joined: asyncio.Future | None = None
    synced: asyncio.Future | None = None
    expiry: asyncio.TimerHandle | None = None


class Group:
    def __init__(self):
        self.members = {}
        self.ids = itertools.count(1)
        self.generation = 0
        self.state = "empty"  # empty, joining, syncing, stable
        self.protocol_type = ""
        self.protocol = ""
        self.leader = ""
        self.assignments = {}
        self.offsets = {}
        self.pending = {}
        self.deadline = None

    # Offsets

    def end_transaction(self, producer, is_commit):
        offsets = self.pending.pop(producer, {})
        if is_commit:
            self.offsets.update(offsets)

    def is_unstable(self, partition):
        return any(partition in offsets for offsets in self.pending.values())

    # Members

    def check(self, member, generation):
        if member not in self.members:
            return wire.UNKNOWN_MEMBER_ID
        return wire.NONE if generation == self.generation else wire.ILLEGAL_GENERATION

    def _touch(self, member):
        if member.expiry:
            member.expiry.cancel()
        member.expiry = asyncio.get_running_loop().call_later(member.session, self.leave, member.id)

    async def join(self, client, member_id, session, rebalance, protocol_type, protocols, asks_for_id):
        """The answer's fields: error, generation, protocol, leader, member id, members for the leader."""
        if not member_id:
            member_id = f"{client}-{next(self.ids)}"
            if asks_for_id:
                return wire.MEMBER_ID_REQUIRED, -1, "", "", member_id, []
        member = self.members.get(member_id)
        if member is None:
            member = self.members[member_id] = Member(member_id, protocols, session / 1000, rebalance / 1000)
        member.protocols, self.protocol_type = protocols, protocol_type
        self._touch(member)
        if member.joined and not member.joined.done():
            member.joined.cancel()
        member.joined = asyncio.get_running_loop().create_future()
        waiting = member.joined
        self._rebalance()
        self._complete_if_all()
        return await waiting

    def _rebalance(self):
        if self.state == "joining":
            return
        self.state = "joining"
        for member in self.members.values():
            if member.synced and not member.synced.done():
                member.synced.set_result((wire.REBALANCE_IN_PROGRESS, b""))
            member.synced = None
        longest = max((member.rebalance for member in self.members.values()), default=0)
        self.deadline = asyncio.get_running_loop().call_later(longest, self._complete)

    def _complete_if_all(self):
        if all(member.joined and not member.joined.done() for member in self.members.values()):
            asyncio.get_running_loop().call_later(INITIAL_DELAY, self._complete)

    def _complete(self):
        if self.state != "joining":
            return
        self.deadline.cancel()
        for member in [each for each in self.members.values() if not each.joined or each.joined.done()]:
            self._forget(member)
        if not self.members:
            self.state = "empty"
            return
        self.generation += 1
        self.state, self.assignments = "syncing", {}
        common = set.intersection(*({name for name, _ in each.protocols} for each in self.members.values()))
        self.leader = next(iter(self.members))
        self.protocol = next((name for name, _ in self.members[self.leader].protocols if name in common), "")
        listed = [(each.id, dict(each.protocols)[self.protocol]) for each in self.members.values()]
        for member in self.members.values():
            member.joined.set_result(
                (wire.NONE, self.generation, self.protocol, self.leader, member.id, listed if member.id == self.leader else []))

    async def sync(self, member_id, generation, assignments):
        error = self.check(member_id, generation)
        if error:
            return error, b""
        if self.state == "joining":
            return wire.REBALANCE_IN_PROGRESS, b""
        member = self.members[member_id]
        self._touch(member)
        if self.state == "stable":
            return wire.NONE, self.assignments.get(member_id, b"")
        member.synced = asyncio.get_running_loop().create_future()
        waiting = member.synced
        if member_id == self.leader:
            self.state, self.assignments = "stable", dict(assignments)
            for each in self.members.values():
                if each.synced and not each.synced.done():
                    each.synced.set_result((wire.NONE, self.assignments.get(each.id, b"")))
        return await waiting

    def heartbeat(self, member_id, generation):
        error = self.check(member_id, generation)
        if error:
            return error
        self._touch(self.members[member_id])
        return wire.REBALANCE_IN_PROGRESS if self.state == "joining" else wire.NONE

    def _forget(self, member):
        self.members.pop(member.id, None)
        if member.expiry:
            member.expiry.cancel()
        for waiting in (member.joined, member.synced):
            if waiting and not waiting.done():
                waiting.cancel()

    def leave(self, member_id):
        member = self.members.get(member_id)
        if member is None:
            return wire.UNKNOWN_MEMBER_ID
        self._forget(member)
        self._rebalance()
        self._complete_if_all()
        return wire.NONE


class Groups:
    def __init__(self):
        self.by_name = {}

    def get(self, name):
        return self.by_name.setdefault(name, Group())
