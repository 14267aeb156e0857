# Functions of objects and of JSON.
package differential.objects

got := object.get(input.object, input.key, "absent")

deep := object.get(input.object, input.path, {"nothing": true})

merged := object.union(input.object, input.other)

merged_all := object.union_n([input.object, input.other, {"last": 1}])

without := object.remove(input.object, input.keys)

only := object.filter(input.object, input.keys)

names := object.keys(input.object)

filtered := json.filter(input.object, ["a/b", "c", input.key]) if count(input.key) > 0

removed := json.remove(input.object, ["a/b", "c/0", input.key]) if count(input.key) > 0

patched := json.patch(input.object, [{"op": "add", "path": "/new", "value": input.other}, {"op": "replace", "path": ["a"], "value": input.key}])

moved := json.patch(input.object, [{"op": "move", "from": "/a", "path": "/z"}])

within if object.subset(input.object, input.other)

changed contains key if {
	some key, value in input.object
	value != input.other[key]
}

inverted[value] contains key if some key, value in input.object

sizes := {key: count(value) | some key, value in input.object}

same if json.unmarshal(json.marshal(input.object)) == input.object

alike if input.object == input.other

values := {value | some value in input.object}
