# Numbers that no double holds.
package numbers

product := input.n * input.n

within if product <= 30

least if product <= null
