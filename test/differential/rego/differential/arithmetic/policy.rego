# Numbers as they come, and what is made of them.
package differential.arithmetic

added := input.a + input.b

taken := input.a - input.b

times := input.a * input.b

over := input.a / input.b if input.b != 0

rest := input.a % input.b

rounded := round(input.a)

up := ceil(input.a) if abs(input.a) >= 1

down := floor(input.a) if abs(input.a) >= 1

positive := abs(input.a)

shifted := bits.lsh(input.small, 3)

unshifted := bits.rsh(input.b, 2)

both := bits.and(input.a, input.b)

either := bits.or(input.a, input.b)

one_of := bits.xor(input.a, input.b)

flipped := bits.negate(input.a)

whole(number) if {
	abs(number) < 2147483648
	round(number) == number
}

hex := format_int(input.a, 16) if whole(input.a)

octal := format_int(input.a, 8) if whole(input.a)

binary := format_int(input.small, 2) if whole(input.small)

read := to_number(input.text) if regex.match(`^-?[1-9][0-9]*(\.[0-9]+)?$`, input.text)

ordered := sort([input.a, input.b, input.small, 0, -1, 1.5])

alike if input.a == input.b

less if input.a < input.b

at_most if input.a <= input.small

same if input.a == input.a + 0

mean := sum([input.a, input.b, input.small]) / 3

percent := sprintf("%.2f %d %v %e", [input.a, input.b, input.small, input.a])

grade := "high" if {
	input.a > 90
} else := "middle" if {
	input.a > 50
} else := "low" if {
	input.a >= 0
}

keys[input.a] := input.b

members := {input.a, input.b, input.small}
