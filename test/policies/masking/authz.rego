# Says back what it was told, so that a mask has something to hide in answer and reasons alike.
package authz

decision := {
	"effect": "deny",
	"policy": "masking",
	"reasons": [{"code": "told", "message": sprintf("told %v", [input.context.secret])}],
	"labels": {"drawn": sprintf("%v", [rand.intn("dice", 6)])},
}

decision := {"effect": "allow"} if input.context.undecided
