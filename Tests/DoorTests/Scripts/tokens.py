"""Keys and tokens of another implementation (PyJWT).

tokens.py keys DIRECTORY               makes hs, rs, es and ed (private.pem, .pem; hs.secret) and set.json of rs, es and ed
tokens.py set DIRECTORY NAME...        a key set (JWKS) of these keys, whose kid is the name
tokens.py sign DIRECTORY NAME CLAIMS   a token with these claims, JSON; in them +n and -n after "exp" mean seconds from now
"""
import json
import sys
import time

import jwt
from cryptography.hazmat.primitives import serialization as s
from cryptography.hazmat.primitives.asymmetric import ec, ed25519, rsa

ALGORITHMS = {"hs": "HS256", "rs": "RS256", "es": "ES256", "ed": "EdDSA"}


def write(path, data):
    with open(path, "wb") as file:
        file.write(data)


def make(directory, name):
    if name.startswith("hs"):
        write(f"{directory}/{name}.secret", b"0123456789abcdef0123456789abcdef")
        return
    key = {
        "rs": lambda: rsa.generate_private_key(public_exponent=65537, key_size=2048),
        "es": lambda: ec.generate_private_key(ec.SECP256R1()),
        "ed": lambda: ed25519.Ed25519PrivateKey.generate(),
    }[name[:2]]()
    write(f"{directory}/{name}.private.pem", key.private_bytes(s.Encoding.PEM, s.PrivateFormat.PKCS8, s.NoEncryption()))
    write(f"{directory}/{name}.pem", key.public_key().public_bytes(s.Encoding.PEM, s.PublicFormat.SubjectPublicKeyInfo))


def jwk(directory, name):
    with open(f"{directory}/{name}.pem", "rb") as file:
        key = s.load_pem_public_key(file.read())
    algorithm = {"rs": jwt.algorithms.RSAAlgorithm, "es": jwt.algorithms.ECAlgorithm, "ed": jwt.algorithms.OKPAlgorithm}[name[:2]]
    made = json.loads(algorithm.to_jwk(key)) if isinstance(algorithm.to_jwk(key), str) else algorithm.to_jwk(key)
    return {**made, "kid": name, "use": "sig"}


command, directory = sys.argv[1:3]
if command == "keys":
    for name in sys.argv[3:]:
        make(directory, name)
elif command == "set":
    print(json.dumps({"keys": [jwk(directory, name) for name in sys.argv[3:]]}))
elif command == "sign":
    name, claims = sys.argv[3], json.loads(sys.argv[4])
    for claim in ("exp", "nbf", "iat"):
        if isinstance(claims.get(claim), str):
            claims[claim] = int(time.time()) + int(claims[claim])
    path = f"{directory}/{name}.secret" if name.startswith("hs") else f"{directory}/{name}.private.pem"
    with open(path, "rb") as file:
        print(jwt.encode(claims, file.read(), algorithm=ALGORITHMS[name[:2]], headers={"kid": name}))
