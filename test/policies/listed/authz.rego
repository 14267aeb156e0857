package authz

# Who may is data: what a bundle of data, a delta or a sample changes shows in the answer.
default decision := {"effect": "deny", "reasons": [{"code": "agent_not_listed"}]}

decision := {"effect": "allow", "labels": {"tier": tier}} if {
	tier := data.listed.agents[input.subject.id].tier
}
