"""A protobuf file with messages of every kind, and payloads that are valid or not: JSON on one line."""
import base64, json, random
from google.protobuf import descriptor_pb2, descriptor_pool, message_factory, timestamp_pb2

pick = random.Random(7)
F = descriptor_pb2.FieldDescriptorProto
file = descriptor_pb2.FileDescriptorProto(name="reading.proto", package="com.example", syntax="proto2")
file.dependency.append("google/protobuf/timestamp.proto")
file.dependency.append("unit.proto")
other = descriptor_pb2.FileDescriptorProto(name="unit.proto", package="com.units", syntax="proto3")
other.message_type.add(name="Unit").field.add(name="symbol", number=1, label=1, type=F.TYPE_STRING)

first = file.message_type.add(name="First")
first.field.add(name="id", number=1, label=F.LABEL_REQUIRED, type=F.TYPE_INT32)
reading = file.message_type.add(name="Reading")
kinds = ["DOUBLE", "FLOAT", "INT64", "UINT64", "INT32", "FIXED64", "FIXED32", "BOOL", "STRING", "BYTES", "UINT32", "SFIXED32", "SFIXED64", "SINT32",
         "SINT64"]
for place, kind in enumerate(kinds):
    reading.field.add(name="one_" + kind.lower(), number=place + 1, label=1, type=getattr(F, "TYPE_" + kind))
    field = reading.field.add(name="many_" + kind.lower(), number=place + 101, label=3, type=getattr(F, "TYPE_" + kind))
    if kind not in ("STRING", "BYTES"): field.options.packed = place % 2 == 0
reading.field.add(name="child", number=50, label=1, type=F.TYPE_MESSAGE, type_name=".com.example.Reading")
reading.field.add(name="at", number=51, label=1, type=F.TYPE_MESSAGE, type_name=".google.protobuf.Timestamp")
reading.field.add(name="unit", number=52, label=1, type=F.TYPE_MESSAGE, type_name=".com.units.Unit")
reading.field.add(name="first", number=53, label=3, type=F.TYPE_MESSAGE, type_name=".com.example.First")
entry = reading.nested_type.add(name="TagsEntry")
entry.options.map_entry = True
entry.field.add(name="key", number=1, label=1, type=F.TYPE_STRING)
entry.field.add(name="value", number=2, label=1, type=F.TYPE_INT32)
reading.field.add(name="tags", number=54, label=3, type=F.TYPE_MESSAGE, type_name=".com.example.Reading.TagsEntry")
group = reading.nested_type.add(name="Spot")
group.field.add(name="x", number=1, label=1, type=F.TYPE_INT32)
reading.field.add(name="spot", number=55, label=1, type=F.TYPE_GROUP, type_name=".com.example.Reading.Spot")

pool = descriptor_pool.DescriptorPool()
pool.AddSerializedFile(timestamp_pb2.DESCRIPTOR.serialized_pb)
pool.Add(other)
pool.Add(file)
Reading = message_factory.MessageFactory(pool).GetPrototype(pool.FindMessageTypeByName("com.example.Reading"))


def value(kind):
    if kind == "STRING": return pick.choice(["", "abc", "é漢"])
    if kind == "BYTES": return bytes(pick.randrange(256) for _ in range(pick.randrange(5)))
    if kind == "BOOL": return pick.random() < 0.5
    if kind in ("DOUBLE", "FLOAT"): return pick.randrange(-100, 100) / 4
    if kind.startswith("UINT") or kind.startswith("FIXED"): return pick.randrange(2**32 if "32" in kind else 2**64)
    bits = 32 if "32" in kind else 64
    return pick.randrange(-(2 ** (bits - 1)), 2 ** (bits - 1))


def message(depth):
    made = Reading()
    for kind in kinds:
        if pick.random() < 0.4: setattr(made, "one_" + kind.lower(), value(kind))
        if pick.random() < 0.4: getattr(made, "many_" + kind.lower()).extend(value(kind) for _ in range(pick.randrange(4)))
    if depth and pick.random() < 0.7: made.child.CopyFrom(message(depth - 1))
    if pick.random() < 0.5: made.at.seconds = pick.randrange(2**40)
    if pick.random() < 0.5: made.unit.symbol = "°C"
    if pick.random() < 0.5: made.first.add(id=3)
    if pick.random() < 0.5: made.tags["é"] = 4
    if pick.random() < 0.5: made.spot.x = 5
    return made


def parses(payload):
    try:
        return Reading.FromString(payload).IsInitialized()
    except Exception:
        return False


payloads = [message(3).SerializeToString() for _ in range(200)]
# Cut at every place, and with a field that is required left out.
broken = [whole[:cut] for whole in payloads[:10] for cut in range(len(whole))]
broken.append(b"\xaa\x03\x00")
encoded = lambda data: base64.b64encode(data).decode()
print(json.dumps({
    "files": [encoded(file.SerializeToString()), encoded(other.SerializeToString())],
    "valid": [encoded(p) for p in payloads],
    "broken": [{"bytes": encoded(p), "parses": parses(p)} for p in broken]}))
