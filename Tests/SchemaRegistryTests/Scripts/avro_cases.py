"""Random Avro schemas and values, encoded by the library of Apache: one JSON object a line.

usage: avro_cases.py SEED COUNT
"""
import base64, io, json, random, sys
import avro.io, avro.schema

seed, count = int(sys.argv[1]), int(sys.argv[2])
pick = random.Random(seed)
names = 0


def text():
    return "".join(pick.choice("aZ09 _é漢\U0001F600\"\\\n\t") for _ in range(pick.randrange(8)))


def named():
    global names
    names += 1
    return "com.example.T%d" % names if pick.random() < 0.5 else "T%d" % names


def schema(depth):
    """The schema, and a function that makes a value and its JSON encoding."""
    kinds = ["null", "boolean", "int", "long", "float", "double", "bytes", "string", "enum", "fixed"]
    if depth > 0:
        kinds += ["record", "record", "array", "map", "union"]
    kind = pick.choice(kinds)
    if kind == "null": return kind, lambda: (None, None)
    if kind == "boolean": return kind, lambda: (lambda v: (v, v))(pick.random() < 0.5)
    if kind == "int": return kind, lambda: (lambda v: (v, v))(pick.choice([0, -1, 1, 63, 64, -64, -65, 2**31 - 1, -(2**31), pick.randrange(-10**6, 10**6)]))
    if kind == "long": return kind, lambda: (lambda v: (v, v))(pick.choice([0, -1, 2**63 - 1, -(2**63), pick.randrange(-10**15, 10**15)]))
    if kind == "float": return kind, lambda: (lambda v: (v, v))(pick.choice([0.0, -0.5, 1.25, 2.0**40, pick.randrange(-1000, 1000) / 8]))
    if kind == "double": return kind, lambda: (lambda v: (v, v))(pick.choice([0.0, 1e300, -2.5e-10, pick.uniform(-1e6, 1e6)]))
    if kind == "bytes": return kind, lambda: (lambda v: (v, v.decode("latin-1")))(bytes(pick.randrange(256) for _ in range(pick.randrange(6))))
    if kind == "string": return kind, lambda: (lambda v: (v, v))(text())
    if kind == "enum":
        symbols = ["S%d" % i for i in range(1 + pick.randrange(4))]
        return {"type": "enum", "name": named(), "symbols": symbols}, lambda: (lambda v: (v, v))(pick.choice(symbols))
    if kind == "fixed":
        size = 1 + pick.randrange(5)
        return {"type": "fixed", "name": named(), "size": size}, lambda: (lambda v: (v, v.decode("latin-1")))(bytes(pick.randrange(256) for _ in range(size)))
    if kind == "array":
        items, make = schema(depth - 1)
        def array():
            pairs = [make() for _ in range(pick.randrange(4))]
            return [v for v, _ in pairs], [j for _, j in pairs]
        return {"type": "array", "items": items}, array
    if kind == "map":
        values, make = schema(depth - 1)
        def mapping():
            pairs = {text() + str(i): make() for i in range(pick.randrange(4))}
            return {k: v for k, (v, _) in pairs.items()}, {k: j for k, (_, j) in pairs.items()}
        return {"type": "map", "values": values}, mapping
    if kind == "record":
        fields = [("f%d" % i, *schema(depth - 1)) for i in range(1 + pick.randrange(4))]
        def record():
            pairs = [(name, make()) for name, _, make in fields]
            return {n: v for n, (v, _) in pairs}, {n: j for n, (_, j) in pairs}
        return {"type": "record", "name": named(), "fields": [{"name": n, "type": s} for n, s, _ in fields]}, record
    # A union of null and one other: the value stands plain, or behind the branch's name.
    while True:
        inner, make = schema(depth - 1)
        if inner != "null" and not isinstance(inner, list): break
    name = inner if isinstance(inner, str) else inner["name"] if "name" in inner else inner["type"]
    def union():
        if pick.random() < 0.3: return None, None
        value, encoded = make()
        # A map or a record of one member could be taken for a name.
        tag = pick.random() < 0.5 or isinstance(encoded, dict) and len(encoded) == 1
        return value, {name: encoded} if tag else encoded
    return ["null", inner], union


for _ in range(count):
    declared, make = schema(3)
    parsed = avro.schema.parse(json.dumps(declared))
    value, encoded = make()
    out = io.BytesIO()
    avro.io.DatumWriter(parsed).write(value, avro.io.BinaryEncoder(out))
    print(json.dumps({
        "schema": json.dumps(declared), "document": json.dumps(encoded, ensure_ascii=pick.random() < 0.5),
        "bytes": base64.b64encode(out.getvalue()).decode()}))
