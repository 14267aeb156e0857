# Lists, sets and comprehensions.
package differential.collections

size := count(input.list)

total := sum(input.numbers)

times := product(input.numbers)

largest := max(input.list)

smallest := min(input.list)

sorted := sort(input.list)

sorted_numbers := sort(input.numbers)

unique := {x | some x in input.list}

squares := {y | some x in input.numbers; y := x * x}

indexed := {sprintf("%v", [x]): i | some i, x in input.list}

grouped[type_name(x)] contains x if some x in input.list

pairs := {[a, b] | some a in input.numbers; some b in input.numbers; a < b}

joined := array.concat(input.list, input.numbers)

part := array.slice(input.list, input.from, input.to)

backwards := array.reverse(input.list)

flat := array.flatten(input.list)

range := numbers.range(input.from, input.to) if abs(input.to - input.from) < 1000

stepped := numbers.range_step(input.from, input.to, 2) if abs(input.to - input.from) < 1000

united := union({{x | some x in input.list}, {x | some x in input.numbers}})

common := intersection({{x | some x in input.list}, {x | some x in input.numbers}})

leaves contains [path, value] if {
	walk(input.tree, [path, value])
	not is_object(value)
	not is_array(value)
}

depth := max([count(path) | walk(input.tree, [path, _])])

nested := [{y: x | some y in input.list; is_string(y)} | some x in input.numbers]

has_null if null in input.list

last := input.list[count(input.list) - 1]
