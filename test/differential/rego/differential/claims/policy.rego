# Claims of a token, verified elsewhere or here.
package differential.claims

default valid := false

valid if {
	input.claims.exp > input.now
	not input.claims.nbf > input.now
	audience
	input.claims.iss in data.differential.claims.issuers
}

audience if input.claims.aud == "api"

audience if "api" in input.claims.aud

scopes := {scope | some scope in split(input.claims.scope, " "); scope != ""}

granted contains scope if {
	some scope in scopes
	some prefix in data.differential.claims.prefixes
	startswith(scope, prefix)
}

decoded := io.jwt.decode(input.token)

verified := io.jwt.verify_hs256(input.token, "secret")

checked := io.jwt.decode_verify(input.token, {"secret": "secret", "alg": "HS256", "time": input.now * 1000000000})

domain := parts[1] if {
	parts := split(input.claims.email, "@")
	count(parts) == 2
}

tenant := object.get(input, ["claims", "realm", "tenant"], "none")

level := {"urn:a": 1, "urn:b": 2}[input.claims.acr]
