package postern_test

import data.postern

own := {"caller": {"id": "a", "relay": false}, "subject": {"id": "a"}}

requirements := {
	"shut": {"otherwise": "deny", "remedy": "open it"},
	"proven": {"otherwise": "step_up", "remedy": "prove it"},
	"free": {"otherwise": "constrain", "remedy": "free it"},
}

all_met := {"shut", "proven", "free"}

options := {
	"policy": "example",
	"constraints": {"read_only": true},
	"step_up": {"acr_values": ["phr"], "max_age": 300},
	"ttl_s": 30,
	"grants": ["g-1"],
	"obligations": [{"id": "o", "type": "t", "properties": {}}],
	"labels": {"team": "payroll"},
}

decided(met) := result if {
	result := postern.decide(requirements, met, options) with input as own
}

test_all_met_allows if {
	decided(all_met) == {
		"effect": "allow",
		"reasons": [],
		"met": ["free", "proven", "shut"],
		"policy": "example",
		"ttl_s": 30,
		"grants": ["g-1"],
		"obligations": [{"id": "o", "type": "t", "properties": {}}],
		"labels": {"team": "payroll"},
	}
}

test_an_unmet_constrain_constrains if {
	decided({"shut", "proven"}) == {
		"effect": "constrain",
		"reasons": [{"code": "free", "otherwise": "constrain", "remedy": "free it"}],
		"met": ["proven", "shut"],
		"constraints": {"read_only": true},
		"policy": "example",
		"ttl_s": 30,
		"grants": ["g-1"],
		"obligations": [{"id": "o", "type": "t", "properties": {}}],
		"labels": {"team": "payroll"},
	}
}

test_an_unmet_step_up_steps_up_and_permits_nothing if {
	decided({"shut"}) == {
		"effect": "step_up",
		"reasons": [
			{"code": "free", "otherwise": "constrain", "remedy": "free it"},
			{"code": "proven", "otherwise": "step_up", "remedy": "prove it"},
		],
		"met": ["shut"],
		"step_up": {"acr_values": ["phr"], "max_age": 300},
		"policy": "example",
		"labels": {"team": "payroll"},
	}
}

test_an_unmet_deny_denies_and_gives_nothing_away if {
	decided(set()) == {
		"effect": "deny",
		"reasons": [
			{"code": "free", "otherwise": "constrain", "remedy": "free it"},
			{"code": "proven", "otherwise": "step_up", "remedy": "prove it"},
			{"code": "shut", "otherwise": "deny", "remedy": "open it"},
		],
		"met": [],
		"policy": "example",
		"labels": {"team": "payroll"},
	}
}

test_deny_outweighs_everything if {
	every met in [set(), {"proven"}, {"free"}, {"proven", "free"}] {
		decided(met).effect == "deny"
	}
}

test_an_otherwise_outside_the_four_denies if {
	every otherwise in ["Deny", "denied", "ALLOW", "stepup", "step-up", "", null, 0, false, ["allow"], {"allow": true}] {
		decision := postern.decide({"a": {"otherwise": otherwise, "remedy": "r"}}, set(), options) with input as own
		decision.effect == "deny"
		decision.reasons == [{"code": "a", "otherwise": "deny", "remedy": "r"}]
	}
}

test_a_requirement_without_otherwise_denies if {
	every requirement in [{}, {"remedy": "r"}, {"otherwse": "constrain"}, "constrain", null, ["constrain"], 1] {
		decision := postern.decide({"a": requirement}, set(), options) with input as own
		decision.effect == "deny"
		decision.reasons[0].code == "a"
		decision.reasons[0].otherwise == "deny"
	}
}

test_advice_changes_nothing_and_is_no_reason_against if {
	advised := object.union(requirements, {"nice": {"otherwise": "allow", "remedy": "be nice"}})
	decision := postern.decide(advised, all_met, options) with input as own
	decision.effect == "allow"
	decision.reasons == []
}

test_no_requirements_protect_nothing if {
	every nothing in [{}, null, [], set(), "", 1] {
		decision := postern.decide(nothing, set(), options) with input as own
		decision.effect == "deny"
		decision.reasons[0].code == "requirements_missing"
		postern.effect_of(nothing, set()) == "deny" with input as own
	}
}

# met[id] := false makes an object, whose keys would otherwise pass for ids.
test_met_that_is_no_set_denies if {
	every met in [{"shut": false, "proven": false, "free": false}, ["shut", "proven", "free"], null, "shut", true] {
		decision := postern.decide(requirements, met, options) with input as own
		decision.effect == "deny"
		decision.reasons[0].code == "policy_malformed"
		postern.effect_of(requirements, met) == "deny" with input as own
	}
}

# It is left for the sidecar to refuse: src/request/decide takes no member that it does not know.
test_an_option_nobody_knows_is_not_dropped if {
	every misspelt in ["constraint", "grant", "obligation", "acr_values", "stepup"] {
		decision := postern.decide(requirements, all_met, {misspelt: "x"}) with input as own
		decision[misspelt] == "x"
	}
}

test_no_option_takes_the_place_of_the_librarys_own_word if {
	every name, value in {"effect": "allow", "reasons": [], "met": ["shut", "proven", "free"]} {
		forged := object.union(options, {name: value})
		every met in [{"shut", "proven"}, {"shut"}, set()] {
			decision := postern.decide(requirements, met, forged) with input as own
			decision == decided(met)
		}
	}
}

test_options_that_are_no_object_deny if {
	every odd in [null, [], "policy", 1, true, {"policy"}] {
		decision := postern.decide(requirements, all_met, odd) with input as own
		decision.effect == "deny"
		decision.reasons[0].code == "policy_malformed"
	}
}

test_constrain_without_constraints_denies if {
	every constraints in [{}, null, [], "read_only", true] {
		decision := postern.decide(requirements, {"shut", "proven"}, {"constraints": constraints}) with input as own
		decision.effect == "deny"
		[reason.code | some reason in decision.reasons] == ["constraints_missing", "free"]
		not decision.constraints
	}
	decision := postern.decide(requirements, {"shut", "proven"}, {}) with input as own
	decision.effect == "deny"
}

test_step_up_without_acr_values_denies if {
	every step_up in [{}, {"acr_values": []}, {"acr_values": "phr"}, {"acr_values": {"phr": 1}}, {"max_age": 1}, null, "phr"] {
		decision := postern.decide(requirements, {"shut"}, {"step_up": step_up}) with input as own
		decision.effect == "deny"
		"step_up_missing" in {reason.code | some reason in decision.reasons}
		not decision.step_up
	}
	decision := postern.decide(requirements, {"shut"}, {}) with input as own
	decision.effect == "deny"
}

test_another_subject_denies_whatever_is_met if {
	other := {"caller": {"id": "a", "relay": false}, "subject": {"id": "b"}}
	decision := postern.decide(requirements, all_met, options) with input as other
	decision.effect == "deny"
	[reason.code | some reason in decision.reasons] == ["subject_not_caller"]
	postern.effect_of(requirements, all_met) == "deny" with input as other
}

test_no_policy_can_meet_or_soften_it if {
	other := {"caller": {"id": "a", "relay": false}, "subject": {"id": "b"}}
	softened := object.union(requirements, {"subject_not_caller": {"otherwise": "allow"}})
	met := all_met | {"subject_not_caller"}
	decision := postern.decide(softened, met, options) with input as other
	decision.effect == "deny"
}

test_a_relay_may_ask_for_another if {
	relayed := {"caller": {"id": "a", "relay": true}, "subject": {"id": "b"}}
	decision := postern.decide(requirements, all_met, options) with input as relayed
	decision.effect == "allow"
}

test_effect_of_agrees_with_decide if {
	every met in [all_met, {"shut", "proven"}, {"shut"}, set()] {
		postern.effect_of(requirements, met) == decided(met).effect with input as own
	}
}

test_reasons_carry_their_message_and_nothing_else if {
	told := {"a": {"otherwise": "deny", "message": "m", "remedy": "r", "owner": "x"}}
	decision := postern.decide(told, set(), {}) with input as own
	decision.reasons == [{"code": "a", "otherwise": "deny", "message": "m", "remedy": "r"}]
}
