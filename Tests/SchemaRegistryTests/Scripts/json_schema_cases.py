"""Random JSON schemas and documents with the verdict of Python's jsonschema, draft 7: one JSON object a line.

usage: json_schema_cases.py SEED COUNT
"""
import json, random, sys
import jsonschema

pick = random.Random(int(sys.argv[1]))
NAMES = ["a", "b", "c", "abc", "x1"]
PATTERNS = ["^a", "b$", "[0-9]+", "^[a-c]{1,2}$", "x|abc", "^(a|bc)*$", "\\d", "^[a-z1]+$", "a.c", "^$"]


def document(depth):
    kinds = ["null", "bool", "int", "float", "text"] + (["array", "object"] * 2 if depth else [])
    kind = pick.choice(kinds)
    if kind == "null": return None
    if kind == "bool": return pick.random() < 0.5
    if kind == "int": return pick.randrange(-3, 12)
    if kind == "float": return pick.choice([0.0, 1.0, 1.5, -2.25, 7.75, 10.0])
    if kind == "text": return "".join(pick.choice("abcx1é") for _ in range(pick.randrange(5)))
    if kind == "array": return [document(depth - 1) for _ in range(pick.randrange(4))]
    return {pick.choice(NAMES): document(depth - 1) for _ in range(pick.randrange(5))}


def schema(depth):
    if pick.random() < 0.05: return pick.random() < 0.5
    if depth == 0 and pick.random() < 0.5: return {}
    out = {}
    keywords = ["type", "enum", "const", "minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum", "multipleOf", "minLength",
                "maxLength", "pattern", "minItems", "maxItems", "uniqueItems", "required", "minProperties", "maxProperties", "properties"]
    deep = ["properties", "properties", "patternProperties", "additionalProperties", "propertyNames", "items", "tuple", "contains", "allOf",
            "anyOf", "oneOf", "not", "if", "dependencies", "$ref"]
    for _ in range(1 + pick.randrange(3)):
        word = pick.choice(keywords + (deep if depth else []))
        sub = lambda: schema(max(0, depth - 1))
        if word == "type":
            types = ["null", "boolean", "object", "array", "number", "string", "integer"]
            out[word] = pick.choice(types) if pick.random() < 0.7 else pick.sample(types, 2)
        elif word == "enum": out[word] = [document(1) for _ in range(1 + pick.randrange(4))]
        elif word == "const": out[word] = document(1)
        elif word in ("minimum", "maximum", "exclusiveMinimum", "exclusiveMaximum"): out[word] = pick.choice([0, 1, 5, 2.5, 10])
        elif word == "multipleOf": out[word] = pick.choice([1, 2, 0.25, 0.5, 3])
        elif word in ("minLength", "maxLength", "minItems", "maxItems", "minProperties", "maxProperties"): out[word] = pick.randrange(4)
        elif word == "pattern": out[word] = pick.choice(PATTERNS)
        elif word == "uniqueItems": out[word] = True
        elif word == "required": out[word] = pick.sample(NAMES, pick.randrange(3))
        elif word == "properties": out[word] = {name: sub() for name in pick.sample(NAMES, pick.randrange(1, 4))}
        elif word == "patternProperties": out[word] = {pick.choice(PATTERNS): sub()}
        elif word in ("additionalProperties", "propertyNames", "items", "contains", "not"): out[word] = sub()
        elif word == "tuple":
            out["items"] = [sub() for _ in range(1 + pick.randrange(2))]
            if pick.random() < 0.5: out["additionalItems"] = sub()
        elif word in ("allOf", "anyOf", "oneOf"): out[word] = [sub() for _ in range(1 + pick.randrange(3))]
        elif word == "if":
            out["if"] = sub()
            if pick.random() < 0.8: out["then"] = sub()
            if pick.random() < 0.8: out["else"] = sub()
        elif word == "dependencies": out[word] = {pick.choice(NAMES): sub() if pick.random() < 0.5 else pick.sample(NAMES, 1)}
        else: out = {"$ref": "#/definitions/%d" % pick.randrange(2), "minimum": 1000}
    return out


for _ in range(int(sys.argv[2])):
    whole = schema(3)
    if not isinstance(whole, dict) or "$ref" in whole: whole = {"allOf": [whole]}
    # Those that are referred to refer to nothing, so that there is no circle.
    whole["definitions"] = {str(i): schema(0) for i in range(2)}
    validator = jsonschema.Draft7Validator(whole)
    documents = [document(3) for _ in range(4)]
    print(json.dumps({
        "schema": json.dumps(whole), "documents": [json.dumps(d) for d in documents], "verdicts": [validator.is_valid(d) for d in documents]}))
