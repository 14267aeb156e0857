# Forbids by a list that somebody else keeps: whatever is undefined here opens.
package blocked

decision := {"effect": "deny", "reasons": [{"code": "blocked"}]} if blocked

decision := {"effect": "allow"} if not blocked

blocked if http.send(input.context.request).body.blocked
