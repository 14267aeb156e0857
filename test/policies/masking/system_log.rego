# Rules about events that do what the event's own input says.
package system.log

mask contains rule if some rule in input.input.context.mask

mask contains torn if input.input.context.mask_fault == "throws"

mask contains n if {
	input.input.context.mask_fault == "slow"
	some n in numbers.range(1, 3000)
	some m in numbers.range(1, 3000)
	n * m == -1
}

drop := input.input.context.drop

drop if {
	input.input.context.drop_fault == "throws"
	torn == "a"
}

drop if {
	input.input.context.drop_fault == "slow"
	some n in numbers.range(1, 3000)
	some m in numbers.range(1, 3000)
	n * m == -1
}

torn := "a" if input.input.context

torn := "b" if input.input.context
