"""A token endpoint with the client credentials grant (RFC 6749, section 4.4): tokens for the cluster's users, by their passwords."""

import asyncio
import base64
import json
import time
import urllib.parse


def unpadded(data):
    return base64.urlsafe_b64encode(data).rstrip(b"=").decode()


class TokenEndpoint:
    def __init__(self, users):
        self.users, self.life, self.asked = users, 3600, 0

    async def serve(self, reader, writer):
        try:
            head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = {name.lower(): value.strip() for name, _, value in (line.partition(":") for line in head[1:])}
            body = urllib.parse.parse_qs((await reader.readexactly(int(headers.get("content-length", 0)))).decode())
            kind, _, credentials = headers.get("authorization", "").partition(" ")
            user, _, password = base64.b64decode(credentials).decode().partition(":")
            self.asked += 1
            if body.get("grant_type") != ["client_credentials"]:
                status, answer = "400 Bad Request", {"error": "unsupported_grant_type"}
            elif kind != "Basic" or self.users.get(user) != password:
                status, answer = "401 Unauthorized", {"error": "invalid_client"}
            else:
                claims = {"sub": user, "scope": body.get("scope", [""])[0], "exp": time.time() + self.life}
                parts = [unpadded(json.dumps(part).encode()) for part in ({"alg": "none"}, claims)]
                status, answer = "200 OK", {"access_token": ".".join(parts + [""]), "token_type": "bearer", "expires_in": self.life}
            text = json.dumps(answer)
            writer.write(f"HTTP/1.1 {status}\r\nContent-Type: application/json\r\nContent-Length: {len(text)}\r\nConnection: close\r\n\r\n{text}".encode())
            await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError, ValueError):
            pass
        finally:
            writer.close()
