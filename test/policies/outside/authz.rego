# What is asked outside comes with the request, so that a test can ask what it likes.
package authz

# METADATA
# description: Allows if every server that the context names says so.
default decision := {"effect": "deny", "reasons": [{"code": "not_everybody_says_yes"}]}

decision := {"effect": "allow", "met": ["everybody_says_yes"]} if {
	count(input.context.requests) > 0
	every request in input.context.requests {
		answer := http.send(request)
		answer.status_code == 200
		answer.body.yes == true
	}
}
