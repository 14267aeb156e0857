# Defaults, else, partial rules, functions; and rules that may conflict.
package differential.rules

default decision := "deny"

decision := "allow" if input.level > 5

default limit := 10

limit := input.limit if is_number(input.limit)

default greeting(_) := "who?"

greeting(name) := sprintf("hello %s", [name]) if is_string(name)

greeted := greeting(input.name)

tier := "gold" if {
	input.spent > 1000
} else := "silver" if {
	input.spent > 100
	input.loyal
} else := "none"

flags contains "loyal" if input.loyal

flags contains "big" if input.spent > 500

flags contains name if some name in input.flags

scores[name] := value if {
	some name, value in input.scores
	value > 0
}

# Two names for one key are one value, or none at all.
scores.total := sum([value | some value in input.scores; is_number(value)])

# Conflicts where both hold and differ.
colour := "red" if input.level > 7

colour := input.paint if input.level > 8

book.chapter[n] := title if some n, title in input.chapters

book.pages := input.pages

factorial(n) := product(numbers.range(1, n)) if n > 0

big := factorial(input.level) if input.level <= 20

is_odd(n) if n % 2 == 1

odd if is_odd(input.level)

negated if not input.loyal

chosen := x if {
	x := input.flags[_]
	x == "chosen"
}

overridden := value if {
	is_object(input)
	value := decision with input.level as 9
}
