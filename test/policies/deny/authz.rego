# Refuses whatever comes, so that a fault that opens is seen.
package authz

decision := {
	"effect": "deny",
	"policy": "test_deny",
	"reasons": [{"code": "never", "otherwise": "deny", "message": "CANARY-policy-message", "remedy": "there is none"}],
}
