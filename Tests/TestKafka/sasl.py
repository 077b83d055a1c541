"""SASL's server side: PLAIN, SCRAM-SHA-256 and OAUTHBEARER with unsecured tokens (RFC 4616, 5802, 7628; KIP-368 for the session's length)."""

import base64
import hashlib
import hmac
import json
import os
import time

SCRAM_ITERATIONS = 4096


class Denied(Exception):
    """The text is what the client is told."""


class Plain:
    def __init__(self, users):
        self.users = users

    def step(self, data):
        _, user, password = (data.decode().split("\0") + ["", ""])[:3]
        if self.users.get(user) != password:
            raise Denied("invalid user name or password")
        return b"", True


class Scram:
    def __init__(self, users):
        self.users, self.first, self.nonce, self.salt = users, None, "", os.urandom(16)

    def step(self, data):
        text = data.decode()
        if self.first is None:
            fields = dict(part.split("=", 1) for part in text.split(",")[2:])
            self.user, self.bare = fields["n"], text.split(",", 2)[2]
            self.nonce = fields["r"] + base64.b64encode(os.urandom(12)).decode().replace(",", "")
            self.first = f"r={self.nonce},s={base64.b64encode(self.salt).decode()},i={SCRAM_ITERATIONS}"
            return self.first.encode(), False
        without_proof, _, proof = text.rpartition(",p=")
        salted = hashlib.pbkdf2_hmac("sha256", self.users.get(self.user, os.urandom(8).hex()).encode(), self.salt, SCRAM_ITERATIONS)
        signed = ",".join([self.bare, self.first, without_proof]).encode()

        def mac(key, message):
            return hmac.new(key, message, hashlib.sha256).digest()

        client_key = mac(salted, b"Client Key")
        signature = mac(hashlib.sha256(client_key).digest(), signed)
        expected = bytes(a ^ b for a, b in zip(client_key, signature))
        if not hmac.compare_digest(base64.b64decode(proof), expected):
            raise Denied("invalid credentials")
        return b"v=" + base64.b64encode(mac(mac(salted, b"Server Key"), signed)), True


class OAuthBearer:
    """Looks at a token's expiry, and at nothing else."""

    def __init__(self, users):
        self.users = users

    def step(self, data):
        token = next(part for part in data.decode().split("\x01") if part.startswith("auth=Bearer "))[12:]
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        if claims["exp"] <= time.time() or claims["sub"] not in self.users:
            raise Denied(json.dumps({"status": "invalid_token"}))
        return b"", True


MECHANISMS = {"PLAIN": Plain, "SCRAM-SHA-256": Scram, "OAUTHBEARER": OAuthBearer}
