# Attributes of subject, resource and environment against each other.
package differential.abac

levels := {"public": 0, "internal": 1, "secret": 2, "top": 3}

default allow := false

allow if {
	cleared
	not blocked
	in_hours
}

cleared if levels[input.subject.clearance] >= levels[input.resource.classification]

cleared if input.resource.owner == input.subject.id

blocked if input.subject.country in {"XX", "YY"}

blocked if {
	input.subject.age < 18
	input.resource.rating != "all"
}

in_hours if {
	input.environment.hour >= 8
	input.environment.hour < 18
}

in_hours if input.subject.department == input.resource.department

reasons contains "clearance" if not cleared

reasons contains "hours" if not in_hours

reasons contains sprintf("blocked: %v", [input.subject.country]) if blocked

distance := abs(levels[input.subject.clearance] - levels[input.resource.classification])

shared := {tag | some tag in input.subject.tags} & {tag | some tag in input.resource.tags}

all_tags := {tag | some tag in input.subject.tags} | {tag | some tag in input.resource.tags}

weight := sum([object.get({"pii": 5, "pci": 8}, tag, 1) | some tag in all_tags])
