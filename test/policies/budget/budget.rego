# Policies that would not end, or would eat all memory: each on its own entrypoint, beside one that is right.
package budget

quiet := {"effect": "deny", "reasons": [{"code": "quiet"}]}

# Four loops inside each other.
loops := count([1 |
	some a in numbers.range(1, input.n)
	some b in numbers.range(1, input.n)
	some c in numbers.range(1, input.n)
	some d in numbers.range(1, input.n)
	((a + b) + c) + d == -1
])

# Twenty bytes of input, a number of millions of bits.
shift := bits.lsh(1, input.n)

# As much memory as the caller likes.
hoard := count(numbers.range(1, input.n))

# Every path of a document with every other.
walks := count([1 |
	walk(input.document, _)
	walk(input.document, _)
	walk(input.document, _)
])

# An object whose every value is a pass over all the others.
square := {x: y |
	some x in numbers.range(1, 3000)
	y := [1 | some z in numbers.range(1, 3000); z == x]
}

# A text that doubles with every step.
double := concat("", [text |
	some _ in numbers.range(1, input.n)
	text := input.text
])

# Every character of a long text by a long text.
swell := strings.replace_n({"a": input.text}, input.text)

# Patterns that the caller wrote.
glob_bomb := glob.match(input.pattern, [], "x")

regex_bomb := regex.match(input.pattern, input.text)

# A caller's text as a document, however deep, and out again.
deep := json.marshal(json.unmarshal(input.text))

# Read and written on the host's side.
yaml_read := count(yaml.unmarshal(input.text))

yaml_written := count(yaml.marshal(json.unmarshal(input.text)))

places := count(indexof_n(input.text, "a"))

everywhere := replace(input.text, "", input.text)

# A short pattern that is a large program.
expanded := regex.find_n(input.pattern, "x", 1)

# The tree of a module that the caller wrote.
module := rego.parse_module("m.rego", input.text).package

# A schema that the caller wrote.
schema := json.verify_schema(input.text)

# Bytes that the caller wrote, which need be no text.
digest := crypto.sha256(base64.decode(input.b))

# Sets of pairs of sets: as long as a page, and each a comparison of all that is in it.
pairs := {[p9, 0], [p9, 1]}

p0 := {1}

p1 := {[p0, 0], [p0, 1]}

p2 := {[p1, 0], [p1, 1]}

p3 := {[p2, 0], [p2, 1]}

p4 := {[p3, 0], [p3, 1]}

p5 := {[p4, 0], [p4, 1]}

p6 := {[p5, 0], [p5, 1]}

p7 := {[p6, 0], [p6, 1]}

p8 := {[p7, 0], [p7, 1]}

p9 := {[p8, 0], [p8, 1]}
