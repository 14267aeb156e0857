# What a value is, and how values of all kinds compare.
package differential.kinds

kind[name] := type_name(value) if some name, value in input

numbers contains name if {
	some name, value in input
	is_number(value)
}

strings contains name if {
	some name, value in input
	is_string(value)
}

booleans contains name if {
	some name, value in input
	is_boolean(value)
}

empty contains name if {
	some name, value in input
	is_null(value)
}

ordered := sort([value | some value in input])

set := {value | some value in input}

set_of_sets := {{input.x}, {input.y}, {input.x, input.y}, set()}

smaller if input.x < input.y

alike if input.x == input.y

number := to_number(input.x)

truthy contains name if {
	some name, _ in input
	input[name]
}

unified := z if [input.x, z] = [input.y, input.z]

in_both if {
	some value in input.x
	value in input.y
}

as_key := {input.x: input.y} if type_name(input.x) in {"string", "number", "boolean", "null"}

looked_up := input.x[input.y]

nested := input.x[_][input.y]

shown := sprintf("%v %v %v", [input.x, input.y, set])

counted := count(input.x)
