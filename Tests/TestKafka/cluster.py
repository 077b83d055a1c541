"""The cluster's state, and what tests have asked to go wrong."""

import asyncio
import dataclasses
import re
import time

from groups import Groups
from log import Partition
from transactions import Transactions

LEGAL_TOPIC = re.compile(r"[A-Za-z0-9._-]{1,249}")


@dataclasses.dataclass
class Limits:
    max_batch: int = 1_048_588
    # message.timestamp.difference.max.ms; None for no limit.
    max_skew: int | None = None


class Cluster:
    def __init__(self, nodes, partitions):
        self.nodes, self.partitions = nodes, partitions
        self.ports = []
        self.topics, self.limits, self.created = {}, {}, {}
        # Seconds until a new topic has leaders.
        self.birth = 0.0
        self.default_limits = Limits()
        self.groups = Groups()
        self.transactions = Transactions(self)
        self.changed = asyncio.Event()
        self.coordinator = 0
        self.leader_shift = 0
        self.delay = 0.0
        self.denied = set()
        # API key: errors to answer with, then how many answers to swallow after the request was carried out.
        self.errors, self.swallowed = {}, {}
        self.users, self.mechanism, self.session_lifetime = {}, None, 0

    def create(self, name, partitions=None, limits=None):
        self.created[name] = time.monotonic()
        self.topics[name] = [Partition() for _ in range(partitions or self.partitions)]
        self.limits[name] = limits or self.default_limits
        return self.topics[name]

    def is_born(self, name):
        return time.monotonic() - self.created[name] >= self.birth

    def leader(self, index):
        return (index + self.leader_shift) % self.nodes

    def notify(self):
        self.changed.set()
        self.changed = asyncio.Event()

    def injected(self, api):
        """An error that a test wants for this request, or 0."""
        errors = self.errors.get(api)
        return errors.pop(0) if errors else 0

    def swallows(self, api):
        left = self.swallowed.get(api, 0)
        self.swallowed[api] = max(0, left - 1)
        return left > 0
